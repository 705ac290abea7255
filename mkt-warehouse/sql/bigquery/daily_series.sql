-- daily_series
-- Per local day of the period, empty days included: sessions, converted sessions, and revenue (purchases less
-- refunds). A day that was not loaded has no row (this SQL alone gives 0 there). Days of which the period holds a
-- part show that part. With several currencies a day has a row for each, with the same visits and conversions; do
-- not add those up.
--
-- Parameters, with values to try. For bq: bq query --use_legacy_sql=false --dataset_id=DATASET OPTIONS < this file
--   --parameter='since:TIMESTAMP:2026-09-30 22:00:00'
--       first instant
--   --parameter='until:TIMESTAMP:2026-10-31 23:00:00'
--       instant after the last
--   --parameter='whole_from:TIMESTAMP:2026-09-30 22:00:00'
--       first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from
--   --parameter='whole_until:TIMESTAMP:2026-10-31 23:00:00'
--       end of the quarters to take from there; with channels, devices, campaigns: from
--   --parameter='zone:STRING:Europe/Paris'
--       IANA zone, as in zone_offsets
--   --parameter='site:STRING:NULL'
--       a site, or null for all
--   --parameter='source:STRING:NULL'
--       a source, or null for each site's system of record
--   --parameter='channels:STRING:NULL'
--       channels joined by commas, or null for all
--   --parameter='devices:STRING:NULL'
--       devices joined by commas, or null for all
--   --parameter='campaigns:STRING:NULL'
--       values of campaign_id joined by commas, or null for all
--   --parameter='first_day:DATE:2026-10-01'
--       first day
--   --parameter='last_day:DATE:2026-10-31'
--       last day

with days as (
    select day from unnest(generate_date_array(@first_day, @last_day)) as day
),
visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= @since and s.start_time < @until
      and s.bot is null
      and (@site is null or s.site = @site)
      and coalesce(s.source = @source, t.record_source = s.source, true)
      and (@channels is null or s.channel in unnest(split(@channels, ',')))
      and (@devices is null or s.device in unnest(split(@devices, ',')))
      and (@campaigns is null or s.campaign_id in unnest(split(@campaigns, ',')))
),
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
quarters as (
    select q.quarter, sum(q.sessions) as sessions, sum(q.converted_sessions) as converted_sessions
    from session_quarters q
    left join sites t on t.site = q.site
    where q.quarter >= @whole_from and q.quarter < @whole_until
      and (@site is null or q.site = @site)
      and coalesce(q.source = @source, t.record_source = q.source, true)
    group by q.quarter
    union all
    select timestamp_seconds(cast(floor(unix_seconds(v.start_time) / 900) as int64) * 900) as quarter, count(*) as sessions, sum(cast(v.converted as int64)) as converted_sessions
    from visits v
    where (@since < @whole_from or @whole_until < @until)
      and (v.start_time < @whole_from or v.start_time >= @whole_until)
    group by 1
),
traffic as (
    select
        date(datetime(timestamp_add(q.quarter, interval z.offset_s second))) as day,
        sum(q.sessions) as visits,
        sum(q.converted_sessions) as conversions
    from quarters q
    join zone_offsets z on z.zone = @zone and z.from_utc <= q.quarter and z.until_utc > q.quarter
    group by 1
),
sales as (
    select e.timestamp, coalesce(e.currency, t.currency) as currency, e.revenue
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and (@site is null or e.site = @site)
      and coalesce(e.source = @source, t.record_source = e.source, true)
      and (@channels is null or coalesce(s.channel, e.channel) in unnest(split(@channels, ',')))
      and (@devices is null or s.device in unnest(split(@devices, ',')))
      and (@campaigns is null
        or case when s.session_id is null then e.campaign_id else s.campaign_id end in unnest(split(@campaigns, ',')))
      and e.timestamp >= @since and e.timestamp < @until
      and e.event_type in ('purchase', 'refund')
),
takings as (
    select date(datetime(timestamp_add(f.timestamp, interval z.offset_s second))) as day, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on z.zone = @zone and z.from_utc <= f.timestamp and z.until_utc > f.timestamp
    group by 1, f.currency
),
currencies as (
    select distinct currency from takings
    union all
    select t.currency from (select max(currency) as currency, count(*) as n from takings) t where t.n = 0
)
select
    d.day,
    coalesce(v.visits, 0) as visits,
    coalesce(v.conversions, 0) as conversions,
    c.currency,
    coalesce(k.revenue, 0) as revenue
from days d
cross join currencies c
left join traffic v on v.day = d.day
left join takings k on k.day = d.day and coalesce(k.currency, '') = coalesce(c.currency, '')
order by d.day, coalesce(c.currency, '');
