//! Answers as sections of a page to hand over: titles, explanations and columns in words, in French or English.

mod words;

use super::Report;
use crate::table::{Column as Cells, Table as Answer, Value};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mkt_connect::chart::{Column, Format, Lang, Page, Table};
use words::{channel, column_title, device, event, segment, stream, words};

/// Rows of a table on a page.
const SHOWN: usize = 10;

impl Report {
    /// Its title: `Conversion rate by channel`.
    #[must_use]
    pub fn title(self, lang: Lang) -> &'static str {
        words(self, lang).0
    }

    /// What it shows, in one or two sentences for a reader who does not know SQL. [`Report::describe`] is the exact
    /// definition.
    #[must_use]
    pub fn explain(self, lang: Lang) -> &'static str {
        words(self, lang).1
    }

    /// Adds the answer to a page: its title, what it shows, what it assumes, its charts and a table.
    ///
    /// The table holds the first ten rows and says how many more there are; columns of technical names and of JSON are left
    /// out. Numbers, days and times are written as the language writes them, times in `zone`. `assumptions` are the
    /// settings that decide the numbers, as `(name, value)`.
    #[must_use]
    pub fn section(
        self,
        page: Page,
        answer: &Answer,
        assumptions: &[(String, String)],
        zone: Tz,
        lang: Lang,
    ) -> Page {
        let mut page = page.section(self.title(lang)).text(self.explain(lang));
        if !assumptions.is_empty() {
            let colon = lang.pick(": ", " : ");
            let list: Vec<String> =
                assumptions.iter().map(|(name, value)| format!("{name}{colon}{value}")).collect();
            page = page.text(list.join(lang.pick("; ", " ; ")));
        }
        if answer.is_empty() {
            return page.text(lang.pick("No data in this period.", "Aucune donnée sur cette période."));
        }
        page = match self {
            // Sessions one by one are for a model, not for a reader.
            Self::TrainingSet => page.charts(self.charts(answer, lang)).text(match lang {
                Lang::Fr => format!("{} sessions.", lang.number(answer.rows() as f64, Format::Integer)),
                _ => format!("{} sessions.", lang.number(answer.rows() as f64, Format::Integer)),
            }),
            _ => page.charts(self.charts(answer, lang)).table(self.table(answer, zone, lang, SHOWN)),
        };
        page
    }

    /// The first `shown` rows for a reader, with the columns in words; a note says how many more there are. Columns of
    /// technical names and of JSON are left out. Numbers, days and times are written as the language writes them, times in
    /// `zone`.
    #[must_use]
    pub fn table(self, answer: &Answer, zone: Tz, lang: Lang, shown: usize) -> Table {
        let kept: Vec<(usize, &str)> = answer
            .names()
            .iter()
            .enumerate()
            .filter(|(_, name)| !HIDDEN.contains(&name.as_str()))
            // A column without any value says nothing.
            .filter(|(_, name)| (0..answer.rows()).any(|row| answer.value(row, name) != Value::Null))
            .map(|(at, name)| (at, name.as_str()))
            .collect();
        let mut table = Table::new(kept.iter().map(|(at, name)| {
            let label = column_title(self, name, lang).unwrap_or(name);
            if is_number(&answer.columns()[*at], name) { Column::number(label) } else { Column::text(label) }
        }));
        for row in 0..answer.rows().min(shown) {
            let values = answer.row(row);
            table.push(kept.iter().map(|(at, name)| cell(name, &values[*at], zone, lang)));
        }
        match answer.rows().saturating_sub(shown) {
            0 => table,
            more => {
                let count = lang.number(more as f64, Format::Integer);
                table.note(match (lang, more) {
                    (Lang::Fr, 1) => "… et 1 autre ligne".to_owned(),
                    (Lang::Fr, _) => format!("… et {count} autres lignes"),
                    (_, 1) => "… and 1 more row".to_owned(),
                    _ => format!("… and {count} more rows"),
                })
            }
        }
    }
}

/// Columns that only a program reads.
const HIDDEN: [&str; 5] = ["items", "cart_id", "properties", "session_id", "user_id"];

fn is_number(column: &Cells, name: &str) -> bool {
    use crate::table::ColumnType::{Decimal, Float, Int};
    name != "hour" && matches!(column.column_type(), Int | Float | Decimal { .. })
}

fn cell(column: &str, value: &Value, zone: Tz, lang: Lang) -> String {
    let percent = column.ends_with("_rate") || column.starts_with("rate_from_");
    match value {
        Value::Null => match column {
            "campaign_id" => lang.pick("no campaign", "sans campagne").to_owned(),
            _ => "–".to_owned(),
        },
        Value::Text(text) => named(column, text, lang).unwrap_or_else(|| text.clone()),
        Value::Int(hour) if column == "hour" => format!("{hour:02} h"),
        Value::Int(number) => lang.number(*number as f64, Format::Integer),
        Value::Float(ratio) if percent => lang.number(ratio / 100.0, Format::Percent(1)),
        Value::Float(seconds) if column == "seconds_from_first" => duration(*seconds, lang),
        Value::Float(number) => lang.number(*number, Format::Decimal(2)),
        Value::Bool(yes) => (if *yes { lang.pick("yes", "oui") } else { lang.pick("no", "non") }).to_owned(),
        Value::Timestamp(at) => instant(*at, zone, lang),
        Value::Date(day) if matches!(column, "month" | "cohort") => month(*day, lang),
        Value::Date(day) => lang.day(*day),
        Value::Decimal(amount) => {
            use rust_decimal::prelude::ToPrimitive;
            lang.number(amount.to_f64().unwrap_or(f64::NAN), Format::Decimal(2))
        }
    }
}

/// An instant as the clock of the zone shows it.
pub(super) fn instant(at: DateTime<Utc>, zone: Tz, lang: Lang) -> String {
    let local = at.with_timezone(&zone);
    format!("{} {}", lang.day(local.date_naive()), local.format("%H:%M"))
}

/// The words of an event type, or its name where it has none.
pub(super) fn event_title(word: &str, lang: Lang) -> &str {
    event(word, lang).unwrap_or(word)
}

/// A duration as a reader says it: `3 min`, `2.5 h`, `30 days`.
pub(super) fn duration(seconds: f64, lang: Lang) -> String {
    let one = |value: f64| {
        let decimals = u8::from((value * 10.0).round() % 10.0 != 0.0);
        lang.number(value, Format::Decimal(decimals))
    };
    match seconds {
        s if s < 60.0 => format!("{} s", lang.number(s, Format::Integer)),
        s if s < 3600.0 => format!("{} min", one(s / 60.0)),
        s if s < 86_400.0 => format!("{} h", one(s / 3600.0)),
        s if (86_400.0..90_000.0).contains(&s) => lang.pick("1 day", "1 jour").to_owned(),
        s => format!("{} {}", one(s / 86_400.0), lang.pick("days", "jours")),
    }
}

fn month(day: chrono::NaiveDate, lang: Lang) -> String {
    use chrono::Datelike;
    const FRENCH: [&str; 12] = [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ];
    match lang {
        Lang::Fr => format!("{} {}", FRENCH[day.month0() as usize % 12], day.year()),
        _ => day.format("%B %Y").to_string(),
    }
}

/// Words of a closed list: channels, event types, segments, streams.
pub(super) fn named(column: &str, text: &str, lang: Lang) -> Option<String> {
    Some(match column {
        "channel" | "source" => channel(text, lang)?.to_owned(),
        "path" | "channels" => {
            let mark = if column == "path" { " > " } else { " + " };
            let steps: Vec<&str> = text.split(mark).map(|step| channel(step, lang).unwrap_or(step)).collect();
            steps.join(if column == "path" { " → " } else { " + " })
        }
        "event_type" => event(text, lang)?.to_owned(),
        "segment" => segment(text, lang)?.to_owned(),
        "device" => device(text, lang)?.to_owned(),
        "stream" => {
            let (name, key) = text.split_once(':').map_or((text, None), |(name, key)| (name, Some(key)));
            let name = stream(name, lang)?;
            key.map_or(name.to_owned(), |key| format!("{name}{}{key}", lang.pick(": ", " : ")))
        }
        _ => return None,
    })
}
