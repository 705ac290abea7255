//! From a report's one text to an engine's: shared pieces put in, functions expanded, parameters numbered.

use super::zone;
use crate::dialect::Dialect;
use crate::model::ZoneOffset;
use crate::query::Query;
use crate::table::Value;

// The conditions on site and source are written so that planners neither lose an index for a condition that is not asked
// for nor take it for a rare one: PostgreSQL drops `null is null or …`, and guesses half the rows for a truth value that it
// cannot look into, where it would guess one in two hundred for an equation (and then join row by row).

/// Which sessions count, with what every report needs of them.
const VISITS: &str = "visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    {visited}
)";

/// The same for a report that asks for few columns: what is in an index of the sessions is read from there.
const VISITED: &str = "from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= {from} and s.start_time < :until
      and s.bot is null
      and (:site is null or s.site = :site)
      and coalesce(s.source = :source, t.record_source = s.source, true)
      and (:channels is null or @listed(s.channel, :channels))
      and (:devices is null or @listed(s.device, :devices))
      and (:campaigns is null or @listed(s.campaign_id, :campaigns))";

/// The sessions so far, where persons and systems of record are looked up in Rust, see `fold`.
const VISITED_BY_ORIGIN: &str = "from sessions s
    where s.start_time < :until
      and s.bot is null
      and (:site is null or s.site = :site)
      and (:source is null or s.source = :source)
      and (:channels is null or @listed(s.channel, :channels))
      and (:devices is null or @listed(s.device, :devices))
      and (:campaigns is null or @listed(s.campaign_id, :campaigns))";

/// The sessions by quarters of an hour: taken from the sums where a quarter is whole and nothing is filtered, else counted.
/// Where all is taken from the sums, the second part is over before it reads a row.
const QUARTERS: &str = "quarters as (
    select q.quarter, @whole(sum(q.sessions)) as sessions, @whole(sum(q.converted_sessions)) as converted_sessions
    from session_quarters q
    left join sites t on t.site = q.site
    where q.quarter >= :whole_from and q.quarter < :whole_until
      and (:site is null or q.site = :site)
      and coalesce(q.source = :source, t.record_source = q.source, true)
    group by q.quarter
    union all
    select @quarter(v.start_time) as quarter, count(*) as sessions, sum(@int(v.converted)) as converted_sessions
    from visits v
    where (:from < :whole_from or :whole_until < :until)
      and (v.start_time < :whole_from or v.start_time >= :whole_until)
    group by 1
)";

/// Which events count whatever the filters; the report adds its own conditions. An event that names a known session is
/// one of that session's user, whose id may differ from the event's own (anonymous first, then a customer):
/// `{person}`.
const EVENTS: &str = "from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and (:site is null or e.site = :site)
      and coalesce(e.source = :source, t.record_source = e.source, true)";

/// What of them counts as revenue: purchases, and refunds, whose amounts are negative.
const SALES: &str = "and e.timestamp >= :from and e.timestamp < :until
      and e.event_type in ('purchase', 'refund')";

/// Whose event it is, over [`EVENTS`].
const PERSON: &str = "coalesce(i.person_id, s.user_id, e.user_id)";

/// The same where persons, systems of record, and robots' sessions are looked up in Rust, see `fold`.
const EVENTS_BY_ORIGIN: &str = "from events e
    -- The session itself is only looked up for a filter.
    left join sessions s on s.session_id = case
        when :channels is null and :devices is null and :campaigns is null then null else e.session_id end
    where (:site is null or e.site = :site)
      and (:source is null or e.source = :source)";

/// What campaigns cost on the days of the period; the report says which sums it wants.
const COSTS: &str = "from costs c
    where c.day >= :first_day and c.day <= :last_day and c.site = coalesce(:site, c.site)
      and (:channels is null or @listed(c.channel, :channels))
      and (:campaigns is null or @listed(c.campaign_id, :campaigns))
    group by c.campaign_id, c.currency";

/// The earliest declaration of each campaign.
const DECLARED: &str = "from (
        select c.campaign_id, c.name, c.channel,
            row_number() over (partition by c.campaign_id order by c.first_seen, c.source, c.site) as place
        from campaigns c
        where c.site = coalesce(:site, c.site)
    ) declarations
    where place = 1";

/// Which of them the filters keep: an event is filtered through its session.
const KEPT: &str = "(:channels is null or @listed(coalesce(s.channel, e.channel), :channels))
      and (:devices is null or @listed(s.device, :devices))
      and (:campaigns is null
        or @listed(case when s.session_id is null then e.campaign_id else s.campaign_id end, :campaigns))";

/// The offset that holds at an instant.
const ZONE: &str = "z.zone = :zone and z.from_utc <= {at} and z.until_utc > {at}";

pub(super) fn rendered(text: &str, dialect: Dialect) -> String {
    let text = text
        .replace("{visited by origin}", VISITED_BY_ORIGIN)
        .replace("{costs by campaign}", COSTS)
        .replace("{declared once}", DECLARED)
        .replace("{quarters}", QUARTERS)
        .replace("{visits}", &VISITS.replace("{visited}", "{visited in the period}"))
        .replace("{visits so far}", &VISITS.replace("{visited}", "{visited so far}"))
        .replace("{visited in the period}", &VISITED.replace("{from}", ":from"))
        .replace("{visited so far}", &VISITED.replace("s.start_time >= {from} and ", ""))
        .replace("{sales}", &format!("{{events}}\n      {SALES}"))
        .replace("{events}", &format!("{EVENTS}\n      and {KEPT}"))
        .replace("{all events}", EVENTS)
        .replace("{person}", PERSON)
        .replace("{all events by origin}", EVENTS_BY_ORIGIN)
        .replace("{kept}", KEPT);
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
pub(super) fn bound(
    text: &str,
    dialect: Dialect,
    values: &[(&'static str, Value)],
    offsets: &[ZoneOffset],
) -> Query {
    let text = zone::brought_along(&rendered(text, dialect), offsets, dialect);
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
