//! A row of each of the four files as a row of the warehouse. Pure; a refusal is one clause without values.

use super::Settings;
use super::sheet::{Row, SERVICE};
use super::value::{amount, count, date, instant, optional_instant, truth};
use crate::{clean, zone};
use chrono::NaiveDate;
use mkt_connect::{CampaignTags, Channel, Currency, campaign_id};
use mkt_warehouse::id;
use mkt_warehouse::model::{Cost, Event, EventType, Json, Session, User};
use serde_json::Value;

pub(super) const SESSIONS: &[&str] =
    &["session_id", "user_id", "start_time", "end_time", "pages_viewed", "converted", "channel"];
pub(super) const EVENTS: &[&str] = &["user_id", "event_type", "timestamp", "channel"];
/// What else is read of events, and is no property.
pub(super) const EVENTS_MAY: &[&str] = &["event_id", "revenue", "properties", "session_id", "currency"];
pub(super) const CUSTOMERS: &[&str] = &["user_id"];
/// What else is read of customers. The address and the name are known columns so that nobody is told that they were
/// not used; they are not.
pub(super) const CUSTOMERS_MAY: &[&str] = &[
    "user_id",
    "email",
    "first_name",
    "lang",
    "consent_marketing",
    "consent_since",
    "signed_up_at",
    "segment",
    "sex",
    "age_band",
    "occupation",
];
pub(super) const COSTS: &[&str] =
    &["day", "channel", "source", "medium", "campaign", "impressions", "clicks", "cost", "currency"];

/// The day whose slice a session or an event belongs to.
pub(super) fn day_of(row: &Row<'_>, column: &str, settings: &Settings) -> Result<NaiveDate, String> {
    Ok(zone::local_day(instant(row, column, settings.times_in)?, settings.zone))
}

fn user_id(row: &Row<'_>) -> Result<String, String> {
    Ok(id::site_user_id(row.need("user_id")?))
}

/// The currency that a row names, else that of the settings.
fn currency(row: &Row<'_>, settings: &Settings) -> Result<Currency, String> {
    match row.get("currency") {
        Some(code) => code.parse().map_err(|_| "currency is no ISO 4217 code".to_owned()),
        None => Ok(settings.currency),
    }
}

/// The channel, and the file's own word for it where that is no channel.
fn channel(row: &Row<'_>) -> (Channel, Option<String>) {
    match row.get("channel").map(|text| (text.parse(), text)) {
        Some((Ok(channel), _)) => (channel, None),
        Some((Err(_), text)) => {
            (Channel::Other, Some(clean::without_addresses(text).chars().take(200).collect()))
        }
        None => (Channel::Other, None),
    }
}

pub(super) fn session(
    row: &Row<'_>,
    settings: &Settings,
    campaign: Option<String>,
) -> Result<Session, String> {
    let start_time = instant(row, "start_time", settings.times_in)?;
    let end_time = instant(row, "end_time", settings.times_in)?;
    if end_time < start_time {
        return Err("end_time is before start_time".to_owned());
    }
    let (channel, channel_detail) = channel(row);
    Ok(Session {
        session_id: id::session_id(SERVICE, &settings.site, row.need("session_id")?),
        user_id: user_id(row)?,
        start_time,
        end_time,
        pages_viewed: count(row, "pages_viewed")?.unwrap_or_default(),
        converted: truth(row, "converted")?,
        channel,
        channel_detail,
        campaign_id: campaign,
        device: row.get("device").map(str::to_lowercase),
        landing_url: row.get("landing_url").map(clean::url),
        referrer: row.get("referrer").map(clean::url),
        time_on_site: Some((end_time - start_time).num_seconds()),
        bot: None,
        seq: 0,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: zone::local_day(start_time, settings.zone),
    })
}

/// The properties of an event, as an object.
fn properties(row: &Row<'_>) -> Result<serde_json::Map<String, Value>, String> {
    match row.get("properties").map(serde_json::from_str::<Value>) {
        None => Ok(serde_json::Map::new()),
        Some(Ok(Value::Object(properties))) => Ok(properties),
        Some(Ok(Value::Null)) => Ok(serde_json::Map::new()),
        Some(_) => Err("properties is no JSON object".to_owned()),
    }
}

/// The file's own id of the session that an event belongs to, and the campaign that its URL names.
pub(super) fn session_and_campaign(row: &Row<'_>) -> (Option<String>, Option<String>) {
    let Ok(properties) = properties(row) else { return (None, None) };
    let text = |name: &str| properties.get(name).and_then(Value::as_str);
    let campaign = text("url").and_then(CampaignTags::parse).and_then(|tags| tags.campaign_id());
    (row.get("session_id").or(text("session_id")).map(str::to_owned), campaign)
}

/// From the file's own id; in a file without such a column, from the file's key and all cells.
fn event_id(row: &Row<'_>, settings: &Settings) -> Result<i64, String> {
    if row.has("event_id") {
        return Ok(id::event_id(SERVICE, &settings.site, row.need("event_id")?));
    }
    let file = settings.key.as_deref().unwrap_or_default();
    let mut parts = vec!["row", SERVICE, &settings.site, file];
    parts.extend(row.cells().iter().map(String::as_str));
    Ok(id::stable_hash(&parts))
}

/// An event. `campaign` is that of its session; its own URL goes before.
pub(super) fn event(
    row: &Row<'_>,
    settings: &Settings,
    comma: bool,
    campaign: Option<String>,
) -> Result<Event, String> {
    let timestamp = instant(row, "timestamp", settings.times_in)?;
    let name = row.need("event_type")?.to_lowercase();
    let event_type = EventType::new(&name)
        .map_err(|_| "event_type is no name of lower-case letters, digits and _".to_owned())?;
    let currency = currency(row, settings)?;
    let mut revenue = amount(row, "revenue", currency, comma)?;
    // Files differ in whether they write the sign; a refund never earns.
    if event_type == EventType::REFUND && revenue.0.is_sign_positive() && !revenue.0.is_zero() {
        revenue.0 = -revenue.0;
    }
    let (session, own_campaign) = session_and_campaign(row);
    let mut properties = properties(row)?;
    properties.remove("session_id");
    if let Some(Value::String(url)) = properties.get_mut("url") {
        *url = clean::url(url);
    }
    // A column that we do not know is kept: schemas drift.
    for (column, cell) in row.others(EVENTS).filter(|(column, _)| !EVENTS_MAY.contains(column)) {
        properties.entry(column).or_insert_with(|| Value::String(cell.to_owned()));
    }
    Ok(Event {
        event_id: event_id(row, settings)?,
        user_id: user_id(row)?,
        event_type,
        timestamp,
        channel: channel(row).0,
        revenue,
        properties: Json(clean::json(Value::Object(properties))),
        session_id: session.map(|session| id::session_id(SERVICE, &settings.site, &session)),
        campaign_id: own_campaign.or(campaign),
        currency: (!revenue.0.is_zero()).then_some(currency),
        channel_detail: None,
        seq: 0,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: zone::local_day(timestamp, settings.zone),
    })
}

/// A customer without address and name.
pub(super) fn user(row: &Row<'_>, settings: &Settings, otherwise: NaiveDate) -> Result<User, String> {
    let signed_up_at = optional_instant(row, "signed_up_at", settings.times_in)?;
    let mut attributes = serde_json::Map::new();
    if row.get("consent_marketing").is_some() {
        attributes.insert("consent_marketing".to_owned(), truth(row, "consent_marketing")?.into());
    }
    if let Some(since) = optional_instant(row, "consent_since", settings.times_in)? {
        let text = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        attributes.insert("consent_since".to_owned(), text.into());
    }
    let text = |column: &str| row.get(column).map(|cell| clean::without_addresses(cell).into_owned());
    Ok(User {
        user_id: user_id(row)?,
        signed_up_at,
        language: text("lang").map(|lang| lang.to_lowercase()),
        sex: text("sex"),
        age_band: text("age_band"),
        occupation: text("occupation"),
        segment: text("segment"),
        attributes: Json(Value::Object(attributes)),
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: signed_up_at.map_or(otherwise, |at| zone::local_day(at, settings.zone)),
    })
}

/// What a campaign cost on a day, with the three names that make its id.
pub(super) fn cost(row: &Row<'_>, settings: &Settings, comma: bool) -> Result<(Cost, [String; 3]), String> {
    let names = ["source", "medium", "campaign"]
        .map(|column| clean::without_addresses(row.get(column).unwrap_or_default()).into_owned());
    if names.iter().all(String::is_empty) {
        return Err("source, medium and campaign are empty".to_owned());
    }
    let currency = currency(row, settings)?;
    row.need("cost")?;
    let cost = amount(row, "cost", currency, comma)?;
    Ok((
        Cost {
            campaign_id: campaign_id(&names[0], &names[1], &names[2]),
            channel: channel(row).0,
            impressions: count(row, "impressions")?,
            clicks: count(row, "clicks")?,
            post_view_conversions: None,
            cost,
            currency,
            source: SERVICE.to_owned(),
            site: settings.site.clone(),
            day: date(row, "day")?,
        },
        names,
    ))
}
