-- daily_series
-- Per local day of the period, empty days included: sessions, converted sessions, and revenue (purchases less
-- refunds). A day that was not loaded has no row (this SQL alone gives 0 there). Days of which the period holds a
-- part show that part. With several currencies a day has a row for each, with the same visits and conversions; do
-- not add those up.
--
-- Parameters, with values to try. In Python: SessionContext().sql(text, param_values={
--   'from': datetime.fromisoformat('2026-09-30 22:00:00+00:00'),  # first instant
--   'until': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # instant after the last
--   'whole_from': datetime.fromisoformat('2026-09-30 22:00:00+00:00'),  # first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from
--   'whole_until': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # end of the quarters to take from there; with channels, devices, campaigns: from
--   'zone': 'Europe/Paris',  # IANA zone, as in zone_offsets
--   'site': None,  # a site, or null for all
--   'source': None,  # a source, or null for each site's system of record
--   'channels': None,  # channels joined by commas, or null for all
--   'devices': None,  # devices joined by commas, or null for all
--   'campaigns': None,  # values of campaign_id joined by commas, or null for all
--   'first_day': date.fromisoformat('2026-10-01'),  # first day
--   'last_day': date.fromisoformat('2026-10-31'),  # last day
-- })

with days as (
    select unnest(generate_series(cast($first_day as date), cast($last_day as date), interval '1 day')) as day
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
    where s.start_time >= $from and s.start_time < $until
      and s.bot is null
      and ($site is null or s.site = $site)
      and coalesce(s.source = $source, t.record_source = s.source, true)
      and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', s.channel, ',')) > 0 and strpos(s.channel, ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null or (strpos(concat(',', $campaigns, ','), concat(',', s.campaign_id, ',')) > 0 and strpos(s.campaign_id, ',') = 0))
),
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
quarters as (
    select q.quarter, sum(q.sessions) as sessions, sum(q.converted_sessions) as converted_sessions
    from session_quarters q
    left join sites t on t.site = q.site
    where q.quarter >= $whole_from and q.quarter < $whole_until
      and ($site is null or q.site = $site)
      and coalesce(q.source = $source, t.record_source = q.source, true)
    group by q.quarter
    union all
    select arrow_cast(cast(v.start_time as bigint) - (cast(v.start_time as bigint) % 900000000 + 900000000) % 900000000, 'Timestamp(Microsecond, Some("UTC"))') as quarter, count(*) as sessions, sum(cast(v.converted as bigint)) as converted_sessions
    from visits v
    where ($from < $whole_from or $whole_until < $until)
      and (v.start_time < $whole_from or v.start_time >= $whole_until)
    group by 1
),
traffic as (
    select
        cast(to_timestamp_micros(cast(q.quarter as bigint) + z.offset_s * 1000000) as date) as day,
        sum(q.sessions) as visits,
        sum(q.converted_sessions) as conversions
    from quarters q
    join zone_offsets z on z.zone = $zone and z.from_utc <= q.quarter and z.until_utc > q.quarter
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
takings as (
    select cast(to_timestamp_micros(cast(f.timestamp as bigint) + z.offset_s * 1000000) as date) as day, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on z.zone = $zone and z.from_utc <= f.timestamp and z.until_utc > f.timestamp
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
