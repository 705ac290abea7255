-- top_hours
-- The hours of the day with the best conversion rate: converted sessions ÷ sessions × 100 by the local hour of
-- the session's start, for hours with enough sessions. Equal rates come in the order of the hour. The hour that a
-- clock change repeats counts once, as one hour.
--
-- Parameters, with values to try. Session variables, for a worksheet or snowsql -f this file.
-- since: first instant
set since = to_timestamp_ntz('2026-09-30 22:00:00');
-- until: instant after the last
set until = to_timestamp_ntz('2026-10-31 23:00:00');
-- whole_from: first quarter of an hour to take from session_quarters; with channels, devices, campaigns: from
set whole_from = to_timestamp_ntz('2026-09-30 22:00:00');
-- whole_until: end of the quarters to take from there; with channels, devices, campaigns: from
set whole_until = to_timestamp_ntz('2026-10-31 23:00:00');
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
-- minimum: sessions that an hour needs
set minimum = 1;
-- hours: rows at most
set hours = 5;

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= $since and s.start_time < $until
      and s.bot is null
      and ($site is null or s.site = $site)
      and coalesce(s.source = $source, t.record_source = s.source, true)
      and ($channels is null or array_contains(to_variant(s.channel), split($channels, ',')))
      and ($devices is null or array_contains(to_variant(s.device), split($devices, ',')))
      and ($campaigns is null or array_contains(to_variant(s.campaign_id), split($campaigns, ',')))
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
    select time_slice(v.start_time, 15, 'minute') as quarter, count(*) as sessions, sum(cast(v.converted as integer)) as converted_sessions
    from visits v
    where ($since < $whole_from or $whole_until < $until)
      and (v.start_time < $whole_from or v.start_time >= $whole_until)
    group by 1
),
hours as (
    select
        extract(hour from dateadd(second, z.offset_s, q.quarter)) as hour,
        sum(q.sessions) as sessions,
        sum(q.converted_sessions) as converted_sessions
    from quarters q
    join zone_offsets z on z.zone = $zone and z.from_utc <= q.quarter and z.until_utc > q.quarter
    group by 1
),
ranked as (
    select
        hour,
        sessions,
        converted_sessions,
        cast(100 * converted_sessions as double) / nullif(sessions, 0) as conversion_rate,
        row_number() over (order by cast(100 * converted_sessions as double) / nullif(sessions, 0) desc, hour) as place
    from hours
    where sessions >= $minimum
)
select
    hour,
    sessions,
    converted_sessions,
    conversion_rate
from ranked
where place <= $hours
order by place;
