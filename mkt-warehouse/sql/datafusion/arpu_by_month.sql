-- arpu_by_month
-- Average revenue per user by local month and currency: purchases less refunds of the month ÷ distinct users with
-- a session that starts in it. Months of which the period holds a part show that part. A month that was not loaded
-- has no row; one that was loaded and is empty has 0 users and no average (this SQL alone leaves out both).
--
-- Parameters, with values to try. In Python: SessionContext().sql(text, param_values={
--   'from': datetime.fromisoformat('2026-09-30 22:00:00+00:00'),  # first instant
--   'until': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # instant after the last
--   'zone': 'Europe/Paris',  # IANA zone, as in zone_offsets
--   'site': None,  # a site, or null for all
--   'source': None,  # a source, or null for each site's system of record
--   'channels': None,  # channels joined by commas, or null for all
--   'devices': None,  # devices joined by commas, or null for all
--   'campaigns': None,  # values of campaign_id joined by commas, or null for all
-- })

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= $from and s.start_time < $until
      and s.bot is null
      and ($site is null or s.site = $site)
      and coalesce(s.source = $source, t.record_source = s.source, true)
      and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', s.channel, ',')) > 0 and strpos(s.channel, ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null or (strpos(concat(',', $campaigns, ','), concat(',', s.campaign_id, ',')) > 0 and strpos(s.campaign_id, ',') = 0))
),
users as (
    select cast(date_trunc('month', to_timestamp_micros(cast(v.start_time as bigint) + z.offset_s * 1000000)) as date) as month, count(distinct v.person) as users
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
      and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', coalesce(s.channel, e.channel), ',')) > 0 and strpos(coalesce(s.channel, e.channel), ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null
        or (strpos(concat(',', $campaigns, ','), concat(',', case when s.session_id is null then e.campaign_id else s.campaign_id end, ',')) > 0 and strpos(case when s.session_id is null then e.campaign_id else s.campaign_id end, ',') = 0))
      and e.timestamp >= $from and e.timestamp < $until
      and e.event_type in ('purchase', 'refund')
),
revenue as (
    select cast(date_trunc('month', to_timestamp_micros(cast(f.timestamp as bigint) + z.offset_s * 1000000)) as date) as month, f.currency, sum(f.revenue) as revenue
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
    cast(cast(case when coalesce(r.revenue, 0) < 0 then -1 else 1 end * (abs(cast(coalesce(r.revenue, 0) * 100 as bigint)) / nullif(coalesce(u.users, 0), 0) * 10000 + (abs(cast(coalesce(r.revenue, 0) * 100 as bigint)) % nullif(coalesce(u.users, 0), 0) * 20000 + coalesce(u.users, 0)) / (2 * nullif(coalesce(u.users, 0), 0))) as decimal(28, 6)) / 1000000 as decimal(18, 6)) as arpu
from months m
left join users u on u.month = m.month
left join revenue r on r.month = m.month
order by m.month, coalesce(r.currency, '');
