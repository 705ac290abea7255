-- etl_status
-- Per source, stream and site, over the slices of the ledger (loads) that touch the period: how many, first and
-- last day, days between them that no slice holds, the last change and the hours since, rows, changes of content
-- after the first load, and slices by state. Slices that hold a whole stream without days count, but have no first
-- and last day. Filters by channel, device and campaign do not apply.
--
-- Parameters, with values to try. For the sqlite3 shell, 3.44 or newer: sqlite3 FILE < this file
-- site: a site, or null for all
.parameter set :site "null"
-- source: a source, or null for each site's system of record
.parameter set :source "null"
-- first_day: first day
.parameter set :first_day "'2026-10-01'"
-- last_day: last day
.parameter set :last_day "'2026-10-31'"
-- now: the instant of asking
.parameter set :now "unixepoch('2026-10-31 23:00:00') * 1000000"
-- endless: window_until of a slice that is a whole stream
.parameter set :endless "'9999-12-31'"

with slices as (
    select
        l.source, l.stream, l.site, l.row_count, l.revision, l.loaded_at, l.state,
        case when l.window_until < :endless then l.window_from end as day_from,
        case when l.window_until < :endless then l.window_until end as day_until
    from loads l
    where l.window_from <= :last_day and l.window_until > :first_day
      and l.site = coalesce(:site, l.site)
      and l.source = coalesce(:source, l.source)
),
spans as (
    select
        source, stream, site, day_from,
        max(day_until) over (
            partition by source, stream, site order by day_from, day_until
            rows between unbounded preceding and 1 preceding
        ) as held_until
    from slices
    where day_from is not null
),
gaps as (
    select
        source, stream, site,
        sum(case when held_until < day_from then cast(julianday(day_from) - julianday(held_until) as integer) else 0 end) as missing_days
    from spans
    group by source, stream, site
),
streams as (
    select
        source, stream, site,
        count(*) as slices,
        min(day_from) as first_day,
        max(day_until) as day_until,
        max(loaded_at) as last_load,
        sum(row_count) as row_count,
        sum(revision - 1) as revisions,
        sum(case when state = 'planned' then 1 else 0 end) as planned,
        sum(case when state = 'provisional' then 1 else 0 end) as provisional,
        sum(case when state = 'settled' then 1 else 0 end) as settled,
        sum(case when state = 'suspect_empty' then 1 else 0 end) as suspect_empty,
        sum(case when state = 'truncated' then 1 else 0 end) as truncated,
        sum(case when state = 'sampled' then 1 else 0 end) as sampled,
        sum(case when state = 'failed' then 1 else 0 end) as failed
    from slices
    group by source, stream, site
)
select
    s.source, s.stream, s.site, s.slices,
    s.first_day,
    date(s.day_until, '-1 day') as last_day,
    coalesce(g.missing_days, 0) as missing_days,
    s.last_load,
    case when s.last_load > :now then 0.0 else cast(((:now - s.last_load) / 1000000) as real) / nullif(3600, 0) end as hours_since,
    s.row_count, s.revisions,
    s.planned, s.provisional, s.settled, s.suspect_empty, s.truncated, s.sampled, s.failed
from streams s
left join gaps g on g.source = s.source and g.stream = s.stream and g.site = s.site
order by s.source, s.stream, s.site;
