-- cohort_retention
-- Users by month of sign-up, and the share of them with a session in each calendar month since. The month is that
-- of users.signed_up_at, whichever source it is from; for a user without one, that of the first session ever seen.
-- A cohort holds who signed up in the period; sessions count from the period's start. Months that are not complete
-- at the period's end are null, and so are months of which no day was loaded (this SQL alone gives 0 there).
-- Filters by channel, device and campaign keep sessions, not sign-ups.
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
-- last_month: first day of the period's last month
\set last_month 'date ''2026-10-01'''
-- open_month: first day of the first month not complete at the period's end
\set open_month 'date ''2026-11-01'''
-- first_day: first day
\set first_day 'date ''2026-10-01'''

with months as (
    select number from generate_series(0, cast((extract(year from :last_month) - extract(year from :first_day)) * 12 + extract(month from :last_month) - extract(month from :first_day) as bigint)) as number
),
visits as (
    select coalesce(i.person_id, s.user_id) as person, s.start_time
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time < :until
      and s.bot is null
      and (:site is null or s.site = :site)
      and coalesce(s.source = :source, t.record_source = s.source, true)
      and (:channels is null or s.channel = any (string_to_array(:channels, ',')))
      and (:devices is null or s.device = any (string_to_array(:devices, ',')))
      and (:campaigns is null or s.campaign_id = any (string_to_array(:campaigns, ',')))
),
signups as (
    select coalesce(i.person_id, u.user_id) as person, min(u.signed_up_at) as since
    from users u
    left join identities i on i.source = u.source and i.site = u.site and i.user_id = u.user_id
    where u.signed_up_at < :until and (:site is null or u.site = :site)
    group by coalesce(i.person_id, u.user_id)
),
-- Who was there in which month, and since when. The visits are read once, for there are many of them.
months_seen as materialized  (
    select
        v.person,
        case when v.start_time >= :from then cast(date_trunc('month', (v.start_time at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) end as active_in,
        min(v.start_time) as since
    from visits v
    left join zone_offsets z on z.zone = :zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    group by 1, 2
),
signed as materialized  (
    select g.person, cast(date_trunc('month', (g.since at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) as cohort, cast(g.since >= :from as integer) as counted
    from signups g
    join zone_offsets z on z.zone = :zone and z.from_utc <= g.since and z.until_utc > g.since
),
met as materialized  (
    select m.person, m.active_in, m.since, g.cohort, coalesce(g.counted, 2) as counted
    from months_seen m
    left join signed g on g.person = m.person
),
-- Who never signed up.
strangers as materialized  (
    select n.person, cast(date_trunc('month', (n.since at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) as cohort
    from (select person, min(since) as since from met where counted = 2 group by person) n
    join zone_offsets z on z.zone = :zone and z.from_utc <= n.since and z.until_utc > n.since
    where n.since >= :from
),
members as (
    select cohort, count(*) as users from signed where counted = 1 group by cohort
    union all
    select cohort, count(*) as users from strangers group by cohort
),
sizes as (
    select cohort, cast(sum(users) as bigint) as users from members group by cohort
),
pairs as (
    select cohort, active_in, count(*) as active
    from met
    where counted = 1 and active_in is not null
    group by cohort, active_in
    union all
    select s.cohort, m.active_in, count(*) as active
    from strangers s
    join met m on m.person = s.person
    where m.active_in is not null
    group by s.cohort, m.active_in
),
counts as (
    select cohort, cast((extract(year from active_in) - extract(year from cohort)) * 12 + extract(month from active_in) - extract(month from cohort) as bigint) as month, cast(sum(active) as bigint) as active
    from pairs
    group by cohort, active_in
)
select
    s.cohort,
    m.number as month,
    s.users,
    case when cast((extract(year from :open_month) - extract(year from s.cohort)) * 12 + extract(month from :open_month) - extract(month from s.cohort) as bigint) > m.number then coalesce(n.active, 0) end as active,
    case when cast((extract(year from :open_month) - extract(year from s.cohort)) * 12 + extract(month from :open_month) - extract(month from s.cohort) as bigint) > m.number
        then cast(100 * coalesce(n.active, 0) as double precision) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.number <= cast((extract(year from :last_month) - extract(year from s.cohort)) * 12 + extract(month from :last_month) - extract(month from s.cohort) as bigint)
left join counts n on n.cohort = s.cohort and n.month = m.number
order by s.cohort, m.number;
