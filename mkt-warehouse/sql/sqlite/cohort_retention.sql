-- cohort_retention
-- Users by month of sign-up (users.signed_up_at; for a user without one, the first session ever seen), and the
-- share of them with a session in each calendar month since. A cohort holds who signed up in the period; sessions
-- count from the period's start. Months that are not complete at the period's end are null.
--
-- Parameters, with values to try in the sqlite3 shell:
-- .parameter set :from "unixepoch('2026-10-01') * 1000000"
--     first instant
-- .parameter set :until "unixepoch('2026-11-01') * 1000000"
--     instant after the last
-- .parameter set :zone "'Europe/Paris'"
--     IANA zone, as in zone_offsets
-- .parameter set :site "null"
--     a site, or null for all
-- .parameter set :source "null"
--     a source, or null for each site's system of record
-- .parameter set :last_month "'2026-10-01'"
--     first day of the period's last month
-- .parameter set :open_month "'2026-11-01'"
--     first day of the first month not complete at the period's end

with recursive months (month) as (
    select 0 union all select month + 1 from months where month < 1200
),
visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time < :until
      and s.bot is null
      and s.site = coalesce(:site, s.site)
      and s.source = coalesce(:source, t.record_source, s.source)
),
signups as (
    select coalesce(i.person_id, u.user_id) as person, min(u.signed_up_at) as since
    from users u
    left join identities i on i.source = u.source and i.site = u.site and i.user_id = u.user_id
    where u.signed_up_at < :until and u.site = coalesce(:site, u.site)
    group by coalesce(i.person_id, u.user_id)
),
seen as (
    select person, min(start_time) as since from visits group by person
),
people as (
    select person, since from signups
    union all
    select n.person, n.since from seen n left join signups g on g.person = n.person where g.person is null
),
cohorts as (
    select p.person, date((p.since + z.offset_s * 1000000) / 1000000, 'unixepoch', 'start of month') as cohort
    from people p
    join zone_offsets z on z.zone = :zone and z.from_utc <= p.since and z.until_utc > p.since
    where p.since >= :from
),
activity as (
    select distinct v.person, date((v.start_time + z.offset_s * 1000000) / 1000000, 'unixepoch', 'start of month') as active_in
    from visits v
    join zone_offsets z on z.zone = :zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    where v.start_time >= :from
),
sizes as (
    select cohort, count(*) as users from cohorts group by cohort
),
counts as (
    select c.cohort, ((substr(a.active_in, 1, 4) - substr(c.cohort, 1, 4)) * 12 + substr(a.active_in, 6, 2) - substr(c.cohort, 6, 2)) as month, count(*) as active
    from cohorts c
    join activity a on a.person = c.person
    group by 1, 2
)
select
    s.cohort,
    m.month,
    s.users,
    case when ((substr(:open_month, 1, 4) - substr(s.cohort, 1, 4)) * 12 + substr(:open_month, 6, 2) - substr(s.cohort, 6, 2)) > m.month then coalesce(n.active, 0) end as active,
    case when ((substr(:open_month, 1, 4) - substr(s.cohort, 1, 4)) * 12 + substr(:open_month, 6, 2) - substr(s.cohort, 6, 2)) > m.month
        then cast(100 * coalesce(n.active, 0) as real) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.month <= ((substr(:last_month, 1, 4) - substr(s.cohort, 1, 4)) * 12 + substr(:last_month, 6, 2) - substr(s.cohort, 6, 2))
left join counts n on n.cohort = s.cohort and n.month = m.month
order by s.cohort, m.month;
