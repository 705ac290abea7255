-- channel_sets
-- Which combinations of channels convert: the paths of the report paths by the set of their channels, whatever the
-- order and the repeats; paths that end with a conversion ÷ paths × 100, and the sales that belong to the
-- conversions. With several currencies a set has a row for each, with the same counts; do not add those up. Most
-- conversions first.
--
-- Parameters, with values to try. For psql: psql URL -f this file
-- from: first instant
\set from 'timestamptz ''2026-09-30 22:00:00+00'''
-- until: instant after the last
\set until 'timestamptz ''2026-10-31 23:00:00+00'''
-- site: a site, or null for all
\set site 'cast(null as text)'
-- source: a source, or null for each site's system of record
\set source 'cast(null as text)'
-- channels: channels joined by commas, or null for all
\set channels 'cast(null as text)'
-- devices: devices joined by commas, or null for all
\set devices 'cast(null as text)'
-- campaigns: values of campaign_id joined by commas, or null for all
\set campaigns 'cast(null as text)'
-- look_back_s: seconds that a conversion looks back at most
\set look_back_s '2592000'
-- look_from: look_back_s before the period
\set look_from 'timestamptz ''2026-08-31 22:00:00+00'''

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time < :until
      and s.bot is null
      and (:site is null or s.site = :site)
      and coalesce(s.source = :source, t.record_source = s.source, true)
      and (:channels is null or s.channel = any (string_to_array(:channels, ',')))
      and (:devices is null or s.device = any (string_to_array(:devices, ',')))
      and (:campaigns is null or s.campaign_id = any (string_to_array(:campaigns, ',')))
),
touches as materialized (
    select person, session_id, seq, start_time, channel, converted from visits where start_time >= :look_from
),
converters as materialized (
    select distinct person from touches where converted
),
-- Only the sessions of those who converted have to be put in order.
ordered as materialized (
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
        o.goals + 1 - cast(o.converted as integer) as goal,
        case when (o.start_time + make_interval(secs => :look_back_s)) >= g.reached then 1 else 0 end as led,
        case when (o.start_time + make_interval(secs => :look_back_s)) >= g.reached then g.reached else o.start_time end as counted
    from ordered o
    left join goals g on g.person = o.person and g.goal = o.goals + 1 - cast(o.converted as integer)
    union all
    select t.person, t.session_id, t.seq, t.start_time, t.channel, 1 as goal, 0 as led, t.start_time as counted
    from touches t
    left join converters c on c.person = t.person
    where c.person is null
),
sales as materialized (
    select
        coalesce(i.person_id, s.user_id, e.user_id) as person, e.timestamp as happened, e.session_id,
        coalesce(e.currency, t.currency) as currency, e.revenue
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and (:site is null or e.site = :site)
      and coalesce(e.source = :source, t.record_source = e.source, true)
      and (:channels is null or coalesce(s.channel, e.channel) = any (string_to_array(:channels, ',')))
      and (:devices is null or s.device = any (string_to_array(:devices, ',')))
      and (:campaigns is null
        or case when s.session_id is null then e.campaign_id else s.campaign_id end = any (string_to_array(:campaigns, ',')))
      and e.timestamp >= :from and e.timestamp < :until
      and e.event_type in ('purchase', 'refund')
),
named as materialized (
    select t.session_id, t.person, coalesce(o.goals, 0) as goals
    from touches t
    left join ordered o on o.session_id = t.session_id
    where t.session_id in (select session_id from sales)
),
placed as materialized (
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
used as (
    select distinct person, goal, led, channel from steps where counted >= :from
),
journeys as materialized (
    select person, goal, led, string_agg(channel, ' + ' order by channel) as channels, count(*) as size
    from used
    group by person, goal, led
),
counts as (
    select channels, size, count(*) as paths, sum(led) as converted
    from journeys
    group by channels, size
),
gains as (
    select j.channels, t.currency, sum(t.revenue) as revenue
    from journeys j
    join takings t on t.person = j.person and t.goal = j.goal
    where j.led = 1
    group by j.channels, t.currency
)
select
    c.channels,
    c.size,
    c.paths,
    c.converted,
    cast(100 * c.converted as double precision) / nullif(c.paths, 0) as conversion_rate,
    g.currency,
    coalesce(g.revenue, 0) as value
from counts c
left join gains g on g.channels = c.channels
order by c.converted desc, c.paths desc, c.channels, coalesce(g.currency, '');
