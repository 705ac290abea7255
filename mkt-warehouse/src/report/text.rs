//! From a report's one text to an engine's: shared pieces put in, functions expanded, parameters numbered.

use super::Report;
use crate::dialect::Dialect;
use crate::query::Query;
use crate::table::Value;

/// Which sessions count, with what every report needs of them.
const VISITS: &str = "visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= {from} and s.start_time < :until
      and s.bot is null
      and s.site = coalesce(:site, s.site)
      and s.source = coalesce(:source, t.record_source, s.source)
)";

/// Which events count; the report adds its own conditions.
const EVENTS: &str = "from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = e.user_id
    where s.bot is null
      and e.site = coalesce(:site, e.site)
      and e.source = coalesce(:source, t.record_source, e.source)";

/// The offset that holds at an instant.
const ZONE: &str = "z.zone = :zone and z.from_utc <= {at} and z.until_utc > {at}";

fn rendered(text: &str, dialect: Dialect) -> String {
    let text = text
        .replace("{visits}", &VISITS.replace("{from}", ":from"))
        .replace("{visits so far}", &VISITS.replace("s.start_time >= {from} and ", ""))
        .replace("{events}", EVENTS);
    let mut joined = String::new();
    let mut rest = text.as_str();
    // `{zone at X}` names the instant X.
    while let Some((before, after)) = rest.split_once("{zone at ") {
        joined.push_str(before);
        let (at, after) = after.split_once('}').unwrap_or((after, ""));
        joined.push_str(&ZONE.replace("{at}", at));
        rest = after;
    }
    joined.push_str(rest);
    dialect.render(&joined)
}

/// A query whose named parameters are numbered and bound, in the order in which they first appear.
pub(super) fn bound(text: &str, dialect: Dialect, values: &[(&'static str, Value)]) -> Query {
    let text = rendered(text, dialect);
    let mut names: Vec<&str> = Vec::new();
    let mut sql = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(':') {
        sql.push_str(before);
        sql.push(':');
        let length = after.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(after.len());
        let name = &after[..length];
        let number = names.iter().position(|held| *held == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        sql.push_str(&(number + 1).to_string());
        rest = &after[length..];
    }
    sql.push_str(rest);
    let value = |name: &str| {
        values.iter().find(|(held, _)| *held == name).map_or(Value::Null, |(_, value)| value.clone())
    };
    names.into_iter().fold(Query::new(sql), |query, name| query.bind(value(name)))
}

/// Meanings of the parameters, with a value to try.
const PARAMETERS: [(&str, &str, &str, &str); 13] = [
    ("from", "first instant", "unixepoch('2026-10-01') * 1000000", "timestamptz '2026-10-01 00:00+02'"),
    (
        "until",
        "instant after the last",
        "unixepoch('2026-11-01') * 1000000",
        "timestamptz '2026-11-01 00:00+01'",
    ),
    ("zone", "IANA zone, as in zone_offsets", "'Europe/Paris'", "text 'Europe/Paris'"),
    ("site", "a site, or null for all", "null", "cast(null as text)"),
    ("source", "a source, or null for each site's system of record", "null", "cast(null as text)"),
    ("minimum", "sessions that an hour needs", "1", "1"),
    ("hours", "rows at most", "5", "5"),
    ("last_month", "first day of the period's last month", "'2026-10-01'", "date '2026-10-01'"),
    (
        "open_month",
        "first day of the first month not complete at the period's end",
        "'2026-11-01'",
        "date '2026-11-01'",
    ),
    ("first_day", "first day", "'2026-10-01'", "date '2026-10-01'"),
    ("last_day", "last day", "'2026-10-31'", "date '2026-10-31'"),
    (
        "idle_since",
        "carts touched after this instant are not abandoned yet",
        "unixepoch('2026-10-31') * 1000000",
        "timestamptz '2026-10-31 00:00+01'",
    ),
    (
        "now",
        "the instant of asking",
        "unixepoch('2026-11-01') * 1000000",
        "timestamptz '2026-11-01 00:00+01'",
    ),
];

pub(super) fn for_people(report: &Report, dialect: Dialect) -> String {
    let sql = rendered(report.text, dialect);
    let mut text = format!("-- {}\n", report.name);
    for line in wrapped(report.describe, 112) {
        text.push_str(&format!("-- {line}\n"));
    }
    text.push_str(match dialect {
        Dialect::Sqlite => "--\n-- Parameters, with values to try in the sqlite3 shell:\n",
        Dialect::Postgres => "--\n-- Parameters, with values to try in psql:\n",
    });
    let used = |name: &str| {
        sql.match_indices(':').any(|(at, _)| {
            let after = &sql[at + 1..];
            let length = after.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(after.len());
            &after[..length] == name
        })
    };
    for (name, meaning, sqlite, postgres) in PARAMETERS.into_iter().filter(|row| used(row.0)) {
        text.push_str(&match dialect {
            Dialect::Sqlite => format!("-- .parameter set :{name} \"{sqlite}\"\n--     {meaning}\n"),
            Dialect::Postgres => {
                format!("-- \\set {name} '{}'\n--     {meaning}\n", postgres.replace('\'', "''"))
            }
        });
    }
    text.push('\n');
    text.push_str(sql.trim());
    text.push_str(";\n");
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
