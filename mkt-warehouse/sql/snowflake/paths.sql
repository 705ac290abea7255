-- paths
-- The channels of a person's sessions in the order of their start, and how often such a path ended with a
-- conversion. A converted session of the period ends a path, which begins after the person's conversion before it
-- and at most look_back_s seconds earlier. Sessions of the period that led to no conversion in that time form
-- paths without conversion, one between two conversions. A sale (purchase, or refund with a negative revenue) of
-- the period belongs to the person's last conversion up to the session that it names, else up to its own time.
-- With several currencies a path has a row for each, with the same counts; do not add those up. Most conversions
-- first.
--
-- Parameters, with values to try. Session variables, for a worksheet or snowsql -f this file.
-- since: first instant
set since = to_timestamp_ntz('2026-09-30 22:00:00');
-- until: instant after the last
set until = to_timestamp_ntz('2026-10-31 23:00:00');
-- site: a site, or null for all
set site = (select cast(null as varchar));
-- source: a source, or null for each site's system of record
set source = (select cast(null as varchar));
-- look_back_s: seconds that a conversion looks back at most
set look_back_s = 2592000;
-- look_from: look_back_s before the period
set look_from = to_timestamp_ntz('2026-08-31 22:00:00');
-- collapse: 1 makes repeats of a channel one step, 0 keeps them
set collapse = 0;
-- most: paths at most
set most = 1000000000;

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time < $until
      and s.bot is null
      and s.site = coalesce($site, s.site)
      and s.source = coalesce($source, t.record_source, s.source)
),
touches as (
    select
        person, session_id, start_time, channel, converted,
        count(case when converted then 1 end) over (
            partition by person order by start_time, session_id rows between unbounded preceding and current row
        ) as goals,
        lag(case when not converted then channel end) over (partition by person order by start_time, session_id) as before,
        lag(start_time) over (partition by person order by start_time, session_id) as before_time
    from visits
    where start_time >= $look_from
),
goals as (
    select person, goals as goal, start_time as reached from touches where converted
),
steps as (
    select
        t.person, t.session_id, t.start_time, t.channel,
        t.goals + 1 - cast(t.converted as integer) as goal,
        case when dateadd(second, $look_back_s, t.start_time) >= g.reached then 1 else 0 end as led,
        case when dateadd(second, $look_back_s, t.start_time) >= g.reached then g.reached else t.start_time end as counted,
        -- The channel of the step before, where that is of the same path.
        case
            when dateadd(second, $look_back_s, t.before_time) >= g.reached then t.before
            when dateadd(second, $look_back_s, t.start_time) >= g.reached then null
            when t.before_time >= $since then t.before
        end as before
    from touches t
    left join goals g on g.person = t.person and g.goal = t.goals + 1 - cast(t.converted as integer)
),
sales as (
    select
        coalesce(i.person_id, e.user_id) as person, e.timestamp as happened, e.session_id,
        coalesce(e.currency, t.currency) as currency, e.revenue
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = e.user_id
    where s.bot is null
      and e.site = coalesce($site, e.site)
      and e.source = coalesce($source, t.record_source, e.source)
      and e.timestamp >= $since and e.timestamp < $until
      and e.event_type in ('purchase', 'refund')
),
placed as (
    select coalesce(t.person, s.person) as person, t.goals, s.happened, s.currency, s.revenue
    from sales s
    left join touches t on t.session_id = s.session_id
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
journeys as (
    select person, goal, led, listagg(channel, ' > ') within group (order by start_time, session_id) as path, count(*) as length
    from steps
    where counted >= $since and ($collapse = 0 or before is null or before <> channel)
    group by person, goal, led
),
counts as (
    select
        path, length, sum(led) as converted, sum(1 - led) as not_converted,
        row_number() over (order by sum(led) desc, sum(1 - led) desc, path) as place
    from journeys
    group by path, length
),
gains as (
    select j.path, t.currency, sum(t.revenue) as revenue
    from journeys j
    join takings t on t.person = j.person and t.goal = j.goal
    where j.led = 1
    group by j.path, t.currency
)
select
    c.path,
    c.length,
    c.converted,
    c.not_converted,
    g.currency,
    coalesce(g.revenue, 0) as value
from counts c
left join gains g on g.path = c.path
where c.place <= $most
order by c.place, coalesce(g.currency, '');
