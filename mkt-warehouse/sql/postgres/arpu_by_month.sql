-- arpu_by_month
-- Average revenue per user by local month and currency: purchases less refunds of the month ÷ distinct users with
-- a session that starts in it. Months of which the period holds a part show that part. A month that was not loaded
-- has no row; one that was loaded and is empty has 0 users and no average (this SQL alone leaves out both).
--
-- Parameters, with values to try. For psql: psql URL -f this file
-- from: first instant
\set from 'timestamptz ''2026-09-30 22:00:00+00'''
-- until: instant after the last
\set until 'timestamptz ''2026-10-31 23:00:00+00'''
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

with visits as (
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
users as (
    select cast(date_trunc('month', (v.start_time at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) as month, count(distinct v.person) as users
    from visits v
    join zone_offsets z on z.zone = :zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
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
revenue as (
    select cast(date_trunc('month', (f.timestamp at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) as month, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on z.zone = :zone and z.from_utc <= f.timestamp and z.until_utc > f.timestamp
    group by 1, f.currency
),
months as (
    select month from users union select month from revenue
)
select
    m.month,
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    coalesce(u.users, 0) as users,
    cast(sign(coalesce(r.revenue, 0)) * div(abs(coalesce(r.revenue, 0)) * 2000000 + coalesce(u.users, 0), 2 * nullif(coalesce(u.users, 0), 0)) / 1000000 as numeric(18, 6)) as arpu
from months m
left join users u on u.month = m.month
left join revenue r on r.month = m.month
order by m.month, coalesce(r.currency, '');
