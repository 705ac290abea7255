-- cohort_retention
-- Users by month of sign-up, and the share of them with a session in each calendar month since. The month is that
-- of users.signed_up_at, whichever source it is from; for a user without one, that of the first session ever seen.
-- A cohort holds who signed up in the period; sessions count from the period's start. Months that are not complete
-- at the period's end are null, and so are months of which no day was loaded (this SQL alone gives 0 there).
-- Filters by channel, device and campaign keep sessions, not sign-ups.
--
-- Parameters, with values to try. For the sqlite3 shell, 3.44 or newer: sqlite3 FILE < this file
-- from: first instant
.parameter set :from "unixepoch('2026-09-30 22:00:00') * 1000000"
-- until: instant after the last
.parameter set :until "unixepoch('2026-10-31 23:00:00') * 1000000"
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
-- last_month: first day of the period's last month
.parameter set :last_month "'2026-10-01'"
-- open_month: first day of the first month not complete at the period's end
.parameter set :open_month "'2026-11-01'"
-- first_day: first day
.parameter set :first_day "'2026-10-01'"

with months as (
    with recursive numbers (number) as (
        select 0 where ((substr(:last_month, 1, 4) - substr(:first_day, 1, 4)) * 12 + substr(:last_month, 6, 2) - substr(:first_day, 6, 2)) >= 0 union all select number + 1 from numbers where number < ((substr(:last_month, 1, 4) - substr(:first_day, 1, 4)) * 12 + substr(:last_month, 6, 2) - substr(:first_day, 6, 2))
    )
    select number from numbers
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
      and (:channels is null or (instr(',' || :channels || ',', ',' || s.channel || ',') > 0 and instr(s.channel, ',') = 0))
      and (:devices is null or (instr(',' || :devices || ',', ',' || s.device || ',') > 0 and instr(s.device, ',') = 0))
      and (:campaigns is null or (instr(',' || :campaigns || ',', ',' || s.campaign_id || ',') > 0 and instr(s.campaign_id, ',') = 0))
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
        case when v.start_time >= :from then date((v.start_time + z.offset_s * 1000000) / 1000000, 'unixepoch', 'start of month') end as active_in,
        min(v.start_time) as since
    from visits v
    left join zone_offsets z on z.zone = :zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    group by 1, 2
),
signed as materialized  (
    select g.person, date((g.since + z.offset_s * 1000000) / 1000000, 'unixepoch', 'start of month') as cohort, g.since >= :from as counted
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
    select n.person, date((n.since + z.offset_s * 1000000) / 1000000, 'unixepoch', 'start of month') as cohort
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
    select cohort, ((substr(active_in, 1, 4) - substr(cohort, 1, 4)) * 12 + substr(active_in, 6, 2) - substr(cohort, 6, 2)) as month, sum(active) as active
    from pairs
    group by cohort, active_in
)
select
    s.cohort,
    m.number as month,
    s.users,
    case when ((substr(:open_month, 1, 4) - substr(s.cohort, 1, 4)) * 12 + substr(:open_month, 6, 2) - substr(s.cohort, 6, 2)) > m.number then coalesce(n.active, 0) end as active,
    case when ((substr(:open_month, 1, 4) - substr(s.cohort, 1, 4)) * 12 + substr(:open_month, 6, 2) - substr(s.cohort, 6, 2)) > m.number
        then cast(100 * coalesce(n.active, 0) as real) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.number <= ((substr(:last_month, 1, 4) - substr(s.cohort, 1, 4)) * 12 + substr(:last_month, 6, 2) - substr(s.cohort, 6, 2))
left join counts n on n.cohort = s.cohort and n.month = m.number
order by s.cohort, m.number;
