-- rfm
-- Everyone with a purchase in the period, one row per currency: recency (days from the last purchase to the
-- period's last day), frequency (purchases), monetary (purchases less refunds in the currency), and a score of
-- each. A score is 1 + the whole part of quantiles × the share of buyers who did worse (bought longer ago, less
-- often, for less in the same currency): equal values have equal scores. The segment is named by fifths of recency
-- and frequency.
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
--   'last_day': date.fromisoformat('2026-10-31'),  # last day
--   'quantiles': 5,  # scores run from 1 to this
-- })

with sales as (
    select
        coalesce(i.person_id, s.user_id, e.user_id) as person, coalesce(e.currency, t.currency) as currency,
        e.event_type, e.timestamp, e.revenue
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
),
buyers as (
    select person, count(*) as frequency, max(timestamp) as last_bought
    from sales
    where event_type = 'purchase'
    group by person
),
people as (
    select b.person, b.frequency, (cast(cast($last_day as date) as integer) - cast(cast(cast(to_timestamp_micros(cast(b.last_bought as bigint) + z.offset_s * 1000000) as date) as date) as integer)) as recency_days
    from buyers b
    join zone_offsets z on z.zone = $zone and z.from_utc <= b.last_bought and z.until_utc > b.last_bought
),
ranked as (
    select
        person, recency_days, frequency,
        rank() over (order by recency_days desc) - 1 as staler,
        rank() over (order by frequency) - 1 as rarer,
        count(*) over () as people
    from people
),
scored as (
    select
        person, recency_days, frequency,
        1 + cast($quantiles * staler as bigint) / cast(people as bigint) as recency_score,
        1 + cast($quantiles * rarer as bigint) / cast(people as bigint) as frequency_score,
        1 + cast(5 * staler as bigint) / cast(people as bigint) as r,
        1 + cast(5 * rarer as bigint) / cast(people as bigint) as f
    from ranked
),
amounts as (
    select s.person, s.currency, sum(s.revenue) as monetary
    from sales s
    join buyers b on b.person = s.person
    group by s.person, s.currency
),
valued as (
    select
        person, currency, monetary,
        rank() over (partition by currency order by monetary) - 1 as poorer,
        count(*) over (partition by currency) as people
    from amounts
)
select
    s.person,
    v.currency,
    s.recency_days,
    s.frequency,
    v.monetary,
    s.recency_score,
    s.frequency_score,
    1 + cast($quantiles * v.poorer as bigint) / cast(v.people as bigint) as monetary_score,
    case
        when s.r = 5 and s.f >= 4 then 'champions'
        when s.r >= 3 and s.f >= 4 then 'loyal'
        when s.r >= 4 and s.f >= 2 then 'potential_loyal'
        when s.r = 5 then 'new'
        when s.r = 4 then 'promising'
        when s.r = 3 and s.f = 3 then 'needs_attention'
        when s.r = 3 then 'about_to_sleep'
        when s.f = 5 then 'cannot_lose'
        when s.f >= 3 then 'at_risk'
        else 'hibernating'
    end as segment
from scored s
join valued v on v.person = s.person
order by s.person, coalesce(v.currency, '');
