//! A record of each of the four files as a row of the warehouse. Pure; a refusal names the column, never its value.

use super::columns::{Column, Columns};
use super::preset::{Amounts, Preset};
use super::{SERVICE, Settings};
use crate::{channel, clean, zone};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use mkt_connect::table::cell::{self, CellError, CellProblem, DateOrder, DecimalMark, Missing, TimeFormat};
use mkt_connect::table::{Reason, Record};
use mkt_connect::{CampaignTags, Channel, Currency, campaign_id};
use mkt_warehouse::id;
use mkt_warehouse::model::{Amount, Cost, Event, EventType, Json, Session, User};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

type Refusal<T> = Result<T, Reason>;

/// How the cells of a file are written.
#[derive(Debug, Clone)]
pub(super) struct Formats {
    pub(super) time: TimeFormat,
    /// Of amounts, as declared or proven; `None` where neither.
    pub(super) mark: Option<DecimalMark>,
    /// Of dates, as declared or proven.
    pub(super) order: Option<DateOrder>,
    pub(super) missing: Missing,
}

/// A record with its columns.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) record: Record<'a>,
    pub(super) columns: &'a Columns,
    pub(super) formats: &'a Formats,
    pub(super) settings: &'a Settings,
    /// The place in the order of the slice's records.
    pub(super) seq: i64,
}

fn rule(column: Column, clause: &str) -> Reason {
    Reason::rule("cell", format!("column {:?}: {clause}", column.name()))
}

fn wrong(column: Column) -> impl Fn(CellError) -> Reason {
    move |error| Reason::cell(column.name(), error)
}

impl<'a> Row<'a> {
    /// The cell of a column; `None` where it is empty or the file has no such column.
    #[inline]
    pub(super) fn get(&self, column: Column) -> Option<&'a str> {
        let cell = self.record.cell(self.columns.at(column)?);
        (!cell.is_empty()).then_some(cell)
    }

    fn need(&self, column: Column) -> Refusal<&'a str> {
        self.get(column).ok_or_else(|| Reason::cell(column.name(), CellError::new(CellProblem::Empty, "")))
    }

    fn preset(&self) -> Option<&'static Preset> {
        self.columns.preset
    }

    /// The cells of columns that nothing is made of, where they are not empty.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let record = self.record;
        self.columns.others().iter().filter_map(move |(index, name)| {
            let cell = record.cell(*index);
            (!cell.is_empty()).then_some((name.as_str(), cell))
        })
    }

    fn instant(&self, column: Column) -> Refusal<DateTime<Utc>> {
        let stamp = self.formats.time.parse(self.need(column)?).map_err(wrong(column))?;
        let zone = if self.columns.says_utc(column) { Tz::UTC } else { self.settings.times_in };
        let at = stamp.in_zone(Some(&zone)).map_err(wrong(column))?;
        // Far from both ends of what the engines hold, and of what anybody measured.
        if (1970..=9998).contains(&at.year()) {
            Ok(at)
        } else {
            Err(rule(column, "not a time between 1970 and 9998"))
        }
    }

    fn optional_instant(&self, column: Column) -> Refusal<Option<DateTime<Utc>>> {
        self.get(column).map(|_| self.instant(column)).transpose()
    }

    fn date(&self, column: Column) -> Refusal<NaiveDate> {
        let day = cell::date(self.need(column)?, self.formats.order).map_err(wrong(column))?;
        if (1970..=9998).contains(&day.year()) {
            Ok(day)
        } else {
            Err(rule(column, "not a day between 1970 and 9998"))
        }
    }

    fn truth(&self, column: Column) -> Refusal<bool> {
        cell::boolean(self.need(column)?).map_err(wrong(column))
    }

    fn count(&self, column: Column) -> Refusal<Option<i64>> {
        let Some(text) = self.get(column) else { return Ok(None) };
        let count = cell::count(text, self.settings.decimal_mark).map_err(wrong(column))?;
        i64::try_from(count)
            .map(Some)
            .map_err(|_| Reason::cell(column.name(), CellError::new(CellProblem::Range, text)))
    }

    fn needed_count(&self, column: Column) -> Refusal<i64> {
        self.need(column)?;
        Ok(self.count(column)?.unwrap_or_default())
    }

    /// An amount of money. Empty is zero.
    fn amount(&self, column: Column, currency: Currency) -> Refusal<Amount> {
        let Some(text) = self.get(column) else { return Ok(Amount(Decimal::ZERO)) };
        let (number, sign) = match text.as_bytes() {
            [b'0'..=b'9', .., b'0'..=b'9'] | [b'0'..=b'9'] => (text, None),
            _ => cell::split_currency(text),
        };
        if sign.is_some_and(|sign| !is_of(sign, currency)) {
            return Err(rule(column, "the sign of another currency than the row's; declare the currency"));
        }
        let amount = cell::decimal(number, self.formats.mark).map_err(wrong(column))?;
        if !fits_amount(amount) {
            return Err(rule(column, "an amount of 100 000 000 or more does not fit DECIMAL(10,2)"));
        }
        // To the hundredths that are stored, so that what is compared is what is kept.
        Ok(Amount(amount.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero)))
    }

    /// The day whose slice a session or an event belongs to.
    pub(super) fn day(&self, column: Column) -> Refusal<NaiveDate> {
        Ok(zone::local_day(self.instant(column)?, self.settings.zone))
    }

    fn user_id(&self) -> Refusal<String> {
        let text = self.need(Column::UserId)?;
        // `NULL`, `nan`, `(not set)` are no person: all their rows would be one.
        if self.formats.missing.is(text) || text.eq_ignore_ascii_case("(not set)") {
            return Err(rule(Column::UserId, "a word for missing, not a user"));
        }
        if self.preset().is_some_and(|preset| preset.named_users) {
            return Ok(format!("u:{:016x}", id::stable_hash(&["name", &text.to_lowercase()])));
        }
        Ok(id::site_user_id(text))
    }

    /// The currency that a row names, else that of the settings.
    fn currency(&self) -> Refusal<Currency> {
        match self.get(Column::Currency) {
            Some(code) => code.parse().map_err(|_| rule(Column::Currency, "not an ISO 4217 code")),
            None => Ok(self.settings.currency),
        }
    }

    /// The channel, and the file's own word for it where that is not the channel's name.
    fn channel(&self) -> (Channel, Option<Cow<'a, str>>) {
        if self.preset().is_some_and(|preset| preset.by_tags) {
            let (source, medium) =
                (self.get(Column::Source).unwrap_or_default(), self.get(Column::Medium).unwrap_or_default());
            let word = format!("{source} / {medium}");
            return (self.named_channel(&word).unwrap_or(Channel::Other), Some(Cow::Owned(word)));
        }
        let Some(word) = self.get(Column::Channel) else {
            return (self.settings.default_channel.unwrap_or(Channel::Other), None);
        };
        if let Ok(channel) = word.parse() {
            return (channel, None);
        }
        (self.named_channel(word).unwrap_or(Channel::Other), Some(Cow::Borrowed(word)))
    }

    fn named_channel(&self, word: &str) -> Option<Channel> {
        let declared = || self.settings.channels.get(&channel::folded(word)).copied();
        // `Organic: Google` is a kind and its example.
        let kind = || channel::of_name(word.split_once(": ")?.0);
        declared().or_else(|| channel::of_name(word)).or_else(kind)
    }

    /// The word of a channel that is not known.
    pub(super) fn unknown_channel(&self) -> Option<Cow<'a, str>> {
        let (channel, word) = self.channel();
        let word = word.filter(|_| channel == Channel::Other)?;
        self.named_channel(&word).is_none().then_some(word)
    }

    /// The type of an event: the export's word for it, a usual word, or the file's own.
    pub(super) fn event_type(&self) -> Refusal<EventType> {
        if let Some(event) = self.preset().and_then(|preset| preset.event) {
            let kind = if self.is_return() { "refund" } else { event };
            return EventType::new(kind).map_err(|_| rule(Column::EventType, "not the name of an event"));
        }
        if let Some(every) =
            self.settings.event_type.as_ref().filter(|_| self.columns.at(Column::EventType).is_none())
        {
            return Ok(every.clone());
        }
        let text = self.need(Column::EventType)?;
        let words = self.preset().map_or(&[][..], |preset| preset.words);
        let name = event_name(text, words);
        EventType::new(&name).map_err(|_| rule(Column::EventType, "not a name of letters, digits and _"))
    }

    fn is_return(&self) -> bool {
        self.preset().is_some_and(|preset| preset.amounts == Amounts::QuantityTimesPrice)
            && self.get(Column::Quantity).is_some_and(|text| text.starts_with(['-', '−']))
    }

    /// Whether the record is a further line of the order above it.
    pub(super) fn is_further_line(&self) -> bool {
        self.preset().is_some_and(|preset| preset.has_lines) && self.get(Column::Status).is_none()
    }

    fn revenue(&self, event: &EventType, currency: Currency) -> Refusal<Amount> {
        match self.preset().map_or(Amounts::Column, |preset| preset.amounts) {
            Amounts::Missing if self.get(Column::Revenue).is_none() => Ok(Amount(Decimal::ZERO)),
            Amounts::OfPurchases if *event != EventType::PURCHASE => Ok(Amount(Decimal::ZERO)),
            Amounts::QuantityTimesPrice => {
                let price = self.amount(Column::UnitPrice, currency)?.0;
                let text = self.get(Column::Quantity).unwrap_or("0");
                let quantity = cell::decimal(text, self.formats.mark).map_err(wrong(Column::Quantity))?;
                let amount = quantity.checked_mul(price).filter(|amount| fits_amount(*amount));
                amount.map(|amount| Amount(amount.round_dp(2))).ok_or_else(|| {
                    rule(Column::UnitPrice, "an amount of 100 000 000 or more does not fit DECIMAL(10,2)")
                })
            }
            _ => self.amount(Column::Revenue, currency),
        }
    }

    /// A row that the export itself calls no purchase, or that the settings leave out.
    fn check_status(&self) -> Refusal<()> {
        for (index, values) in self.columns.only() {
            let cell = self.record.cell(*index).trim().to_lowercase();
            if !values.contains(&cell) {
                return Err(Reason::rule(
                    "left_out",
                    format!("left out: the value is none of {}", values.join(", ")),
                ));
            }
        }
        let Some(paid) = self.preset().map(|preset| preset.paid).filter(|paid| !paid.is_empty()) else {
            return Ok(());
        };
        let status = self.need(Column::Status)?.to_lowercase();
        if paid.contains(&status.as_str()) {
            Ok(())
        } else {
            Err(rule(Column::Status, "the order is no purchase by its status"))
        }
    }
}

/// Whether an amount fits `DECIMAL(10,2)`: less than 100 000 000 either way, after rounding to hundredths.
pub(crate) fn fits_amount(amount: Decimal) -> bool {
    amount.round_dp(2).abs() < Decimal::from(100_000_000)
}

fn is_of(sign: &str, currency: Currency) -> bool {
    match (sign, currency.as_str()) {
        ("€", code) => code == "EUR",
        ("£", code) => matches!(code, "GBP" | "EGP" | "FKP" | "GIP" | "SHP"),
        ("¥", code) => matches!(code, "JPY" | "CNY"),
        ("$", code) => {
            matches!(
                code,
                "USD" | "CAD" | "AUD" | "NZD" | "HKD" | "SGD" | "MXN" | "TWD" | "CLP" | "COP" | "ARS" | "BRL"
            )
        }
        (sign, code) => sign == code,
    }
}

/// The name of an event type in our words. `words` are those of a known export.
fn event_name(text: &str, words: &[(&str, &str)]) -> String {
    // Most cells are such a name already.
    let plain: String = text
        .trim_start_matches('$')
        .chars()
        .map(|c| match c {
            ' ' | '-' | '.' => '_',
            c => c.to_ascii_lowercase(),
        })
        .collect();
    if let Some((_, ours)) = words.iter().find(|(theirs, _)| *theirs == plain) {
        return (*ours).to_owned();
    }
    match plain.as_str() {
        "pageview" | "page" | "page_viewed" | "page_vue" => "page_view",
        "product_viewed" | "view_item" | "view_product" | "produit_vu" => "product_view",
        "addtocart" | "add_to_basket" | "product_added" | "ajout_panier" | "ajout_au_panier" => "add_to_cart",
        "removefromcart" | "product_removed" | "retrait_panier" => "remove_from_cart",
        "order_completed" | "checkout_completed" | "order" | "transaction" | "commande" | "achat" => {
            "purchase"
        }
        "sign_up" | "signed_up" | "register" | "inscription" => "signup",
        "refunded" | "remboursement" | "rembourse" | "remboursé" | "order_refunded" => "refund",
        _ => return plain,
    }
    .to_owned()
}

/// What of `properties` decides about other columns.
#[derive(Debug, Default, Deserialize)]
struct Known<'a> {
    #[serde(default, borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    session_id: Option<Cow<'a, str>>,
}

/// A JSON object, of which nothing is kept.
struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = AnyObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<AnyObject, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(AnyObject)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Whether a URL may hold tags of a campaign: in its query or fragment, with an underscore in the name (`utm_source`,
/// `mtm_campaign`, `pk_kwd`, `at_medium`) or as `xtor`. Most URLs have a query without any, and reading it is dear.
fn may_be_tagged(url: &str) -> bool {
    let bytes = url.as_bytes();
    let Some(from) = bytes.iter().position(|byte| matches!(byte, b'?' | b'#')) else { return false };
    let rest = bytes.get(from..).unwrap_or_default();
    rest.contains(&b'_')
        || rest.contains(&b'%')
        || rest.windows(4).any(|four| four.eq_ignore_ascii_case(b"xtor"))
}

/// The file's own id of the session that an event belongs to, and the campaign that its URL names.
pub(super) fn session_and_campaign(row: &Row<'_>) -> (Option<String>, Option<String>) {
    let known: Known<'_> = match row.get(Column::Properties) {
        None | Some("{}") => Known::default(),
        Some(text) => match serde_json::from_str(text) {
            Ok(known) => known,
            // Of other types: not what is looked for.
            Err(_) => match serde_json::from_str::<serde_json::Map<String, Value>>(text) {
                Ok(fields) => {
                    let text = |name: &str| {
                        fields.get(name).and_then(Value::as_str).map(|text| Cow::Owned(text.to_owned()))
                    };
                    Known { url: text("url"), session_id: text("session_id") }
                }
                Err(_) => return (None, None),
            },
        },
    };
    let tagged = known.url.as_deref().filter(|url| may_be_tagged(url));
    let campaign = tagged.and_then(CampaignTags::parse).and_then(|tags| tags.campaign_id());
    let session = row.get(Column::SessionId).map(str::to_owned);
    (session.or_else(|| known.session_id.map(Cow::into_owned)), campaign)
}

/// The properties of an event, as an object.
fn properties(row: &Row<'_>) -> Refusal<serde_json::Map<String, Value>> {
    match row.get(Column::Properties) {
        None | Some("{}") => Ok(serde_json::Map::new()),
        Some(text) => match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(properties)) => Ok(properties),
            Ok(Value::Null) => Ok(serde_json::Map::new()),
            _ => Err(rule(Column::Properties, "not a JSON object")),
        },
    }
}

/// From the file's own id; in a file without such a column, from all cells: the same row in another file is the same event.
pub(super) fn event_id(row: &Row<'_>) -> Refusal<i64> {
    let site = &row.settings.site;
    if row.columns.at(Column::EventId).is_some() {
        return Ok(id::event_id(SERVICE, site, row.need(Column::EventId)?));
    }
    let mut parts = vec!["row", SERVICE, site];
    parts.extend(row.record.iter());
    Ok(id::stable_hash(&parts))
}

/// Whether the row becomes an event, as far as can be seen without its amount's decimal mark; its id.
pub(super) fn event_identity(row: &Row<'_>) -> Refusal<i64> {
    row.user_id()?;
    row.event_type()?;
    row.currency()?;
    row.check_status()?;
    if let Some(text) = row.get(Column::Revenue) {
        either_mark(Column::Revenue, text)?;
    }
    if let Some(text) = row.get(Column::Properties).filter(|text| *text != "{}") {
        serde_json::from_str::<Option<AnyObject>>(text)
            .map_err(|_| rule(Column::Properties, "not a JSON object"))?;
    }
    event_id(row)
}

/// Whether a text is an amount with one decimal mark or the other.
fn either_mark(column: Column, text: &str) -> Refusal<()> {
    let (number, _) = cell::split_currency(text);
    let read = |mark| cell::decimal(number, Some(mark)).map(fits_amount);
    match (read(DecimalMark::Point), read(DecimalMark::Comma)) {
        (Ok(true), _) | (_, Ok(true)) => Ok(()),
        (Err(error), _) => Err(Reason::cell(column.name(), error)),
        _ => Err(rule(column, "an amount of 100 000 000 or more does not fit DECIMAL(10,2)")),
    }
}

/// What identifies a session: a hash of its id.
pub(super) fn session_identity(row: &Row<'_>) -> Refusal<i64> {
    let (start, end) = (row.instant(Column::StartTime)?, row.instant(Column::EndTime)?);
    if end < start {
        return Err(rule(Column::EndTime, "before start_time"));
    }
    row.user_id()?;
    row.needed_count(Column::PagesViewed)?;
    row.truth(Column::Converted)?;
    Ok(id::stable_hash(&[row.need(Column::SessionId)?]))
}

pub(super) fn user_identity(row: &Row<'_>) -> Refusal<i64> {
    Ok(id::stable_hash(&[&row.user_id()?]))
}

pub(super) fn cost_identity(row: &Row<'_>) -> Refusal<i64> {
    let names = names(row)?;
    row.currency()?;
    row.count(Column::Impressions)?;
    row.count(Column::Clicks)?;
    either_mark(Column::Cost, row.need(Column::Cost)?)?;
    let campaign = campaign_id(&names[0], &names[1], &names[2]);
    Ok(id::stable_hash(&[&row.date(Column::Day)?.to_string(), row.channel().0.as_str(), &campaign]))
}

pub(super) fn session(row: &Row<'_>, campaign: Option<String>) -> Refusal<Session> {
    let start_time = row.instant(Column::StartTime)?;
    let end_time = row.instant(Column::EndTime)?;
    if end_time < start_time {
        return Err(rule(Column::EndTime, "before start_time"));
    }
    let settings = row.settings;
    let (channel, word) = row.channel();
    Ok(Session {
        session_id: id::session_id(SERVICE, &settings.site, row.need(Column::SessionId)?),
        user_id: row.user_id()?,
        start_time,
        end_time,
        pages_viewed: row.needed_count(Column::PagesViewed)?,
        converted: row.truth(Column::Converted)?,
        channel,
        channel_detail: word.map(|word| detail(&word)),
        campaign_id: campaign,
        device: row.get(Column::Device).map(str::to_lowercase),
        landing_url: row.get(Column::LandingUrl).map(clean::url),
        referrer: row.get(Column::Referrer).map(clean::url),
        time_on_site: Some((end_time - start_time).num_seconds()),
        bot: None,
        seq: row.seq,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: zone::local_day(start_time, settings.zone),
    })
}

fn detail(word: &str) -> String {
    clean::without_addresses(word).chars().take(200).collect()
}

/// An event. `campaign_of` is that of its session; its own URL goes before.
pub(super) fn event(row: &Row<'_>, campaign_of: impl Fn(Option<&str>) -> Option<String>) -> Refusal<Event> {
    let settings = row.settings;
    let timestamp = row.instant(Column::Timestamp)?;
    let event_type = row.event_type()?;
    row.check_status()?;
    let currency = row.currency()?;
    let mut revenue = row.revenue(&event_type, currency)?;
    // Files differ in whether they write the sign; a refund never earns.
    if event_type == EventType::REFUND && revenue.0.is_sign_positive() && !revenue.0.is_zero() {
        revenue.0 = -revenue.0;
    }
    let (session, own_campaign) = session_and_campaign(row);
    let campaign = own_campaign.or_else(|| campaign_of(session.as_deref()));
    let mut properties = properties(row)?;
    properties.remove("session_id");
    if let Some(Value::String(url)) = properties.get_mut("url") {
        *url = clean::url(url);
    }
    // A column that we do not know is kept: schemas drift.
    for (column, cell) in row.others() {
        properties.entry(column).or_insert_with(|| Value::String(cell.to_owned()));
    }
    let (channel, word) = row.channel();
    let as_they_stand =
        row.others().next().is_none() && row.get(Column::Properties).is_none_or(clean::is_clean_json);
    let properties = if properties.is_empty() || as_they_stand {
        Value::Object(properties)
    } else {
        clean::json(Value::Object(properties))
    };
    Ok(Event {
        event_id: event_id(row)?,
        user_id: row.user_id()?,
        event_type,
        timestamp,
        channel,
        revenue,
        properties: Json(properties),
        session_id: session.as_deref().map(|session| id::session_id(SERVICE, &settings.site, session)),
        campaign_id: campaign,
        currency: (!revenue.0.is_zero()).then_some(currency),
        channel_detail: word.map(|word| detail(&word)),
        seq: row.seq,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: zone::local_day(timestamp, settings.zone),
    })
}

/// A customer without address and name.
pub(super) fn user(row: &Row<'_>, otherwise: NaiveDate) -> Refusal<User> {
    let settings = row.settings;
    let signed_up_at = row.optional_instant(Column::SignedUpAt)?;
    let mut attributes = serde_json::Map::new();
    if row.get(Column::ConsentMarketing).is_some() {
        attributes.insert("consent_marketing".to_owned(), row.truth(Column::ConsentMarketing)?.into());
    }
    if let Some(since) = row.optional_instant(Column::ConsentSince)? {
        let text = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        attributes.insert("consent_since".to_owned(), text.into());
    }
    let text = |column| row.get(column).map(|cell| clean::without_addresses(cell).into_owned());
    Ok(User {
        user_id: row.user_id()?,
        signed_up_at,
        language: text(Column::Lang).map(|lang| lang.to_lowercase()),
        sex: text(Column::Sex),
        age_band: text(Column::AgeBand),
        occupation: text(Column::Occupation),
        segment: text(Column::Segment),
        attributes: Json(Value::Object(attributes)),
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: signed_up_at.map_or(otherwise, |at| zone::local_day(at, settings.zone)),
    })
}

/// Source, medium and name of a campaign.
fn names(row: &Row<'_>) -> Refusal<[String; 3]> {
    let names = [Column::Source, Column::Medium, Column::Campaign]
        .map(|column| clean::without_addresses(row.get(column).unwrap_or_default()).into_owned());
    if names.iter().all(String::is_empty) {
        return Err(Reason::rule("campaign", "source, medium and campaign are empty"));
    }
    Ok(names)
}

/// What a campaign cost on a day, with the three names that make its id.
pub(super) fn cost(row: &Row<'_>) -> Refusal<(Cost, [String; 3])> {
    let names = names(row)?;
    let currency = row.currency()?;
    row.need(Column::Cost)?;
    let cost = row.amount(Column::Cost, currency)?;
    Ok((
        Cost {
            campaign_id: campaign_id(&names[0], &names[1], &names[2]),
            channel: row.channel().0,
            impressions: row.count(Column::Impressions)?,
            clicks: row.count(Column::Clicks)?,
            post_view_conversions: None,
            cost,
            currency,
            source: SERVICE.to_owned(),
            site: row.settings.site.clone(),
            day: row.date(Column::Day)?,
        },
        names,
    ))
}
