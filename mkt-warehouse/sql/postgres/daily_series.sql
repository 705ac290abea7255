-- daily_series
-- Per local day of the period, empty days included: sessions, converted sessions, and revenue (purchases less
-- refunds). A day that was not loaded has no row (this SQL alone gives 0 there). Days of which the period holds a
-- part show that part. With several currencies a day has a row for each, with the same visits and conversions; do
-- not add those up.
--
-- Parameters, with values to try. For psql: psql URL -f this file
-- from: first instant
\set from 'timestamptz ''2026-09-30 22:00:00+00'''
-- until: instant after the last
\set until 'timestamptz ''2026-10-31 23:00:00+00'''
-- whole_from: first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from
\set whole_from 'timestamptz ''2026-09-30 22:00:00+00'''
-- whole_until: end of the quarters to take from there; with channels, devices, campaigns: from
\set whole_until 'timestamptz ''2026-10-31 23:00:00+00'''
-- zone: IANA zone, as in zone_offsets
\set zone 'text ''Europe/Paris'''
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
-- first_day: first day
\set first_day 'date ''2026-10-01'''
-- last_day: last day
\set last_day 'date ''2026-10-31'''

with days as (
    select :first_day + number as day from generate_series(0, :last_day - :first_day) as number
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
    where s.start_time >= :from and s.start_time < :until
      and s.bot is null
      and (:site is null or s.site = :site)
      and coalesce(s.source = :source, t.record_source = s.source, true)
      and (:channels is null or s.channel = any (string_to_array(:channels, ',')))
      and (:devices is null or s.device = any (string_to_array(:devices, ',')))
      and (:campaigns is null or s.campaign_id = any (string_to_array(:campaigns, ',')))
),
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
quarters as (
    select q.quarter, cast(sum(q.sessions) as bigint) as sessions, cast(sum(q.converted_sessions) as bigint) as converted_sessions
    from session_quarters q
    left join sites t on t.site = q.site
    where q.quarter >= :whole_from and q.quarter < :whole_until
      and (:site is null or q.site = :site)
      and coalesce(q.source = :source, t.record_source = q.source, true)
    group by q.quarter
    union all
    select date_bin(interval '15 minutes', v.start_time, to_timestamp(0)) as quarter, count(*) as sessions, sum(cast(v.converted as integer)) as converted_sessions
    from visits v
    where (:from < :whole_from or :whole_until < :until)
      and (v.start_time < :whole_from or v.start_time >= :whole_until)
    group by 1
),
traffic as (
    select
        cast((q.quarter at time zone 'UTC' + make_interval(secs => z.offset_s)) as date) as day,
        cast(sum(q.sessions) as bigint) as visits,
        cast(sum(q.converted_sessions) as bigint) as conversions
    from quarters q
    join zone_offsets z on z.zone = :zone and z.from_utc <= q.quarter and z.until_utc > q.quarter
    group by 1
),
sales as (
    select e.timestamp, coalesce(e.currency, t.currency) as currency, e.revenue
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
takings as (
    select cast((f.timestamp at time zone 'UTC' + make_interval(secs => z.offset_s)) as date) as day, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on z.zone = :zone and z.from_utc <= f.timestamp and z.until_utc > f.timestamp
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
