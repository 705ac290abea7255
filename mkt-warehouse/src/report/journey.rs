//! What reports about the way to a conversion share: which sessions led to it, and which sales belong to it.

use super::scope::{Scope, input};
use crate::field;
use crate::table::{Column, ColumnType, Value};
use chrono::TimeDelta;
use mkt_connect::{Channel, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The most days that a report looks back, or waits for the next step.
const MOST_DAYS: u64 = 366;

/// A length of time as seconds.
pub(super) fn whole_seconds(what: &str, length: Duration) -> Result<i64> {
    if length.subsec_nanos() != 0 || length.as_secs() > MOST_DAYS * 86_400 {
        return Err(input(format!("{what} is a number of whole seconds, at most {MOST_DAYS} days")));
    }
    Ok(i64::try_from(length.as_secs()).unwrap_or(i64::MAX))
}

/// The parameters of a look-back.
pub(super) fn looking_back(scope: &Scope, look_back: Duration) -> Result<Vec<(&'static str, Value)>> {
    let seconds = whole_seconds("the look-back", look_back)?;
    Ok(vec![
        ("look_back_s", Value::Int(seconds)),
        ("look_from", Value::Timestamp(scope.from() - TimeDelta::seconds(seconds))),
    ])
}

/// Several channels in one cell.
macro_rules! channels {
    ($(#[$meta:meta])* $name:ident, $separator:literal, $wanted:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(pub Vec<Channel>);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let names: Vec<&str> = self.0.iter().map(|channel| channel.as_str()).collect();
                f.pad(&names.join($separator))
            }
        }

        impl From<$name> for String {
            fn from(channels: $name) -> Self {
                channels.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = mkt_connect::UnknownChannel;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.split($separator).map(str::parse).collect::<Result<_, _>>().map(Self)
            }
        }

        field!($name, Column::Text(values) => values, ColumnType::Text, $wanted,
            |x: &$name| x.to_string(), |x: &String| $name::try_from(x.clone()).ok());
    };
}

channels! {
    /// Channels in the order in which a person came through them: `organic > email > paid`.
    ChannelPath, " > ", "a path of channels"
}

channels! {
    /// Different channels in the order of their names, whatever the order of the visits: `email + organic + paid`.
    ChannelSet, " + ", "a set of channels"
}

/// `touches`, the sessions that the report looks at; `goals`, the conversions among them, numbered by person; and `steps`:
/// each session with the number of the conversion that follows it or is it (`goal`), whether it led there within the
/// look-back (`led`), and the instant by which its path belongs to the period or does not (`counted`).
macro_rules! steps {
    () => {
        "{visits so far},
touches as @once()(
    select person, session_id, seq, start_time, channel, converted from visits where start_time >= :look_from
),
converters as @once()(
    select distinct person from touches where converted
),
-- Only the sessions of those who converted have to be put in order.
ordered as @once()(
    select
        person, session_id, seq, start_time, channel, converted,
        count(case when converted then 1 end) over (
            partition by person order by start_time, seq, session_id rows between unbounded preceding and current row
        ) as goals
    from touches
    where person in (select person from converters)
),
goals as (
    select person, goals as goal, start_time as reached from ordered where converted
),
steps as (
    select
        o.person, o.session_id, o.seq, o.start_time, o.channel,
        o.goals + 1 - @int(o.converted) as goal,
        case when @later(o.start_time, :look_back_s) >= g.reached then 1 else 0 end as led,
        case when @later(o.start_time, :look_back_s) >= g.reached then g.reached else o.start_time end as counted
    from ordered o
    left join goals g on g.person = o.person and g.goal = o.goals + 1 - @int(o.converted)
    union all
    select t.person, t.session_id, t.seq, t.start_time, t.channel, 1 as goal, 0 as led, t.start_time as counted
    from touches t
    left join converters c on c.person = t.person
    where c.person is null
),
"
    };
}

/// `takings`: sales by conversion, over `touches`, `ordered` and `goals`. A sale that names one of these sessions happens
/// in it, any other at its own time, and it belongs to the person's last conversion up to there.
macro_rules! takings {
    () => {
        "sales as @once()(
    select
        {person} as person, e.timestamp as happened, e.session_id,
        coalesce(e.currency, t.currency) as currency, e.revenue
    {sales}
),
named as @once()(
    select t.session_id, t.person, coalesce(o.goals, 0) as goals
    from touches t
    left join ordered o on o.session_id = t.session_id
    where t.session_id in (select session_id from sales)
),
placed as @once()(
    select coalesce(n.person, s.person) as person, n.goals, s.happened, s.currency, s.revenue
    from sales s
    left join named n on n.session_id = s.session_id
),
timed as (
    select
        person, sale, currency, revenue,
        count(case when sale = 0 then 1 end) over (
            partition by person order by happened, sale rows between unbounded preceding and current row
        ) as goals
    from (
        select person, reached as happened, 0 as sale, null as currency, 0 as revenue from goals
        union all
        select person, happened, 1, currency, revenue from placed where goals is null
    ) conversions_and_sales
),
takings as (
    select person, goals as goal, currency, sum(revenue) as revenue
    from (
        select person, goals, currency, revenue from placed where goals is not null
        union all
        select person, goals, currency, revenue from timed where sale = 1
    ) sold
    group by person, goals, currency
),
"
    };
}

pub(super) use {steps, takings};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_read_back_what_they_print() {
        let path = ChannelPath(vec![Channel::Organic, Channel::Email, Channel::Organic]);
        assert_eq!(path.to_string(), "organic > email > organic");
        assert_eq!(ChannelPath::try_from(path.to_string()), Ok(path));
        let set = ChannelSet(vec![Channel::Email, Channel::Organic]);
        assert_eq!(serde_json::to_string(&set).unwrap(), "\"email + organic\"");
        assert!(ChannelSet::try_from("email + mail".to_owned()).is_err());
        assert!(ChannelPath::try_from(String::new()).is_err());
    }

    #[test]
    fn lengths_of_time_are_whole_seconds_of_a_year_at_most() {
        let whole = |length| whole_seconds("it", length).ok();
        assert_eq!(whole(Duration::from_secs(366 * 86_400)), Some(31_622_400));
        assert_eq!(whole(Duration::ZERO), Some(0));
        for length in [Duration::from_millis(1_500), Duration::from_secs(31_622_401), Duration::MAX] {
            assert_eq!(whole(length), None, "{length:?}");
        }
    }
}
