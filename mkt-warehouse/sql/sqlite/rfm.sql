-- rfm
-- Everyone with a purchase in the period, one row per currency: recency (days from the last purchase to the
-- period's last day), frequency (purchases), monetary (purchases less refunds in the currency), and a score of
-- each. A score is 1 + the whole part of quantiles × the share of buyers who did worse (bought longer ago, less
-- often, for less in the same currency): equal values have equal scores. The segment is named by fifths of recency
-- and frequency.
--
-- Parameters, with values to try. For the sqlite3 shell, 3.44 or newer: sqlite3 FILE < this file
-- from: first instant
.parameter set :from "unixepoch('2026-09-30 22:00:00') * 1000000"
-- until: instant after the last
.parameter set :until "unixepoch('2026-10-31 23:00:00') * 1000000"
-- zone: IANA zone, as in zone_offsets
.parameter set :zone "'Europe/Paris'"
-- site: a site, or null for all
.parameter set :site "null"
-- source: a source, or null for each site's system of record
.parameter set :source "null"
-- channels: channels joined by commas, or null for all
.parameter set :channels "null"
-- devices: devices joined by commas, or null for all
.parameter set :devices "null"
-- campaigns: values of campaign_id joined by commas, or null for all
.parameter set :campaigns "null"
-- last_day: last day
.parameter set :last_day "'2026-10-31'"
-- quantiles: scores run from 1 to this
.parameter set :quantiles "5"

with sales as (
    select
        coalesce(i.person_id, s.user_id, e.user_id) as person, coalesce(e.currency, t.currency) as currency,
        e.event_type, e.timestamp, e.revenue
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and (:site is null or e.site = :site)
      and coalesce(e.source = :source, t.record_source = e.source, true)
      and (:channels is null or (instr(',' || :channels || ',', ',' || coalesce(s.channel, e.channel) || ',') > 0 and instr(coalesce(s.channel, e.channel), ',') = 0))
      and (:devices is null or (instr(',' || :devices || ',', ',' || s.device || ',') > 0 and instr(s.device, ',') = 0))
      and (:campaigns is null
        or (instr(',' || :campaigns || ',', ',' || case when s.session_id is null then e.campaign_id else s.campaign_id end || ',') > 0 and instr(case when s.session_id is null then e.campaign_id else s.campaign_id end, ',') = 0))
      and e.timestamp >= :from and e.timestamp < :until
      and e.event_type in ('purchase', 'refund')
),
buyers as (
    select person, count(*) as frequency, max(timestamp) as last_bought
    from sales
    where event_type = 'purchase'
    group by person
),
people as (
    select b.person, b.frequency, cast(julianday(:last_day) - julianday(date((b.last_bought + z.offset_s * 1000000) / 1000000, 'unixepoch')) as integer) as recency_days
    from buyers b
    join zone_offsets z on z.zone = :zone and z.from_utc <= b.last_bought and z.until_utc > b.last_bought
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
        1 + (:quantiles * staler) / (people) as recency_score,
        1 + (:quantiles * rarer) / (people) as frequency_score,
        1 + (5 * staler) / (people) as r,
        1 + (5 * rarer) / (people) as f
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
    1 + (:quantiles * v.poorer) / (v.people) as monetary_score,
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
