-- cohort_retention
-- Users by month of sign-up, and the share of them with a session in each calendar month since. The month is that
-- of users.signed_up_at, whichever source it is from; for a user without one, that of the first session ever seen.
-- A cohort holds who signed up in the period; sessions count from the period's start. Months that are not complete
-- at the period's end are null, and so are months of which no day was loaded (this SQL alone gives 0 there).
-- Filters by channel, device and campaign keep sessions, not sign-ups.
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
--   'last_month': date.fromisoformat('2026-10-01'),  # first day of the period's last month
--   'open_month': date.fromisoformat('2026-11-01'),  # first day of the first month not complete at the period's end
--   'first_day': date.fromisoformat('2026-10-01'),  # first day
-- })

with months as (
    select unnest(generate_series(cast(0 as bigint), cast(((extract(year from $last_month) - extract(year from $first_day)) * 12 + extract(month from $last_month) - extract(month from $first_day)) as bigint))) as number
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
      and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', s.channel, ',')) > 0 and strpos(s.channel, ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null or (strpos(concat(',', $campaigns, ','), concat(',', s.campaign_id, ',')) > 0 and strpos(s.campaign_id, ',') = 0))
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
        case when v.start_time >= $from then cast(date_trunc('month', to_timestamp_micros(cast(v.start_time as bigint) + z.offset_s * 1000000)) as date) end as active_in,
        min(v.start_time) as since
    from visits v
    left join zone_offsets z on z.zone = $zone and z.from_utc <= v.start_time and z.until_utc > v.start_time
    group by 1, 2
),
signed as  (
    select g.person, cast(date_trunc('month', to_timestamp_micros(cast(g.since as bigint) + z.offset_s * 1000000)) as date) as cohort, cast(g.since >= $from as bigint) as counted
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
    select n.person, cast(date_trunc('month', to_timestamp_micros(cast(n.since as bigint) + z.offset_s * 1000000)) as date) as cohort
    from (select person, min(since) as since from met where counted = 2 group by person) n
    join zone_offsets z on z.zone = $zone and z.from_utc <= n.since and z.until_utc > n.since
    where n.since >= $from
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
    select cohort, ((extract(year from active_in) - extract(year from cohort)) * 12 + extract(month from active_in) - extract(month from cohort)) as month, sum(active) as active
    from pairs
    group by cohort, active_in
)
select
    s.cohort,
    m.number as month,
    s.users,
    case when ((extract(year from $open_month) - extract(year from s.cohort)) * 12 + extract(month from $open_month) - extract(month from s.cohort)) > m.number then coalesce(n.active, 0) end as active,
    case when ((extract(year from $open_month) - extract(year from s.cohort)) * 12 + extract(month from $open_month) - extract(month from s.cohort)) > m.number
        then cast(100 * coalesce(n.active, 0) as double) / nullif(s.users, 0) end as retention_rate
from sizes s
join months m on m.number <= ((extract(year from $last_month) - extract(year from s.cohort)) * 12 + extract(month from $last_month) - extract(month from s.cohort))
left join counts n on n.cohort = s.cohort and n.month = m.number
order by s.cohort, m.number;
