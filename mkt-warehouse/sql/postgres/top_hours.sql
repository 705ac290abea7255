-- top_hours
-- The hours of the day with the best conversion rate: converted sessions ÷ sessions × 100 by the local hour of
-- the session's start, for hours with enough sessions. Equal rates come in the order of the hour. The hour that a
-- clock change repeats counts once, as one hour.
--
-- Parameters, with values to try. For psql: psql URL -f this file
-- from: first instant
\set from 'timestamptz ''2026-09-30 22:00:00+00'''
-- until: instant after the last
\set until 'timestamptz ''2026-10-31 23:00:00+00'''
-- whole_from: first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from
\set whole_from 'timestamptz ''2026-09-30 22:00:00+00'''
-- whole_until: end of the quarters to take from there; with channels, devices, campaigns: from
\set whole_until 'timestamptz ''2026-10-31 23:00:00+00'''
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
-- minimum: sessions that an hour needs
\set minimum '1'
-- hours: rows at most
\set hours '5'

with visits as (
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
      and (:channels is null or s.channel = any (string_to_array(:channels, ',')))
      and (:devices is null or s.device = any (string_to_array(:devices, ',')))
      and (:campaigns is null or s.campaign_id = any (string_to_array(:campaigns, ',')))
),
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
quarters as (
    select q.quarter, cast(sum(q.sessions) as bigint) as sessions, cast(sum(q.converted_sessions) as bigint) as converted_sessions
    from session_quarters q
    left join sites t on t.site = q.site
    where q.quarter >= :whole_from and q.quarter < :whole_until
      and (:site is null or q.site = :site)
      and coalesce(q.source = :source, t.record_source = q.source, true)
    group by q.quarter
    union all
    select date_bin(interval '15 minutes', v.start_time, to_timestamp(0)) as quarter, count(*) as sessions, sum(cast(v.converted as integer)) as converted_sessions
    from visits v
    where (:from < :whole_from or :whole_until < :until)
      and (v.start_time < :whole_from or v.start_time >= :whole_until)
    group by 1
),
hours as (
    select
        cast(extract(hour from (q.quarter at time zone 'UTC' + make_interval(secs => z.offset_s))) as bigint) as hour,
        cast(sum(q.sessions) as bigint) as sessions,
        cast(sum(q.converted_sessions) as bigint) as converted_sessions
    from quarters q
    join zone_offsets z on z.zone = :zone and z.from_utc <= q.quarter and z.until_utc > q.quarter
    group by 1
),
ranked as (
    select
        hour,
        sessions,
        converted_sessions,
        cast(100 * converted_sessions as double precision) / nullif(sessions, 0) as conversion_rate,
        row_number() over (order by cast(100 * converted_sessions as double precision) / nullif(sessions, 0) desc, hour) as place
    from hours
    where sessions >= :minimum
)
select
    hour,
    sessions,
    converted_sessions,
    conversion_rate
from ranked
where place <= :hours
order by place;
