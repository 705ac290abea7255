//! Which part of the warehouse a report looks at.

use crate::table::Value;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use mkt_connect::{Channel, Error, ErrorKind, Result};

/// A half-open period, the zone in which hours, days and months are cut, and which traffic counts.
///
/// Filters keep sessions, and events through the session that they name: an event counts when its session does. An event
/// without a session, or of one that is not in the warehouse, is filtered by its own channel and campaign, and left out
/// when devices are asked for. Several filters must all hold. What is no traffic is filtered by what it has: costs by
/// channel and campaign, mails by campaign, sign-ups and loads by neither.
///
/// ```
/// use chrono::NaiveDate;
/// use mkt_warehouse::report::Scope;
/// let day = |d| NaiveDate::from_ymd_opt(2026, 10, d).unwrap_or_default();
/// // 25 October 2026 has 25 hours in Paris.
/// let scope = Scope::days("Europe/Paris", day(25), day(26))?.site("shop");
/// assert_eq!((scope.until() - scope.from()).num_hours(), 25);
/// # Ok::<(), mkt_connect::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    zone: Tz,
    site: Option<String>,
    source: Option<String>,
    channels: Option<String>,
    devices: Option<String>,
    campaigns: Option<String>,
}

impl Scope {
    /// The local days `from` ≤ day < `until` of a zone (IANA name). A day begins at its first existing instant.
    ///
    /// # Errors
    /// `Input` for an unknown zone, a period that ends before it begins, or a year outside 1 to 9998.
    pub fn days(zone: &str, from: NaiveDate, until: NaiveDate) -> Result<Self> {
        let zone = parse_zone(zone)?;
        Self::new(zone, start_of_day(zone, from), start_of_day(zone, until))
    }

    /// The instants `from` ≤ t < `until`; hours, days and months are cut in a zone (IANA name).
    ///
    /// # Errors
    /// As [`days`](Self::days).
    pub fn between(zone: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self> {
        Self::new(parse_zone(zone)?, from, until)
    }

    fn new(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self> {
        if until < from {
            return Err(input("the period ends before it begins"));
        }
        if from.year() < 1 || until.year() > 9998 {
            return Err(input("the period lies outside the years 1 to 9998"));
        }
        Ok(Self {
            from,
            until,
            zone,
            site: None,
            source: None,
            channels: None,
            devices: None,
            campaigns: None,
        })
    }

    /// Only this site. Without, all sites. A name with NUL in it, here or in [`source`](Self::source), is an error of the
    /// report.
    #[must_use]
    pub fn site(mut self, site: impl Into<String>) -> Self {
        self.site = Some(site.into());
        self
    }

    /// Only what this source told. Without, each site's system of record (`sites.record_source`); every source for a
    /// site that `sites` does not list.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Only traffic through these channels. None of them leaves nothing; a second call replaces the first.
    #[must_use]
    pub fn channels(mut self, channels: impl IntoIterator<Item = Channel>) -> Self {
        let names: Vec<&str> = channels.into_iter().map(Channel::as_str).collect();
        self.channels = Some(names.join(","));
        self
    }

    /// Only sessions on these devices, as the source names them (`desktop`, `smartphone`, …). Sessions whose device is
    /// unknown are left out.
    ///
    /// # Errors
    /// `Input` for no name at all, and for one that is empty or has a comma.
    pub fn devices<D: AsRef<str>>(mut self, devices: impl IntoIterator<Item = D>) -> Result<Self> {
        self.devices = Some(listed("device", devices)?);
        Ok(self)
    }

    /// Only traffic of these campaigns, by `campaign_id`.
    ///
    /// # Errors
    /// As [`devices`](Self::devices).
    pub fn campaigns<C: AsRef<str>>(mut self, campaigns: impl IntoIterator<Item = C>) -> Result<Self> {
        self.campaigns = Some(listed("campaign", campaigns)?);
        Ok(self)
    }

    /// The first instant.
    #[must_use]
    pub fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The instant after the last.
    #[must_use]
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The site alone that counts, where the scope names one.
    pub(crate) fn only_site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// The source whose word alone counts, where the scope names one.
    pub(crate) fn only_source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The zone.
    #[cfg(feature = "chart")]
    pub(crate) fn tz(&self) -> Tz {
        self.zone
    }

    /// The first day, in the zone.
    #[must_use]
    pub fn first_day(&self) -> NaiveDate {
        self.local_day(self.from)
    }

    /// The day of the last instant, in the zone; the day before the first for an empty period.
    #[must_use]
    pub fn last_day(&self) -> NaiveDate {
        if self.from == self.until {
            return self.first_day().pred_opt().unwrap_or_default();
        }
        self.local_day(self.until - TimeDelta::microseconds(1))
    }

    /// The month of the last instant, in the zone.
    pub(crate) fn last_month(&self) -> NaiveDate {
        first_of_month(self.last_day())
    }

    /// The first month that is not complete at the period's end.
    pub(crate) fn open_month(&self) -> NaiveDate {
        first_of_month(self.local_day(self.until))
    }

    /// From where to where whole quarters of an hour hold just the sessions that count; with filters that
    /// `session_quarters` does not know, from the period's start to there.
    pub(crate) fn whole_quarters(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let filtered = self.channels.is_some() || self.devices.is_some() || self.campaigns.is_some();
        let into = |at: DateTime<Utc>| {
            TimeDelta::microseconds(at.timestamp_micros().rem_euclid(QUARTER.num_microseconds().unwrap_or(1)))
        };
        let until = self.until - into(self.until);
        let from = match into(self.from) {
            into if into.is_zero() => self.from,
            into => self.from - into + QUARTER,
        };
        if filtered || until < from { (self.from, self.from) } else { (from, until) }
    }

    fn local_day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.zone).date_naive()
    }

    /// The values that every report may use.
    pub(crate) fn values(&self) -> Vec<(&'static str, Value)> {
        let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::Text);
        let (whole_from, whole_until) = self.whole_quarters();
        vec![
            ("from", Value::Timestamp(self.from)),
            ("until", Value::Timestamp(self.until)),
            ("whole_from", Value::Timestamp(whole_from)),
            ("whole_until", Value::Timestamp(whole_until)),
            ("zone", Value::Text(self.zone().to_owned())),
            ("site", text(&self.site)),
            ("source", text(&self.source)),
            ("channels", text(&self.channels)),
            ("devices", text(&self.devices)),
            ("campaigns", text(&self.campaigns)),
        ]
    }
}

/// What `session_quarters` adds up.
const QUARTER: TimeDelta = TimeDelta::minutes(15);

/// Names as one bound value, joined by commas: SQL has no list that every engine binds.
fn listed<N: AsRef<str>>(what: &str, names: impl IntoIterator<Item = N>) -> Result<String> {
    let mut list = String::new();
    for (n, name) in names.into_iter().enumerate() {
        let name = name.as_ref();
        if name.is_empty() || name.contains([',', '\0']) {
            return Err(input(format!("a {what} of the filter is empty, or has a comma or NUL in it")));
        }
        if n > 0 {
            list.push(',');
        }
        list.push_str(name);
    }
    if list.is_empty() {
        return Err(input(format!("the filter names no {what}")));
    }
    Ok(list)
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

pub(super) fn parse_zone(zone: &str) -> Result<Tz> {
    zone.parse().map_err(|_| {
        let shown: String = zone.chars().take(40).collect();
        input(format!("{shown:?} is not an IANA time zone: expected a name such as Europe/Paris"))
    })
}

pub(super) fn input(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, "report", "scope").with_detail(detail)
}

/// The first instant of a day. Midnight may not exist (clocks go forward at midnight in some zones) or exist twice.
fn start_of_day(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    // Most gaps are an hour; Samoa left out a whole day, Liberia 44 minutes and a half.
    (0..=86_400)
        .filter_map(|seconds| midnight.checked_add_signed(TimeDelta::seconds(seconds)))
        .find_map(|local| zone.from_local_datetime(&local).earliest())
        .map_or_else(|| Utc.from_utc_datetime(&midnight), |at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(y: i32, m: u32, d: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(y, m, d).unwrap()
    }

    #[test]
    fn a_day_without_midnight_begins_at_its_first_instant() {
        // Beirut, 31 March 2024: clocks went from 00:00 to 01:00, so the day begins at 22:00 UTC of the day before.
        let scope = Scope::days("Asia/Beirut", day(2024, 3, 31), day(2024, 4, 1)).unwrap();
        assert_eq!(scope.from().to_rfc3339(), "2024-03-30T22:00:00+00:00");
        assert_eq!((scope.until() - scope.from()).num_hours(), 23);
    }

    #[test]
    fn a_day_that_was_left_out_is_empty_and_takes_nothing_from_the_day_before() {
        // Samoa went from 29 December 2011, 24:00 (UTC−10) to 31 December, 00:00 (UTC+14): both are 10:00 UTC.
        let scope =
            |from, until| Scope::days("Pacific/Apia", day(2011, 12, from), day(2011, 12, until)).unwrap();
        assert_eq!(scope(29, 30).until().to_rfc3339(), "2011-12-30T10:00:00+00:00");
        assert_eq!(scope(30, 31).from(), scope(30, 31).until());
        // Liberia, 7 January 1972: from 00:00:00 to 00:44:30, which is 00:44:30 UTC.
        let liberia = Scope::days("Africa/Monrovia", day(1972, 1, 7), day(1972, 1, 8)).unwrap();
        assert_eq!(liberia.from().to_rfc3339(), "1972-01-07T00:44:30+00:00");
    }

    #[test]
    fn only_whole_quarters_without_filters_are_taken_from_the_sums() {
        let at = |text: &str| format!("2026-10-25T{text}Z").parse::<DateTime<Utc>>().unwrap();
        let scope = |from, until| Scope::between("Europe/Paris", at(from), at(until)).unwrap();
        let whole = |from, until| scope(from, until).whole_quarters();
        assert_eq!(whole("01:00:00", "02:00:00"), (at("01:00:00"), at("02:00:00")));
        assert_eq!(whole("01:00:00.000001", "02:14:59.999999"), (at("01:15:00"), at("02:00:00")));
        // Within one quarter, and over the edge of two, none is whole.
        assert_eq!(whole("01:01:00", "01:14:00"), (at("01:01:00"), at("01:01:00")));
        assert_eq!(whole("01:01:00", "01:29:00"), (at("01:15:00"), at("01:15:00")));
        let email = scope("01:00:00", "02:00:00").channels([Channel::Email]);
        assert_eq!(email.whole_quarters(), (at("01:00:00"), at("01:00:00")));
        // Before 1970 quarters are counted from 1970 as well.
        let old = |text: &str| format!("1969-12-31T{text}Z").parse::<DateTime<Utc>>().unwrap();
        let scope = Scope::between("UTC", old("23:50:00"), at("00:00:00")).unwrap();
        assert_eq!(scope.whole_quarters().0.timestamp(), 0);
    }

    #[test]
    fn months_are_open_until_their_last_local_instant() {
        let scope = Scope::days("Europe/Paris", day(2026, 9, 1), day(2026, 11, 1)).unwrap();
        assert_eq!((scope.last_month(), scope.open_month()), (day(2026, 10, 1), day(2026, 11, 1)));
        let scope = Scope::days("Europe/Paris", day(2026, 9, 1), day(2026, 10, 31)).unwrap();
        assert_eq!((scope.last_month(), scope.open_month()), (day(2026, 10, 1), day(2026, 10, 1)));
    }

    #[test]
    fn filter_name_with_a_comma_is_refused() {
        let scope = || Scope::days("UTC", day(2026, 1, 1), day(2026, 1, 2)).unwrap();
        assert!(scope().devices(["desktop", "a,b"]).is_err());
        assert!(scope().campaigns([""]).is_err());
        assert!(scope().campaigns([""; 0]).is_err());
        assert!(scope().campaigns(["it's 100 %", "a_b"]).is_ok());
    }

    #[test]
    fn an_unknown_zone_and_a_backward_period_are_refused() {
        assert!(Scope::days("Europe/Lutece", day(2026, 1, 1), day(2026, 1, 2)).is_err());
        assert!(Scope::days("UTC", day(2026, 1, 2), day(2026, 1, 1)).is_err());
    }
}
