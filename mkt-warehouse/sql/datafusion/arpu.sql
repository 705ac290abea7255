-- arpu
-- Average revenue per user, one row per currency: purchases less refunds in the period ÷ distinct users with a
-- session that starts in the period. An event without a currency has its site's. Without any revenue there is one
-- row, of 0 in no currency; without users the average is null.
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
),
users as (
    select 1 as one, count(distinct person) as users from visits
),
revenue as (
    select 1 as one, coalesce(e.currency, t.currency) as currency, sum(e.revenue) as revenue
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and ($site is null or e.site = $site)
      and coalesce(e.source = $source, t.record_source = e.source, true)
      and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', coalesce(s.channel, e.channel), ',')) > 0 and strpos(coalesce(s.channel, e.channel), ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null
        or (strpos(concat(',', $campaigns, ','), concat(',', case when s.session_id is null then e.campaign_id else s.campaign_id end, ',')) > 0 and strpos(case when s.session_id is null then e.campaign_id else s.campaign_id end, ',') = 0))
      and e.timestamp >= $from and e.timestamp < $until
      and e.event_type in ('purchase', 'refund')
    group by coalesce(e.currency, t.currency)
)
select
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    u.users,
    cast(cast(case when coalesce(r.revenue, 0) < 0 then -1 else 1 end * (abs(cast(coalesce(r.revenue, 0) * 100 as bigint)) / nullif(u.users, 0) * 10000 + (abs(cast(coalesce(r.revenue, 0) * 100 as bigint)) % nullif(u.users, 0) * 20000 + u.users) / (2 * nullif(u.users, 0))) as decimal(28, 6)) / 1000000 as decimal(18, 6)) as arpu
from users u
left join revenue r on r.one = u.one
order by coalesce(r.currency, '');
