-- arpu_by_month
-- Average revenue per user by local month and currency: purchases less refunds of the month ÷ distinct users with
-- a session that starts in it. Months of which the period holds a part show that part. A month that was not loaded
-- has no row; one that was loaded and is empty has 0 users and no average (this SQL alone leaves out both).
--
-- Parameters, with values to try. Session variables, for a worksheet or snowsql -f this file.
-- since: first instant
set since = to_timestamp_ntz('2026-09-30 22:00:00');
-- until: instant after the last
set until = to_timestamp_ntz('2026-10-31 23:00:00');
-- zone: IANA zone, as in zone_offsets
set zone = 'Europe/Paris';
-- site: a site, or null for all
set site = (select cast(null as varchar));
-- source: a source, or null for each site's system of record
set source = (select cast(null as varchar));
-- channels: channels joined by commas, or null for all
set channels = (select cast(null as varchar));
-- devices: devices joined by commas, or null for all
set devices = (select cast(null as varchar));
-- campaigns: values of campaign_id joined by commas, or null for all
set campaigns = (select cast(null as varchar));

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= $since and s.start_time < $until
      and s.bot is null
      and ($site is null or s.site = $site)
      and coalesce(s.source = $source, t.record_source = s.source, true)
      and ($channels is null or array_contains(to_variant(s.channel), split($channels, ',')))
      and ($devices is null or array_contains(to_variant(s.device), split($devices, ',')))
      and ($campaigns is null or array_contains(to_variant(s.campaign_id), split($campaigns, ',')))
),
users as (
    select cast(date_trunc('month', dateadd(second, z.offset_s, v.start_time)) as date) as month, count(distinct v.person) as users
    from visits v
    join zone_offsets z on z.zone = $zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    group by 1
),
sales as (
    select e.timestamp, coalesce(e.currency, t.currency) as currency, e.revenue
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and ($site is null or e.site = $site)
      and coalesce(e.source = $source, t.record_source = e.source, true)
      and ($channels is null or array_contains(to_variant(coalesce(s.channel, e.channel)), split($channels, ',')))
      and ($devices is null or array_contains(to_variant(s.device), split($devices, ',')))
      and ($campaigns is null
        or array_contains(to_variant(case when s.session_id is null then e.campaign_id else s.campaign_id end), split($campaigns, ',')))
      and e.timestamp >= $since and e.timestamp < $until
      and e.event_type in ('purchase', 'refund')
),
revenue as (
    select cast(date_trunc('month', dateadd(second, z.offset_s, f.timestamp)) as date) as month, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on z.zone = $zone and z.from_utc <= f.timestamp and z.until_utc > f.timestamp
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
    cast(case when coalesce(r.revenue, 0) < 0 then -1 else 1 end * ((abs(coalesce(r.revenue, 0)) * 2000000 + coalesce(u.users, 0)) - mod(abs(coalesce(r.revenue, 0)) * 2000000 + coalesce(u.users, 0), 2 * nullif(coalesce(u.users, 0), 0))) / (2 * nullif(coalesce(u.users, 0), 0)) / 1000000 as number(18, 6)) as arpu
from months m
left join users u on u.month = m.month
left join revenue r on r.month = m.month
order by m.month, coalesce(r.currency, '');
