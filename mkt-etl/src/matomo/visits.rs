//! A visit of Live.getLastVisitsDetails as a session and its events. Pure.
//!
//! | action | event |
//! |---|---|
//! | `action` | `page_view` |
//! | `ecommerceOrder` | `purchase`, with `order_id`, `items` and the parts of the amount |
//! | `ecommerceAbandonedCart` | `cart_abandoned`, with `cart_id` and `items` |
//! | `goal` | `goal`, with `goal_id` and `goal_name`; a goal's own revenue is a property, `revenue` is for purchases |
//! | `search`, `download`, `outlink` | the same |
//! | `event` | `custom_event` with `category`, `action`, `name`, `value`: a Matomo event converts nobody unless a goal says so, and then the goal is there too |
//! | `13`, or `content` in newer versions | `content_impression`, or `content_interaction` where one is named, with `content_name`, `content_piece`, `content_target`, `content_interaction` |
//! | anything newer | `matomo_…`: kept under its own name |
//!
//! Purchases and goals are what Matomo's `visitConverted` counts.

use super::drift;
use super::error::SERVICE;
use super::instants::{Stamp, instants};
use super::shared::Counted;
use super::wire::{Action, Item, Visit};
use crate::source::{Coverage, Page, Rejected, SiteFacts};
use crate::{channel, clean, zone};
use chrono::{DateTime, Utc};
use mkt_connect::{CampaignTags, Channel, Currency};
use mkt_warehouse::id;
use mkt_warehouse::model::{Amount, Event, EventType, Json, Session};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use url::Url;

/// Where rejected records were read.
pub(super) const PLACE: &str = "Live.getLastVisitsDetails";

/// The last second of the year 9998: far from what the engines hold, and from what anybody measured.
pub(super) const LAST_EPOCH: i64 = 253_370_764_799;

/// The longest visit that is believed, in seconds: 68 years.
const LONGEST: i64 = i32::MAX as i64;

/// What Matomo left out of the visits of a day, and what those that it told brought in.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Visits with actions that were left out.
    pub(super) visits: u64,
    /// Actions that were left out.
    pub(super) actions: u64,
    /// Conversions that were read, orders included.
    pub(super) conversions: u64,
    /// Their revenue.
    pub(super) revenue: Decimal,
    /// Visits that were read, and whether each converted: one that goes on while it is read comes twice.
    read: HashMap<i64, bool>,
}

impl Tally {
    pub(super) fn counted(&self) -> Counted {
        Counted {
            visits: self.read.len() as u64,
            converted: self.read.values().filter(|converted| **converted).count() as u64,
        }
    }

    fn add(&mut self, visit: &Visit, actions: &[Option<Action>]) {
        let left_out =
            visit.truncated_actions_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        if let Some(id) = visit.id_visit {
            self.read.insert(id, visit.visit_converted == Some(1));
        }
        self.visits += u64::from(left_out > 0);
        self.actions = self.actions.saturating_add(left_out);
        for action in actions.iter().flatten() {
            if matches!(action.kind.as_deref(), Some("goal" | "ecommerceOrder")) {
                self.conversions += 1;
                self.revenue = self
                    .revenue
                    .saturating_add(action.revenue.filter(super::count::fits).unwrap_or_default());
            }
        }
    }
}

/// Adds a visit to a page: a session and an event for each action, or why not.
pub(super) fn add(raw: &Value, site: &SiteFacts, page: &mut Page, tally: &mut Tally) {
    page.read += 1;
    let reject = |page: &mut Page, raw: &Value, reason: &str| {
        page.rejected.push(Rejected::new(PLACE, raw.to_string().as_bytes(), reason));
    };
    let Ok(visit) = Visit::deserialize(raw) else {
        return reject(page, raw, "the visit is no object");
    };
    let Some(id_visit) = visit.id_visit else {
        return reject(page, raw, "the visit has no idVisit");
    };
    let (Some((first, start_time)), Some((last, end_time))) =
        (epoch(visit.first_action_timestamp), epoch(visit.last_action_timestamp))
    else {
        return reject(page, raw, "the visit has no first or last timestamp");
    };
    if last < first {
        return reject(page, raw, "the visit ends before it begins");
    }
    if visit.visit_duration.is_some_and(|seconds| !(-LONGEST..=LONGEST).contains(&seconds)) {
        return reject(page, raw, "the visit's duration is no number of seconds");
    }
    let native = id_visit.to_string();
    if let Value::Object(fields) = raw {
        drift::of_visit(PLACE, &format!("visit {native}"), fields, page);
    }
    let actions: Vec<Option<Action>> =
        visit.action_details.iter().map(|action| Action::deserialize(action).ok()).collect();
    tally.add(&visit, &actions);
    if tally.actions > 0 {
        page.coverage = Coverage::Truncated;
    }
    let landing = actions.iter().flatten().find_map(|action| action.url.as_deref());
    let origin = origin(&visit, landing);
    let session = Session {
        session_id: id::session_id(SERVICE, &site.site, &native),
        user_id: match (&visit.user_id, &visit.visitor_id) {
            (Some(user), _) => id::site_user_id(&without_nul(user)),
            (None, Some(visitor)) => id::visitor_id(SERVICE, &site.site, &without_nul(visitor)),
            (None, None) => id::visitor_id(SERVICE, &site.site, &format!("visit-{native}")),
        },
        start_time,
        end_time,
        pages_viewed: if actions.is_empty() {
            // Asked without details: Matomo's own count, which includes downloads and searches.
            visit.actions.unwrap_or_default()
        } else {
            actions.iter().flatten().filter(|action| action.kind.as_deref() == Some("action")).count() as i64
        },
        converted: visit.visit_converted == Some(1),
        channel: origin.channel,
        channel_detail: Some(origin.detail),
        campaign_id: origin.campaign_id,
        device: visit.device_type.as_ref().map(|device| clean::storable(&device.to_lowercase())),
        landing_url: landing.map(|url| clean::storable(&clean::url(url))),
        referrer: visit.referrer_url.as_deref().map(|url| clean::storable(&clean::url(url))),
        time_on_site: visit.visit_duration,
        bot: None,
        seq: id_visit,
        source: SERVICE.to_owned(),
        site: site.site.clone(),
        day: zone::local_day(start_time, site.days_in()),
    };
    let currency = visit.site_currency.as_ref().and_then(|code| code.parse().ok()).or(site.currency);
    let stamps: Vec<Stamp> = actions
        .iter()
        .map(|action| Stamp {
            // An action without a timestamp gets no candidate, and is rejected below.
            local: action.as_ref().and_then(|action| action.timestamp).unwrap_or(i64::MIN),
            spent: action.as_ref().and_then(|action| action.time_spent),
        })
        .collect();
    let found = instants(&stamps, site.days_in(), first, last);
    for (index, ((raw, action), at)) in visit.action_details.iter().zip(&actions).zip(found).enumerate() {
        page.read += 1;
        if let Value::Object(fields) = raw {
            drift::of_action(PLACE, &format!("visit {native} action {index}"), fields, page);
        }
        let (Some(action), Some(at)) = (action, at) else {
            reject(page, raw, "the action's time is not inside of its visit");
            continue;
        };
        match event(action, at, index, &native, &session, currency, site) {
            Ok(event) => page.events.push(event),
            Err(reason) => reject(page, raw, reason),
        }
    }
    page.sessions.push(session);
}

/// No warehouse holds a NUL in a text.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn epoch(seconds: Option<i64>) -> Option<(i64, DateTime<Utc>)> {
    let seconds = seconds.filter(|seconds| (1..=LAST_EPOCH).contains(seconds))?;
    Some((seconds, DateTime::from_timestamp(seconds, 0)?))
}

fn event(
    action: &Action,
    at: DateTime<Utc>,
    index: usize,
    visit: &str,
    session: &Session,
    currency: Option<Currency>,
    site: &SiteFacts,
) -> Result<Event, &'static str> {
    let kind = action.kind.as_deref().unwrap_or("unknown");
    let mut properties = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            properties.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::String);
    put("url", action.url.as_deref().map(|url| Value::String(clean::url(url))));
    put("title", text(&action.page_title));
    let page = || action.page_id.as_ref().map(|page| format!("page:{page}"));
    let (event_type, native) = match kind {
        "action" => (EventType::PAGE_VIEW, page()),
        "search" => {
            put("keyword", text(&action.site_search_keyword));
            (EventType::SEARCH, page())
        }
        "download" => (EventType::DOWNLOAD, page()),
        "outlink" => (EventType::OUTLINK, page()),
        "event" => {
            put("category", text(&action.event_category));
            put("action", text(&action.event_action));
            put("name", text(&action.event_name));
            put("value", action.event_value.map(amount));
            (named("custom_event"), page())
        }
        // Tracker\Action::TYPE_CONTENT: Live 5.0.2 writes the number.
        "13" | "content" => {
            put("content_name", text(&action.content_name));
            put("content_piece", text(&action.content_piece));
            put("content_target", text(&action.content_target));
            put("content_interaction", text(&action.content_interaction));
            let is_click = action.content_interaction.is_some();
            (named(if is_click { "content_interaction" } else { "content_impression" }), page())
        }
        "goal" => {
            put("goal_id", text(&action.goal_id));
            put("goal_name", text(&action.goal_name));
            put("goal_revenue", action.revenue.filter(|revenue| !revenue.is_zero()).map(amount));
            let goal = action.goal_id.as_deref().unwrap_or_default();
            let page = action.goal_page_id.as_deref();
            (EventType::GOAL, page.map(|page| format!("goal:{visit}:{goal}:{page}")))
        }
        "ecommerceOrder" => {
            put("order_id", text(&action.order_id));
            put("subtotal", action.revenue_sub_total.map(amount));
            put("tax", action.revenue_tax.map(amount));
            put("shipping", action.revenue_shipping.map(amount));
            put("discount", action.revenue_discount.map(amount));
            put("items", Some(items(&action.item_details)));
            (EventType::PURCHASE, action.order_id.as_ref().map(|order| format!("order:{order}")))
        }
        "ecommerceAbandonedCart" => {
            // Matomo keeps one cart for each visit, without an id of its own.
            let native = format!("cart:{visit}");
            put(
                "cart_id",
                Some(format!("{:016x}", id::stable_hash(&["cart", SERVICE, &site.site, visit])).into()),
            );
            put("cart_value", action.revenue.map(amount));
            put("items", Some(items(&action.item_details)));
            (EventType::CART_ABANDONED, Some(native))
        }
        other => {
            put("matomo_type", Some(other.into()));
            (named(&format!("matomo_{}", snake(other))), page())
        }
    };
    let is_purchase = event_type == EventType::PURCHASE;
    let revenue = action.revenue.filter(|_| is_purchase).unwrap_or_default();
    if !crate::csv::fits_amount(revenue) {
        return Err("the revenue does not fit in DECIMAL(10,2)");
    }
    let native = native.unwrap_or_else(|| format!("visit:{visit}:{index}"));
    Ok(Event {
        event_id: id::event_id(SERVICE, &site.site, &native),
        user_id: session.user_id.clone(),
        event_type,
        timestamp: at,
        channel: session.channel,
        revenue: Amount(revenue.round_dp(2)),
        properties: Json(clean::json(Value::Object(properties))),
        session_id: Some(session.session_id.clone()),
        campaign_id: session.campaign_id.clone(),
        currency: (!revenue.is_zero()).then_some(currency).flatten(),
        channel_detail: session.channel_detail.clone(),
        // Matomo numbers visits as they come, and lists actions as they came.
        seq: session.seq.saturating_mul(10_000).saturating_add(i64::try_from(index).unwrap_or(i64::MAX)),
        source: SERVICE.to_owned(),
        site: site.site.clone(),
        day: zone::local_day(at, site.days_in()),
    })
}

/// A name that is known to be one; anything else would be a mistake in this file.
fn named(name: &str) -> EventType {
    EventType::new(name).unwrap_or(EventType::PAGE_VIEW)
}

/// `someNewThing` → `some_new_thing`, 40 characters of it.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().filter(char::is_ascii_alphanumeric).take(40) {
        if c.is_ascii_uppercase() && !out.is_empty() && out.len() < 40 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out.truncate(40);
    if out.is_empty() { "unknown".to_owned() } else { out }
}

/// An amount inside of a JSON document: a number, exact for what money is.
fn amount(value: Decimal) -> Value {
    value.normalize().to_string().parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
}

fn items(raw: &[Value]) -> Value {
    let items = raw.iter().filter_map(|item| Item::deserialize(item).ok()).map(|item| {
        json!({
            "sku": item.sku,
            "name": item.name,
            "category": item.category,
            "price": item.price.map(amount),
            "quantity": item.quantity.map(amount),
        })
    });
    Value::Array(items.collect())
}

/// Where a visit came from.
struct Origin {
    channel: Channel,
    detail: String,
    campaign_id: Option<String>,
}

/// `referrerType` decides, refined by the tags that are left in the landing URL (Matomo strips the campaign's name and
/// keyword from it, not source and medium) and by the host.
fn origin(visit: &Visit, landing: Option<&str>) -> Origin {
    let kind = visit.referrer_type.as_deref().unwrap_or("unknown");
    let name = visit.referrer_name.as_deref().unwrap_or_default();
    let host = visit.referrer_url.as_deref().and_then(|url| Url::parse(url).ok());
    let host = host.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let mut campaign_id = None;
    let channel = match kind {
        "direct" => Channel::Direct,
        // Matomo 5.0 lists Facebook among the search engines (seen in a recording).
        "search" => match channel::of_host(host) {
            channel @ (Channel::Social | Channel::Ai | Channel::Video) => channel,
            _ => Channel::Organic,
        },
        "social" => match channel::of_host(host) {
            Channel::Video => Channel::Video,
            _ => Channel::Social,
        },
        "website" => channel::of_host(host),
        "ai" | "ai_assistant" | "aiassistant" => Channel::Ai,
        "campaign" => {
            let mut tags = landing.and_then(CampaignTags::parse).unwrap_or_default();
            if tags.campaign.is_none() {
                tags.campaign = Some(name.to_owned()).filter(|name| !name.is_empty());
            }
            campaign_id = tags.campaign_id();
            channel::of_tags(
                tags.source.as_deref().unwrap_or_default(),
                tags.medium.as_deref().unwrap_or_default(),
            )
        }
        _ => Channel::Other,
    };
    let detail = match (kind, name) {
        (kind, "") => clean::storable(kind),
        (kind, name) => clean::storable(&format!("{kind}: {name}")),
    };
    Origin { channel, detail: detail.chars().take(200).collect(), campaign_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &Value) -> Page {
        let site = SiteFacts {
            site: "1".to_owned(),
            native_id: "1".to_owned(),
            zone: chrono_tz::Pacific::Kiritimati,
            offset: None,
            currency: None,
            conversion_set: Vec::new(),
        };
        let mut page = Page::default();
        add(raw, &site, &mut page, &mut Tally::default());
        page
    }

    #[test]
    fn numbers_of_no_era_set_the_visit_aside() {
        let visit = |first: i64, last: i64, duration: i64| {
            let details = [json!({"type": "action", "timestamp": i64::MIN, "timeSpent": i64::MAX})];
            json!({"idVisit": 1, "firstActionTimestamp": first, "lastActionTimestamp": last, "visitDuration": duration, "actionDetails": details})
        };
        // 10000-01-01, the last second that chrono knows, and more.
        for last in [253_402_300_800, 8_210_266_876_799, i64::MAX] {
            let page = read(&visit(1_774_570_200, last, 1));
            assert_eq!((page.sessions.len(), page.rejected.len()), (0, 1), "{last}");
            let page = read(&visit(last, last, 1));
            assert_eq!((page.sessions.len(), page.rejected.len()), (0, 1), "{last}");
        }
        for duration in [i64::MIN, i64::MAX] {
            assert_eq!(read(&visit(1_774_570_200, 1_774_570_200, duration)).rejected.len(), 1);
        }
        let page = read(&visit(1_774_570_200, LAST_EPOCH, 1));
        assert_eq!((page.sessions.len(), page.rejected.len()), (1, 1), "only its action is set aside");
    }

    #[test]
    fn no_text_of_a_session_holds_a_nul() {
        let page = read(&json!({
            "idVisit": 1, "firstActionTimestamp": 1_774_570_200, "lastActionTimestamp": 1_774_570_200,
            "userId": "u\u{0}", "visitorId": "v\u{0}", "deviceType": "Desk\u{0}top", "referrerType": "web\u{0}site",
            "referrerName": "na\u{0}me", "referrerUrl": "https://a.example/\u{0}",
            "actionDetails": [{"type": "action", "url": "https://shop.example/\u{0}", "timestamp": 1_774_620_600}],
        }));
        let session = &page.sessions[0];
        assert_eq!(session.device.as_deref(), Some("desk\u{fffd}top"));
        assert_eq!(session.landing_url.as_deref(), Some("https://shop.example/\u{fffd}"));
        assert!(!format!("{session:?}").contains("\\0"), "{session:?}");
    }
}
