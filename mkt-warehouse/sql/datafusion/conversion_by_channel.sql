-- conversion_by_channel
-- Per channel: distinct users with a converted session ÷ distinct users with a session × 100, over the sessions
-- that start in the period. A user with sessions in two channels counts in both. Best first.
--
-- Parameters, with values to try. In Python: SessionContext().sql(text, param_values={
--   'from': datetime.fromisoformat('2026-09-30 22:00:00+00:00'),  # first instant
--   'until': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # instant after the last
--   'site': None,  # a site, or null for all
--   'source': None,  # a source, or null for each site's system of record
--   'channels': None,  # channels joined by commas, or null for all
--   'devices': None,  # devices joined by commas, or null for all
--   'campaigns': None,  # values of campaign_id joined by commas, or null for all
-- })

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time >= $from and s.start_time < $until
      and s.bot is null
      and ($site is null or s.site = $site)
      and coalesce(s.source = $source, t.record_source = s.source, true)
      and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', s.channel, ',')) > 0 and strpos(s.channel, ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null or (strpos(concat(',', $campaigns, ','), concat(',', s.campaign_id, ',')) > 0 and strpos(s.campaign_id, ',') = 0))
)
select
    channel,
    count(distinct person) as users,
    count(distinct case when converted then person end) as converted_users,
    cast(100 * count(distinct case when converted then person end) as double) / nullif(count(distinct person), 0) as conversion_rate
from visits
group by channel
order by conversion_rate desc, channel;
