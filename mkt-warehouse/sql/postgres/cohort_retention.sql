-- cohort_retention
-- Users by month of sign-up (users.signed_up_at; for a user without one, the first session ever seen), and the
-- share of them with a session in each calendar month since. A cohort holds who signed up in the period; sessions
-- count from the period's start. Months that are not complete at the period's end are null.
--
-- Parameters, with values to try in psql:
-- \set from 'timestamptz ''2026-10-01 00:00+02'''
--     first instant
-- \set until 'timestamptz ''2026-11-01 00:00+01'''
--     instant after the last
-- \set zone 'text ''Europe/Paris'''
--     IANA zone, as in zone_offsets
-- \set site 'cast(null as text)'
--     a site, or null for all
-- \set source 'cast(null as text)'
--     a source, or null for each site's system of record
-- \set last_month 'date ''2026-10-01'''
--     first day of the period's last month
-- \set open_month 'date ''2026-11-01'''
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
    select p.person, cast(date_trunc('month', (p.since at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) as cohort
    from people p
    join zone_offsets z on z.zone = :zone and z.from_utc <= p.since and z.until_utc > p.since
    where p.since >= :from
),
activity as (
    select distinct v.person, cast(date_trunc('month', (v.start_time at time zone 'UTC' + make_interval(secs => z.offset_s))) as date) as active_in
    from visits v
    join zone_offsets z on z.zone = :zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    where v.start_time >= :from
),
sizes as (
    select cohort, count(*) as users from cohorts group by cohort
),
counts as (
    select c.cohort, cast((extract(year from a.active_in) - extract(year from c.cohort)) * 12 + extract(month from a.active_in) - extract(month from c.cohort) as bigint) as month, count(*) as active
    from cohorts c
    join activity a on a.person = c.person
    group by 1, 2
)
select
    s.cohort,
    m.month,
    s.users,
    case when cast((extract(year from :open_month) - extract(year from s.cohort)) * 12 + extract(month from :open_month) - extract(month from s.cohort) as bigint) > m.month then coalesce(n.active, 0) end as active,
    case when cast((extract(year from :open_month) - extract(year from s.cohort)) * 12 + extract(month from :open_month) - extract(month from s.cohort) as bigint) > m.month
        then cast(100 * coalesce(n.active, 0) as double precision) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.month <= cast((extract(year from :last_month) - extract(year from s.cohort)) * 12 + extract(month from :last_month) - extract(month from s.cohort) as bigint)
left join counts n on n.cohort = s.cohort and n.month = m.month
order by s.cohort, m.month;
