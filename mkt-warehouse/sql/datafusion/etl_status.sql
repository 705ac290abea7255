-- etl_status
-- Per source, stream and site, over the slices of the ledger (loads) that touch the period: how many, first and
-- last day, days between them that no slice holds, the last change and the hours since, rows, changes of content
-- after the first load, and slices by state. Slices that hold a whole stream without days count, but have no first
-- and last day. Filters by channel, device and campaign do not apply.
--
-- Parameters, with values to try. In Python: SessionContext().sql(text, param_values={
--   'site': None,  # a site, or null for all
--   'source': None,  # a source, or null for each site's system of record
--   'first_day': date.fromisoformat('2026-10-01'),  # first day
--   'last_day': date.fromisoformat('2026-10-31'),  # last day
--   'now': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # the instant of asking
--   'endless': date.fromisoformat('9999-12-31'),  # window_until of a slice that is a whole stream
-- })

with slices as (
    select
        l.source, l.stream, l.site, l.row_count, l.revision, l.loaded_at, l.state,
        case when l.window_until < $endless then l.window_from end as day_from,
        case when l.window_until < $endless then l.window_until end as day_until
    from loads l
    where l.window_from <= $last_day and l.window_until > $first_day
      and l.site = coalesce($site, l.site)
      and l.source = coalesce($source, l.source)
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
        sum(case when held_until < day_from then (cast(cast(day_from as date) as integer) - cast(cast(held_until as date) as integer)) else 0 end) as missing_days
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
    cast(s.day_until - interval '1 day' as date) as last_day,
    coalesce(g.missing_days, 0) as missing_days,
    s.last_load,
    case when s.last_load > $now then 0.0 else cast(100 * ((cast($now as bigint) - cast(s.last_load as bigint)) / 1000000) as double) / nullif(cast(100 * 3600 as double), 0) end as hours_since,
    s.row_count, s.revisions,
    s.planned, s.provisional, s.settled, s.suspect_empty, s.truncated, s.sampled, s.failed
from streams s
left join gaps g on g.source = s.source and g.stream = s.stream and g.site = s.site
order by s.source, s.stream, s.site;
