-- cohort_retention
-- Users by month of sign-up, and the share of them with a session in each calendar month since. The month is that
-- of users.signed_up_at, whichever source it is from; for a user without one, that of the first session ever seen.
-- A cohort holds who signed up in the period; sessions count from the period's start. Months that are not complete
-- at the period's end are null, and so are months of which no day was loaded (this SQL alone gives 0 there).
-- Filters by channel, device and campaign keep sessions, not sign-ups.
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
-- last_month: first day of the period's last month
set last_month = to_date('2026-10-01');
-- open_month: first day of the first month not complete at the period's end
set open_month = to_date('2026-11-01');
-- first_day: first day
set first_day = to_date('2026-10-01');

with months as (
    select cast(value as integer) as number from table(flatten(input => array_generate_range(0, datediff(month, $first_day, $last_month) + 1)))
),
visits as (
    select coalesce(i.person_id, s.user_id) as person, s.start_time
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time < $until
      and s.bot is null
      and ($site is null or s.site = $site)
      and coalesce(s.source = $source, t.record_source = s.source, true)
      and ($channels is null or array_contains(to_variant(s.channel), split($channels, ',')))
      and ($devices is null or array_contains(to_variant(s.device), split($devices, ',')))
      and ($campaigns is null or array_contains(to_variant(s.campaign_id), split($campaigns, ',')))
),
signups as (
    select coalesce(i.person_id, u.user_id) as person, min(u.signed_up_at) as since
    from users u
    left join identities i on i.source = u.source and i.site = u.site and i.user_id = u.user_id
    where u.signed_up_at < $until and ($site is null or u.site = $site)
    group by coalesce(i.person_id, u.user_id)
),
-- Who was there in which month, and since when. The visits are read once, for there are many of them.
months_seen as  (
    select
        v.person,
        case when v.start_time >= $since then cast(date_trunc('month', dateadd(second, z.offset_s, v.start_time)) as date) end as active_in,
        min(v.start_time) as since
    from visits v
    left join zone_offsets z on z.zone = $zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    group by 1, 2
),
signed as  (
    select g.person, cast(date_trunc('month', dateadd(second, z.offset_s, g.since)) as date) as cohort, cast(g.since >= $since as integer) as counted
    from signups g
    join zone_offsets z on z.zone = $zone and z.from_utc <= g.since and z.until_utc > g.since
),
met as  (
    select m.person, m.active_in, m.since, g.cohort, coalesce(g.counted, 2) as counted
    from months_seen m
    left join signed g on g.person = m.person
),
-- Who never signed up.
strangers as  (
    select n.person, cast(date_trunc('month', dateadd(second, z.offset_s, n.since)) as date) as cohort
    from (select person, min(since) as since from met where counted = 2 group by person) n
    join zone_offsets z on z.zone = $zone and z.from_utc <= n.since and z.until_utc > n.since
    where n.since >= $since
),
members as (
    select cohort, count(*) as users from signed where counted = 1 group by cohort
    union all
    select cohort, count(*) as users from strangers group by cohort
),
sizes as (
    select cohort, sum(users) as users from members group by cohort
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
    select cohort, datediff(month, cohort, active_in) as month, sum(active) as active
    from pairs
    group by cohort, active_in
)
select
    s.cohort,
    m.number as month,
    s.users,
    case when datediff(month, s.cohort, $open_month) > m.number then coalesce(n.active, 0) end as active,
    case when datediff(month, s.cohort, $open_month) > m.number
        then cast(100 * coalesce(n.active, 0) as double) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.number <= datediff(month, s.cohort, $last_month)
left join counts n on n.cohort = s.cohort and n.month = m.number
order by s.cohort, m.number;
