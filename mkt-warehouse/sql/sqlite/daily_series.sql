-- daily_series
-- Per local day of the period, empty days included: sessions, converted sessions, and revenue (purchases less
-- refunds). A day that was not loaded has no row (this SQL alone gives 0 there). Days of which the period holds a
-- part show that part. With several currencies a day has a row for each, with the same visits and conversions; do
-- not add those up.
--
-- Parameters, with values to try. For the sqlite3 shell, 3.44 or newer: sqlite3 FILE < this file
-- from: first instant
.parameter set :from "unixepoch('2026-09-30 22:00:00') * 1000000"
-- until: instant after the last
.parameter set :until "unixepoch('2026-10-31 23:00:00') * 1000000"
-- whole_from: first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from
.parameter set :whole_from "unixepoch('2026-09-30 22:00:00') * 1000000"
-- whole_until: end of the quarters to take from there; with channels, devices, campaigns: from
.parameter set :whole_until "unixepoch('2026-10-31 23:00:00') * 1000000"
-- zone: IANA zone, as in zone_offsets
.parameter set :zone "'Europe/Paris'"
-- site: a site, or null for all
.parameter set :site "null"
-- source: a source, or null for each site's system of record
.parameter set :source "null"
-- channels: channels joined by commas, or null for all
.parameter set :channels "null"
-- devices: devices joined by commas, or null for all
.parameter set :devices "null"
-- campaigns: values of campaign_id joined by commas, or null for all
.parameter set :campaigns "null"
-- first_day: first day
.parameter set :first_day "'2026-10-01'"
-- last_day: last day
.parameter set :last_day "'2026-10-31'"

with days as (
    with recursive days (day) as (
        select :first_day where :first_day <= :last_day union all select date(day, '+1 day') from days where day < :last_day
    )
    select day from days
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
      and (:channels is null or (instr(',' || :channels || ',', ',' || s.channel || ',') > 0 and instr(s.channel, ',') = 0))
      and (:devices is null or (instr(',' || :devices || ',', ',' || s.device || ',') > 0 and instr(s.device, ',') = 0))
      and (:campaigns is null or (instr(',' || :campaigns || ',', ',' || s.campaign_id || ',') > 0 and instr(s.campaign_id, ',') = 0))
),
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
quarters as (
    select q.quarter, sum(q.sessions) as sessions, sum(q.converted_sessions) as converted_sessions
    from session_quarters q
    left join sites t on t.site = q.site
    where q.quarter >= :whole_from and q.quarter < :whole_until
      and (:site is null or q.site = :site)
      and coalesce(q.source = :source, t.record_source = q.source, true)
    group by q.quarter
    union all
    select (v.start_time - (v.start_time % 900000000 + 900000000) % 900000000) as quarter, count(*) as sessions, sum(v.converted) as converted_sessions
    from visits v
    where (:from < :whole_from or :whole_until < :until)
      and (v.start_time < :whole_from or v.start_time >= :whole_until)
    group by 1
),
traffic as (
    select
        date((q.quarter + z.offset_s * 1000000) / 1000000, 'unixepoch') as day,
        sum(q.sessions) as visits,
        sum(q.converted_sessions) as conversions
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
      and (:channels is null or (instr(',' || :channels || ',', ',' || coalesce(s.channel, e.channel) || ',') > 0 and instr(coalesce(s.channel, e.channel), ',') = 0))
      and (:devices is null or (instr(',' || :devices || ',', ',' || s.device || ',') > 0 and instr(s.device, ',') = 0))
      and (:campaigns is null
        or (instr(',' || :campaigns || ',', ',' || case when s.session_id is null then e.campaign_id else s.campaign_id end || ',') > 0 and instr(case when s.session_id is null then e.campaign_id else s.campaign_id end, ',') = 0))
      and e.timestamp >= :from and e.timestamp < :until
      and e.event_type in ('purchase', 'refund')
),
takings as (
    select date((f.timestamp + z.offset_s * 1000000) / 1000000, 'unixepoch') as day, f.currency, sum(f.revenue) as revenue
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
