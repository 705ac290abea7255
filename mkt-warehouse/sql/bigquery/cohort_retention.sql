-- cohort_retention
-- Users by month of sign-up, and the share of them with a session in each calendar month since. The month is that
-- of users.signed_up_at, whichever source tells it; for a user without one, that of the first session ever seen. A
-- cohort holds who signed up in the period; sessions count from the period's start. Months that are not complete
-- at the period's end are null. Filters by channel, device and campaign keep sessions, not sign-ups.
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
--   --parameter='last_month:DATE:2026-10-01'
--       first day of the period's last month
--   --parameter='open_month:DATE:2026-11-01'
--       first day of the first month not complete at the period's end
--   --parameter='first_day:DATE:2026-10-01'
--       first day

with months as (
    select number from unnest(generate_array(0, date_diff(@last_month, @first_day, month))) as number
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
    where s.start_time < @until
      and s.bot is null
      and (@site is null or s.site = @site)
      and coalesce(s.source = @source, t.record_source = s.source, true)
      and (@channels is null or s.channel in unnest(split(@channels, ',')))
      and (@devices is null or s.device in unnest(split(@devices, ',')))
      and (@campaigns is null or s.campaign_id in unnest(split(@campaigns, ',')))
),
signups as (
    select coalesce(i.person_id, u.user_id) as person, min(u.signed_up_at) as since
    from users u
    left join identities i on i.source = u.source and i.site = u.site and i.user_id = u.user_id
    where u.signed_up_at < @until and (@site is null or u.site = @site)
    group by coalesce(i.person_id, u.user_id)
),
-- Who was there in which month, and since when. The visits are read once, for there are many of them.
months_seen as  (
    select
        v.person,
        case when v.start_time >= @since then date_trunc(date(datetime(timestamp_add(v.start_time, interval z.offset_s second))), month) end as active_in,
        min(v.start_time) as since
    from visits v
    left join zone_offsets z on z.zone = @zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    group by 1, 2
),
seen as (
    select person, min(since) as since from months_seen group by person
),
people as (
    select person, since from signups
    union all
    select n.person, n.since from seen n left join signups g on g.person = n.person where g.person is null
),
cohorts as (
    select p.person, date_trunc(date(datetime(timestamp_add(p.since, interval z.offset_s second))), month) as cohort
    from people p
    join zone_offsets z on z.zone = @zone and z.from_utc <= p.since and z.until_utc > p.since
    where p.since >= @since
),
activity as (
    select person, active_in from months_seen where active_in is not null
),
sizes as (
    select cohort, count(*) as users from cohorts group by cohort
),
pairs as (
    select c.cohort, a.active_in, count(*) as active
    from cohorts c
    join activity a on a.person = c.person
    group by c.cohort, a.active_in
),
counts as (
    select cohort, date_diff(active_in, cohort, month) as month, active from pairs
)
select
    s.cohort,
    m.number as month,
    s.users,
    case when date_diff(@open_month, s.cohort, month) > m.number then coalesce(n.active, 0) end as active,
    case when date_diff(@open_month, s.cohort, month) > m.number
        then cast(100 * coalesce(n.active, 0) as float64) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.number <= date_diff(@last_month, s.cohort, month)
left join counts n on n.cohort = s.cohort and n.month = m.number
order by s.cohort, m.number;
