//! The usage headers of every answer, and the pauses that follow from them.
//!
//! `X-App-Usage` and `X-Page-Usage` are an object of percentages over one hour, `X-Business-Use-Case-Usage` lists such
//! objects by business, with the minutes until the account regains access. Ids may repeat as keys of that JSON, which a
//! map would lose, so the largest number is taken while parsing.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::time::Duration;

/// The usage headers.
pub(super) const HEADERS: [&str; 3] = ["x-app-usage", "x-page-usage", "x-business-use-case-usage"];

/// From this percentage on, calls are spread.
const SLOW: u64 = 75;
/// The longest pause between two calls while they are spread.
const SPREAD: Duration = Duration::from_secs(30);
/// The pause of an account at its limit if Meta names none: the window of the percentages.
pub(super) const WINDOW: Duration = Duration::from_secs(3600);

/// The largest numbers in the headers of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Percentage of calls, time or CPU time; may exceed 100.
    percent: u64,
    /// Minutes until the account regains access.
    minutes: u64,
}

impl Usage {
    pub(super) fn read(&mut self, header: &str) {
        let mut reader = serde_json::Deserializer::from_str(header);
        // An invalid header is ignored; numbers before the error count.
        let _ = Numbers { usage: self, name: "" }.deserialize(&mut reader);
    }

    /// The pause before the next call.
    pub(super) fn pause(self, stop_at: u64) -> Option<Duration> {
        if self.minutes > 0 {
            return Some(Duration::from_secs(self.minutes.saturating_mul(60)));
        }
        if self.percent >= stop_at {
            return Some(WINDOW);
        }
        let over = self.percent.checked_sub(SLOW)?;
        let steps = stop_at.saturating_sub(SLOW).max(1);
        Some(SPREAD.mul_f64((over + 1) as f64 / steps as f64))
    }

    /// Whether the limit is reached.
    pub(super) fn used_up(self, stop_at: u64) -> bool {
        self.minutes > 0 || self.percent >= stop_at
    }
}

/// Visits any JSON and keeps the largest numbers of the relevant fields.
struct Numbers<'a> {
    usage: &'a mut Usage,
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for Numbers<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Numbers<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("percentages")
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        match self.name {
            "call_count" | "total_time" | "total_cputime" => {
                self.usage.percent = self.usage.percent.max(number);
            }
            "estimated_time_to_regain_access" => self.usage.minutes = self.usage.minutes.max(number),
            _ => {}
        }
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        // `as` saturates, and turns NaN into 0.
        self.visit_u64(number.ceil() as u64)
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(Numbers { usage: self.usage, name: "" })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value_seed(Numbers { usage: self.usage, name: &name })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(headers: &[&str]) -> Usage {
        let mut usage = Usage::default();
        for header in headers {
            usage.read(header);
        }
        usage
    }

    #[test]
    fn largest_number_counts_with_repeated_ids() {
        let app = r#"{"call_count":25,"total_cputime":12,"total_time":8}"#;
        // The vendor's own sample repeats ids.
        let business = r#"{"17":[{"type":"pages","call_count":97,"total_cputime":23,"total_time":23,
            "estimated_time_to_regain_access":19}],"17":[{"type":"instagram","call_count":1,"total_cputime":1,
            "total_time":1,"estimated_time_to_regain_access":0}]}"#;
        assert_eq!(usage(&[app, business]), Usage { percent: 97, minutes: 19 });
        assert_eq!(usage(&[app]), Usage { percent: 25, minutes: 0 });
        for header in ["", "no json", "[]", "null", "{\"call_count\":\"90\"}", "{\"call_count\":-4}"] {
            assert_eq!(usage(&[header]), Usage::default(), "{header}");
        }
        assert_eq!(usage(&["{\"call_count\":91, broken"]), Usage { percent: 91, minutes: 0 });
    }

    #[test]
    fn calls_are_spread_from_75_percent_and_stop_at_the_limit() {
        let pause = |percent, minutes| Usage { percent, minutes }.pause(90).map(|pause| pause.as_secs());
        assert_eq!([pause(0, 0), pause(74, 0)], [None, None]);
        assert_eq!([pause(75, 0), pause(82, 0), pause(89, 0)], [Some(2), Some(16), Some(30)]);
        assert_eq!([pause(90, 0), pause(180, 0)], [Some(3600), Some(3600)]);
        assert_eq!(pause(10, 7), Some(420), "in minutes");
    }
}
