-- training_set
-- One row per session that starts in the period: time_on_site in seconds (from first to last event where the
-- source does not tell), pages_viewed, source (the channel), device, converted.
--
-- Parameters, with values to try. For bq: bq query --use_legacy_sql=false --dataset_id=DATASET OPTIONS < this file
--   --parameter='since:TIMESTAMP:2026-09-30 22:00:00'
--       first instant
--   --parameter='until:TIMESTAMP:2026-10-31 23:00:00'
--       instant after the last
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

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= @since and s.start_time < @until
      and s.bot is null
      and (@site is null or s.site = @site)
      and coalesce(s.source = @source, t.record_source = s.source, true)
      and (@channels is null or s.channel in unnest(split(@channels, ',')))
      and (@devices is null or s.device in unnest(split(@devices, ',')))
      and (@campaigns is null or s.campaign_id in unnest(split(@campaigns, ',')))
)
select
    session_id,
    coalesce(time_on_site, div(timestamp_diff(end_time, start_time, microsecond), 1000000)) as time_on_site,
    pages_viewed,
    channel as source,
    device,
    converted
from visits
order by session_id;
