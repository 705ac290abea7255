-- arpu_by_month
-- Average revenue per user by local month and currency: purchases less refunds of the month ÷ distinct users with
-- a session that starts in it. Months of which the period holds a part show that part. A month that was not loaded
-- has no row; one that was loaded and is empty has 0 users and no average (this SQL alone leaves out both).
--
-- Parameters, with values to try. For bq: bq query --use_legacy_sql=false --dataset_id=DATASET OPTIONS < this file
--   --parameter='since:TIMESTAMP:2026-09-30 22:00:00'
--       first instant
--   --parameter='until:TIMESTAMP:2026-10-31 23:00:00'
--       instant after the last
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

with visits as (
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
users as (
    select date_trunc(date(datetime(timestamp_add(v.start_time, interval z.offset_s second))), month) as month, count(distinct v.person) as users
    from visits v
    join zone_offsets z on z.zone = @zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
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
revenue as (
    select date_trunc(date(datetime(timestamp_add(f.timestamp, interval z.offset_s second))), month) as month, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on z.zone = @zone and z.from_utc <= f.timestamp and z.until_utc > f.timestamp
    group by 1, f.currency
),
months as (
    select month from users union distinct select month from revenue
)
select
    m.month,
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    coalesce(u.users, 0) as users,
    cast(case when coalesce(r.revenue, 0) < 0 then -1 else 1 end * (div(cast(abs(coalesce(r.revenue, 0)) * 100 as int64), nullif(coalesce(u.users, 0), 0)) * 10000 + div(mod(cast(abs(coalesce(r.revenue, 0)) * 100 as int64), nullif(coalesce(u.users, 0), 0)) * 20000 + coalesce(u.users, 0), 2 * nullif(coalesce(u.users, 0), 0))) as numeric) / 1000000 as arpu
from months m
left join users u on u.month = m.month
left join revenue r on r.month = m.month
order by m.month, coalesce(r.currency, '');
