//! The dialects of SQL that reports are rendered in.
//!
//! A report is one text. Where engines differ it calls a function marked with `@`, which is expanded here; everything
//! else is SQL that every engine understands. This is no SQL parser: it finds `@name(arguments)` and nothing more.

use std::fmt;

/// An engine's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite 3.44 or newer.
    Sqlite,
    /// PostgreSQL 14 or newer.
    Postgres,
    /// DataFusion 55, over tables whose instants are `Timestamp(Microsecond, UTC)`.
    DataFusion,
    /// BigQuery's GoogleSQL: instants are `TIMESTAMP`, money is `NUMERIC`, documents are `JSON`.
    BigQuery,
    /// Snowflake: instants are `TIMESTAMP_NTZ` in UTC, money is `NUMBER(12, 2)`, documents are `VARIANT`.
    Snowflake,
}

impl Dialect {
    /// Every dialect, in the order of the folders under `sql/`.
    pub const ALL: [Self; 5] =
        [Self::Sqlite, Self::Postgres, Self::DataFusion, Self::BigQuery, Self::Snowflake];

    /// The folder name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::DataFusion => "datafusion",
            Self::BigQuery => "bigquery",
            Self::Snowflake => "snowflake",
        }
    }

    /// Expands every `@name(arguments)` of a text:
    ///
    /// | function | is |
    /// |---|---|
    /// | `@local(instant, offset)` | the local time of an instant, given the zone's offset in seconds |
    /// | `@quarter(instant)` | the beginning of its quarter of an hour in UTC |
    /// | `@hour(local)` | its hour, 0 to 23 |
    /// | `@day(local)` | its day |
    /// | `@month(local)` | the first day of its month |
    /// | `@days(first, last)` | a query: column `day`, every day from first to last, none where last is before first |
    /// | `@numbers(last)` | a query: column `number`, 0 to last, none where last is negative |
    /// | `@union()` | `union` that keeps one of equal rows |
    /// | `@month_diff(a, b)` | calendar months from day a to day b |
    /// | `@seconds(a, b)` | whole seconds from instant a to instant b, negative where b is earlier; fractions are cut off |
    /// | `@day_diff(a, b)` | days from day a to day b |
    /// | `@previous_day(day)` | the day before |
    /// | `@int(truth)` | 1 or 0 |
    /// | `@listed(text, list)` | whether a list, joined by commas, has the text as an element; a text with a comma is in none |
    /// | `@whole(sum)` | a sum of integers as an integer |
    /// | `@div(a, b)` | how many times b > 0 goes into a ≥ 0 |
    /// | `@percent(a, b)` | 100 a ÷ b as a float, null where b is 0 |
    /// | `@once()` | after `as`: this part of the query is computed once, however often it is named |
    /// | `@later(instant, seconds)` | the instant so many whole seconds later |
    /// | `@ratio(a, b)` | a ÷ b as a float, both amounts of money or both integers, null where b is 0 |
    /// | `@joined(text, separator, order)` | the texts of a group, in an order, with a separator between them |
    /// | `@sorted(key)` | the key of an `order by` over most rows of a table: SQLite sorts, where it would visit the rows in an index's order, one page each |
    /// | `@mean(money, n)` | money ÷ n to six digits, halves away from zero, null where n is 0 |
    pub(crate) fn render(self, text: &str) -> String {
        let Some((before, call)) = text.split_once('@') else { return text.to_owned() };
        let mut rendered = before.to_owned();
        match Call::parse(call) {
            Some((call, after)) => {
                let arguments: Vec<String> =
                    call.arguments.iter().map(|argument| self.render(argument.trim())).collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                match self.expand(call.name, &arguments) {
                    Some(expanded) => rendered.push_str(&expanded),
                    // A test keeps unknown calls out of every report.
                    None => rendered.push_str(&format!("@{}({})", call.name, arguments.join(", "))),
                }
                rendered.push_str(&self.render(after));
            }
            None => {
                rendered.push('@');
                rendered.push_str(&self.render(call));
            }
        }
        rendered
    }

    fn expand(self, name: &str, arguments: &[&str]) -> Option<String> {
        match self {
            Self::Sqlite => sqlite(name, arguments),
            Self::Postgres => postgres(name, arguments),
            Self::DataFusion => datafusion(name, arguments),
            Self::BigQuery => bigquery(name, arguments),
            Self::Snowflake => snowflake(name, arguments),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Instants and local times are microseconds since 1970, days are texts, money is hundredths, means are millionths.
fn sqlite(name: &str, arguments: &[&str]) -> Option<String> {
    Some(match (name, arguments) {
        ("local", [instant, offset]) => format!("({instant} + {offset} * 1000000)"),
        // The remainder has the sign of its left side, so instants before 1970 need the divisor added.
        ("quarter", [instant]) => format!("({instant} - ({instant} % 900000000 + 900000000) % 900000000)"),
        ("hour", [local]) => format!("({local} % 86400000000 + 86400000000) % 86400000000 / 3600000000"),
        ("day", [local]) => format!("date({local} / 1000000, 'unixepoch')"),
        ("month", [local]) => format!("date({local} / 1000000, 'unixepoch', 'start of month')"),
        ("days", [first, last]) => format!(
            "with recursive days (day) as (
        select {first} where {first} <= {last} union all select date(day, '+1 day') from days where day < {last}
    )
    select day from days"
        ),
        ("numbers", [last]) => format!(
            "with recursive numbers (number) as (
        select 0 where {last} >= 0 union all select number + 1 from numbers where number < {last}
    )
    select number from numbers"
        ),
        ("union", [""]) => "union".to_owned(),
        ("month_diff", [a, b]) => {
            format!("((substr({b}, 1, 4) - substr({a}, 1, 4)) * 12 + substr({b}, 6, 2) - substr({a}, 6, 2))")
        }
        ("seconds", [a, b]) => format!("(({b} - {a}) / 1000000)"),
        ("day_diff", [a, b]) => format!("cast(julianday({b}) - julianday({a}) as integer)"),
        ("previous_day", [day]) => format!("date({day}, '-1 day')"),
        ("div", [a, b]) => format!("({a}) / ({b})"),
        ("whole", [sum]) => (*sum).to_owned(),
        // No function splits a text; a comma in the text must not join two elements.
        ("listed", [text, list]) => {
            format!("(instr(',' || {list} || ',', ',' || {text} || ',') > 0 and instr({text}, ',') = 0)")
        }
        ("int", [truth]) => (*truth).to_owned(),
        ("percent", [a, b]) => format!("cast(100 * {a} as real) / nullif({b}, 0)"),
        ("mean", [money, n]) => format!(
            "case when {money} < 0 then -1 else 1 end * {}",
            whole_mean(&format!("abs({money})"), n)
        ),
        ("sorted", [key]) => format!("+{key}"),
        ("once", [""]) => "materialized ".to_owned(),
        ("later", [instant, seconds]) => format!("({instant} + {seconds} * 1000000)"),
        ("ratio", [a, b]) => format!("cast({a} as real) / nullif({b}, 0)"),
        ("joined", [text, separator, order @ ..]) if !order.is_empty() => {
            format!("group_concat({text}, {separator} order by {})", order.join(", "))
        }
        _ => return None,
    })
}

/// Hundredths ≥ 0 divided by n, as millionths, halves up. Quotient and remainder are scaled apart: 20 000 times a sum of
/// 5 000 000 000 000.00 would no longer be an integer of 64 bits.
fn whole_mean(hundredths: &str, n: &str) -> String {
    format!(
        "({hundredths} / nullif({n}, 0) * 10000 + ({hundredths} % nullif({n}, 0) * 20000 + {n}) / (2 * nullif({n}, 0)))"
    )
}

fn postgres(name: &str, arguments: &[&str]) -> Option<String> {
    Some(match (name, arguments) {
        ("local", [instant, offset]) => {
            format!("({instant} at time zone 'UTC' + make_interval(secs => {offset}))")
        }
        ("quarter", [instant]) => {
            format!("date_bin(interval '15 minutes', {instant}, to_timestamp(0))")
        }
        ("hour", [local]) => format!("cast(extract(hour from {local}) as bigint)"),
        ("day", [local]) => format!("cast({local} as date)"),
        ("month", [local]) => format!("cast(date_trunc('month', {local}) as date)"),
        ("days", [first, last]) => {
            format!("select {first} + number as day from generate_series(0, {last} - {first}) as number")
        }
        ("numbers", [last]) => format!("select number from generate_series(0, {last}) as number"),
        ("union", [""]) => "union".to_owned(),
        ("month_diff", [a, b]) => format!(
            "cast((extract(year from {b}) - extract(year from {a})) * 12 + extract(month from {b}) - extract(month from {a}) as bigint)"
        ),
        ("seconds", [a, b]) => format!("cast(trunc(extract(epoch from {b} - {a})) as bigint)"),
        ("day_diff", [a, b]) => format!("cast({b} - {a} as bigint)"),
        ("previous_day", [day]) => format!("{day} - 1"),
        ("div", [a, b]) => format!("({a}) / ({b})"),
        ("whole", [sum]) => format!("cast({sum} as bigint)"),
        ("listed", [text, list]) => format!("{text} = any (string_to_array({list}, ','))"),
        ("int", [truth]) => format!("cast({truth} as integer)"),
        ("percent", [a, b]) => format!("cast(100 * {a} as double precision) / nullif({b}, 0)"),
        ("mean", [money, n]) => format!(
            "cast(sign({money}) * div(abs({money}) * 2000000 + {n}, 2 * nullif({n}, 0)) / 1000000 as numeric(18, 6))"
        ),
        ("sorted", [key]) => (*key).to_owned(),
        ("once", [""]) => "materialized ".to_owned(),
        ("later", [instant, seconds]) => format!("({instant} + make_interval(secs => {seconds}))"),
        // In hundredths, which floats hold exactly: the quotient is the same as that of SQLite's integers.
        ("ratio", [a, b]) => {
            format!("cast(100 * {a} as double precision) / nullif(cast(100 * {b} as double precision), 0)")
        }
        ("joined", [text, separator, order @ ..]) if !order.is_empty() => {
            format!("string_agg({text}, {separator} order by {})", order.join(", "))
        }
        _ => return None,
    })
}

/// Instants are read as microseconds, so that adding seconds does not depend on the unit that a file was written in.
fn datafusion(name: &str, arguments: &[&str]) -> Option<String> {
    Some(match (name, arguments) {
        ("local", [instant, offset]) => {
            format!("to_timestamp_micros(cast({instant} as bigint) + {offset} * 1000000)")
        }
        // date_bin would answer in nanoseconds.
        ("quarter", [instant]) => format!(
            "arrow_cast(cast({instant} as bigint) - (cast({instant} as bigint) % 900000000 + 900000000) % 900000000, 'Timestamp(Microsecond, Some(\"UTC\"))')"
        ),
        ("hour", [local]) => format!("cast(extract(hour from {local}) as bigint)"),
        ("day", [local]) => format!("cast({local} as date)"),
        ("month", [local]) => format!("cast(date_trunc('month', {local}) as date)"),
        ("days", [first, last]) => format!(
            "select unnest(generate_series(cast({first} as date), cast({last} as date), interval '1 day')) as day"
        ),
        ("numbers", [last]) => {
            format!("select unnest(generate_series(cast(0 as bigint), cast({last} as bigint))) as number")
        }
        ("union", [""]) => "union".to_owned(),
        ("month_diff", [a, b]) => format!(
            "((extract(year from {b}) - extract(year from {a})) * 12 + extract(month from {b}) - extract(month from {a}))"
        ),
        ("seconds", [a, b]) => format!("((cast({b} as bigint) - cast({a} as bigint)) / 1000000)"),
        ("day_diff", [a, b]) => {
            format!("(cast(cast({b} as date) as integer) - cast(cast({a} as date) as integer))")
        }
        ("previous_day", [day]) => format!("cast({day} - interval '1 day' as date)"),
        // Ranks are unsigned, and dividing these by signed numbers would give decimals.
        ("div", [a, b]) => format!("cast({a} as bigint) / cast({b} as bigint)"),
        ("whole", [sum]) => (*sum).to_owned(),
        ("listed", [text, list]) => format!(
            "(strpos(concat(',', {list}, ','), concat(',', {text}, ',')) > 0 and strpos({text}, ',') = 0)"
        ),
        ("int", [truth]) => format!("cast({truth} as bigint)"),
        ("percent", [a, b]) => format!("cast(100 * {a} as double) / nullif({b}, 0)"),
        ("mean", [money, n]) => format!(
            "cast(cast(case when {money} < 0 then -1 else 1 end * {} as decimal(28, 6)) / 1000000 as decimal(18, 6))",
            whole_mean(&format!("abs(cast({money} * 100 as bigint))"), n)
        ),
        ("sorted", [key]) => (*key).to_owned(),
        ("once", [""]) => String::new(),
        ("later", [instant, seconds]) => format!(
            "arrow_cast(cast({instant} as bigint) + {seconds} * 1000000, 'Timestamp(Microsecond, Some(\"UTC\"))')"
        ),
        ("ratio", [a, b]) => format!("cast(100 * {a} as double) / nullif(cast(100 * {b} as double), 0)"),
        ("joined", [text, separator, order @ ..]) if !order.is_empty() => {
            format!("string_agg({text}, {separator} order by {})", order.join(", "))
        }
        _ => return None,
    })
}

fn bigquery(name: &str, arguments: &[&str]) -> Option<String> {
    Some(match (name, arguments) {
        ("local", [instant, offset]) => {
            format!("datetime(timestamp_add({instant}, interval {offset} second))")
        }
        ("quarter", [instant]) => {
            format!("timestamp_seconds(cast(floor(unix_seconds({instant}) / 900) as int64) * 900)")
        }
        ("hour", [local]) => format!("extract(hour from {local})"),
        ("day", [local]) => format!("date({local})"),
        ("month", [local]) => format!("date_trunc(date({local}), month)"),
        ("days", [first, last]) => {
            format!("select day from unnest(generate_date_array({first}, {last})) as day")
        }
        ("numbers", [last]) => format!("select number from unnest(generate_array(0, {last})) as number"),
        ("union", [""]) => "union distinct".to_owned(),
        // Counts the first days of a month between the two.
        ("month_diff", [a, b]) => format!("date_diff({b}, {a}, month)"),
        ("seconds", [a, b]) => format!("div(timestamp_diff({b}, {a}, microsecond), 1000000)"),
        ("day_diff", [a, b]) => format!("date_diff({b}, {a}, day)"),
        ("previous_day", [day]) => format!("date_sub({day}, interval 1 day)"),
        ("div", [a, b]) => format!("div({a}, {b})"),
        ("whole", [sum]) => (*sum).to_owned(),
        ("listed", [text, list]) => format!("{text} in unnest(split({list}, ','))"),
        ("int", [truth]) => format!("cast({truth} as int64)"),
        ("percent", [a, b]) => format!("cast(100 * {a} as float64) / nullif({b}, 0)"),
        // NUMERIC division keeps nine digits, and rounding these again to six would be wrong by one now and then.
        ("mean", [money, n]) => format!(
            "cast(case when {money} < 0 then -1 else 1 end * (div(cast(abs({money}) * 100 as int64), nullif({n}, 0)) * 10000 + div(mod(cast(abs({money}) * 100 as int64), nullif({n}, 0)) * 20000 + {n}, 2 * nullif({n}, 0))) as numeric) / 1000000"
        ),
        ("sorted", [key]) => (*key).to_owned(),
        ("once", [""]) => String::new(),
        ("later", [instant, seconds]) => format!("timestamp_add({instant}, interval {seconds} second)"),
        ("ratio", [a, b]) => format!("cast(100 * {a} as float64) / nullif(cast(100 * {b} as float64), 0)"),
        ("joined", [text, separator, order @ ..]) if !order.is_empty() => {
            format!("string_agg({text}, {separator} order by {})", order.join(", "))
        }
        _ => return None,
    })
}

fn snowflake(name: &str, arguments: &[&str]) -> Option<String> {
    Some(match (name, arguments) {
        ("local", [instant, offset]) => format!("dateadd(second, {offset}, {instant})"),
        ("quarter", [instant]) => format!("time_slice({instant}, 15, 'minute')"),
        ("hour", [local]) => format!("extract(hour from {local})"),
        ("day", [local]) => format!("cast({local} as date)"),
        ("month", [local]) => format!("cast(date_trunc('month', {local}) as date)"),
        // A recursive query would stop at the account's limit of iterations.
        ("days", [first, last]) => format!(
            "select dateadd(day, cast(value as integer), {first}) as day
    from table(flatten(input => array_generate_range(0, datediff(day, {first}, {last}) + 1)))"
        ),
        ("numbers", [last]) => format!(
            "select cast(value as integer) as number from table(flatten(input => array_generate_range(0, {last} + 1)))"
        ),
        ("union", [""]) => "union".to_owned(),
        // Counts the first days of a month between the two.
        ("month_diff", [a, b]) => format!("datediff(month, {a}, {b})"),
        // datediff(second, …) counts the beginnings of seconds.
        ("seconds", [a, b]) => format!("cast(trunc(datediff(microsecond, {a}, {b}) / 1000000) as integer)"),
        ("day_diff", [a, b]) => format!("datediff(day, {a}, {b})"),
        ("previous_day", [day]) => format!("dateadd(day, -1, {day})"),
        ("div", [a, b]) => format!("cast((({a}) - mod({a}, {b})) / ({b}) as integer)"),
        ("whole", [sum]) => (*sum).to_owned(),
        ("listed", [text, list]) => format!("array_contains(to_variant({text}), split({list}, ','))"),
        ("int", [truth]) => format!("cast({truth} as integer)"),
        ("percent", [a, b]) => format!("cast(100 * {a} as double) / nullif({b}, 0)"),
        // Division rounds to six digits; taking the remainder away first leaves it nothing to round.
        ("mean", [money, n]) => format!(
            "cast(case when {money} < 0 then -1 else 1 end * ((abs({money}) * 2000000 + {n}) - mod(abs({money}) * 2000000 + {n}, 2 * nullif({n}, 0))) / (2 * nullif({n}, 0)) / 1000000 as number(18, 6))"
        ),
        ("sorted", [key]) => (*key).to_owned(),
        ("once", [""]) => String::new(),
        ("later", [instant, seconds]) => format!("dateadd(second, {seconds}, {instant})"),
        ("ratio", [a, b]) => format!("cast(100 * {a} as double) / nullif(cast(100 * {b} as double), 0)"),
        ("joined", [text, separator, order @ ..]) if !order.is_empty() => {
            format!("listagg({text}, {separator}) within group (order by {})", order.join(", "))
        }
        _ => return None,
    })
}

/// A call: `name(a, b)`.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// Parses a call at the start of a text; also gives what follows it.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        let (name, rest) = text.split_once('(')?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return None;
        }
        let (mut depth, mut from, mut arguments) = (0_u32, 0, Vec::new());
        for (at, c) in rest.char_indices() {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                ',' if depth == 0 => {
                    arguments.push(&rest[from..at]);
                    from = at + 1;
                }
                ')' => {
                    arguments.push(&rest[from..at]);
                    return Some((Self { name, arguments }, &rest[at + 1..]));
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_nest_and_commas_inside_parentheses_do_not_split() {
        assert_eq!(
            Dialect::Sqlite.render("select @hour(@local(min(a, b), z.offset_s)) as hour"),
            "select ((min(a, b) + z.offset_s * 1000000) % 86400000000 + 86400000000) % 86400000000 / 3600000000 as hour"
        );
        assert_eq!(
            Dialect::Postgres.render("@int(converted) + @int(x)"),
            "cast(converted as integer) + cast(x as integer)"
        );
    }

    #[test]
    fn what_is_no_call_is_left_alone() {
        for text in ["a@example", "@", "@x", "@local(a", "@nothing(1)", "@local(1)"] {
            assert_eq!(Dialect::Postgres.render(text), text, "{text}");
        }
    }
}
