-- campaign_performance
-- Per campaign and currency: sessions of the period through the campaign, conversions and revenue of the period
-- credited to it, and what it cost on the days of the period. Credit goes to the last click that was not direct: a
-- converted session with a campaign or a channel other than direct keeps its own, a direct one takes that of the
-- person's last such session at most look_back_s seconds earlier. A purchase counts like its session (the one that
-- it names), else like a direct visit at its own time; a refund goes where the person's last conversion before it
-- went. The row without campaign_id holds all that belongs to no campaign, so that revenue adds up. ROAS is
-- revenue ÷ cost, CPA is cost ÷ conversions; costs are filtered by their own channel and campaign, never by
-- device. With several currencies a campaign has a row for each, with the same counts; do not add those up. Most
-- sessions first.
--
-- Parameters, with values to try. For the sqlite3 shell, 3.44 or newer: sqlite3 FILE < this file
-- from: first instant
.parameter set :from "unixepoch('2026-09-30 22:00:00') * 1000000"
-- until: instant after the last
.parameter set :until "unixepoch('2026-10-31 23:00:00') * 1000000"
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
-- first_day: first day
.parameter set :first_day "'2026-10-01'"
-- last_day: last day
.parameter set :last_day "'2026-10-31'"
-- look_back_s: seconds that a conversion looks back at most
.parameter set :look_back_s "2592000"
-- look_from: look_back_s before the period
.parameter set :look_from "unixepoch('2026-08-31 22:00:00') * 1000000"

with visits as (
    select
        coalesce(i.person_id, s.user_id) as person,
        s.session_id, s.start_time, s.end_time, s.pages_viewed, s.converted,
        s.seq, s.channel, s.device, s.time_on_site,
        s.site, s.source, s.user_id, s.campaign_id
    from sessions s
    left join sites t on t.site = s.site
    left join identities i on i.source = s.source and i.site = s.site and i.user_id = s.user_id
    where s.start_time < :until
      and s.bot is null
      and (:site is null or s.site = :site)
      and coalesce(s.source = :source, t.record_source = s.source, true)
      and (:channels is null or (instr(',' || :channels || ',', ',' || s.channel || ',') > 0 and instr(s.channel, ',') = 0))
      and (:devices is null or (instr(',' || :devices || ',', ',' || s.device || ',') > 0 and instr(s.device, ',') = 0))
      and (:campaigns is null or (instr(',' || :campaigns || ',', ',' || s.campaign_id || ',') > 0 and instr(s.campaign_id, ',') = 0))
),
touches as materialized (
    select
        person, session_id, seq, start_time as happened, converted, coalesce(campaign_id, '') as campaign,
        case when channel <> 'direct' or campaign_id <> '' then 1 else 0 end as click
    from visits
    where start_time >= :look_from
),
sales as materialized (
    select
        coalesce(i.person_id, s.user_id, e.user_id) as person, e.timestamp as happened, e.session_id,
        coalesce(e.currency, t.currency) as currency, e.revenue,
        case when e.event_type = 'refund' then 1 else 0 end as refund
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
named as materialized (
    select session_id, seq, person, happened from touches where session_id in (select session_id from sales)
),
placed as materialized (
    select
        coalesce(n.person, s.person) as person, coalesce(n.happened, s.happened) as happened, n.seq, n.session_id,
        s.currency, s.revenue, s.refund
    from sales s
    left join named n on n.session_id = s.session_id
),
-- Only the clicks of those who converted or bought can be credited.
people as materialized (
    select person from touches where converted union select person from placed
),
-- A sale that names one of these sessions comes right after it, any other after all sessions up to its own time.
moments as (
    select
        person, happened, 0 as late, seq, session_id, 0 as sale, 0 as refund, click, converted as goal,
        campaign, null as currency, 0 as revenue
    from touches
    where (click = 1 or converted) and person in (select person from people)
    union all
    select
        person, happened, case when session_id is null then 1 else 0 end, seq, session_id, 1, refund, 0, 0,
        '', currency, revenue
    from placed
),
numbered as materialized (
    select
        person, happened, sale, refund, click, goal, campaign, currency, revenue,
        count(case when click = 1 then 1 end) over (
            partition by person order by happened, late, seq, session_id, sale
            rows between unbounded preceding and current row
        ) as clicks,
        count(case when goal = 1 then 1 end) over (
            partition by person order by happened, late, seq, session_id, sale
            rows between unbounded preceding and current row
        ) as goals
    from moments
),
credited as materialized (
    select
        m.person, m.happened, m.sale, m.refund, m.goals, m.currency, m.revenue, coalesce(c.campaign, '') as campaign
    from numbered m
    left join numbered c on c.click = 1 and c.person = m.person and c.clicks = m.clicks
        and (c.happened + :look_back_s * 1000000) >= m.happened
    where m.sale = 1 or m.goal = 1
),
conversions as (
    select campaign, count(*) as conversions
    from credited
    where sale = 0 and happened >= :from
    group by campaign
),
takings as (
    select case when g.person is null then s.campaign else g.campaign end as campaign, s.currency,
        sum(s.revenue) as revenue
    from credited s
    left join credited g on s.refund = 1 and g.sale = 0 and g.person = s.person and g.goals = s.goals
    where s.sale = 1
    group by 1, 2
),
traffic as (
    select campaign, count(*) as sessions, sum(converted) as converted_sessions
    from touches
    where happened >= :from
    group by campaign
),
spending as (
    select c.campaign_id as campaign, c.currency, sum(c.cost) as cost, sum(c.impressions) as impressions,
        sum(c.clicks) as clicks, sum(c.post_view_conversions) as post_view_conversions
    from costs c
    where c.day >= :first_day and c.day <= :last_day and c.site = coalesce(:site, c.site)
      and (:channels is null or (instr(',' || :channels || ',', ',' || c.channel || ',') > 0 and instr(c.channel, ',') = 0))
      and (:campaigns is null or (instr(',' || :campaigns || ',', ',' || c.campaign_id || ',') > 0 and instr(c.campaign_id, ',') = 0))
    group by c.campaign_id, c.currency
),
shown as (
    select campaign, cast(sum(impressions) as bigint) as impressions, cast(sum(clicks) as bigint) as clicks,
        cast(sum(post_view_conversions) as bigint) as post_view_conversions
    from spending
    group by campaign
),
declared as (
    select campaign_id, name, channel
    from (
        select c.campaign_id, c.name, c.channel,
            row_number() over (partition by c.campaign_id order by c.first_seen, c.source, c.site) as place
        from campaigns c
        where c.site = coalesce(:site, c.site)
    ) declarations
    where place = 1
),
known as (
    select campaign from traffic union select campaign from conversions
    union select campaign from takings union select campaign from spending
),
accounts as (
    select campaign, currency from takings union select campaign, currency from spending
)
select
    nullif(k.campaign, '') as campaign_id,
    d.name,
    d.channel,
    a.currency,
    coalesce(f.sessions, 0) as sessions,
    coalesce(f.converted_sessions, 0) as converted_sessions,
    coalesce(v.conversions, 0) as conversions,
    coalesce(t.revenue, 0) as revenue,
    s.cost,
    h.impressions,
    h.clicks,
    h.post_view_conversions,
    cast(coalesce(t.revenue, 0) as real) / nullif(s.cost, 0) as roas,
    case when s.cost < 0 then -1 else 1 end * (abs(s.cost) / nullif(coalesce(v.conversions, 0), 0) * 10000 + (abs(s.cost) % nullif(coalesce(v.conversions, 0), 0) * 20000 + coalesce(v.conversions, 0)) / (2 * nullif(coalesce(v.conversions, 0), 0))) as cpa
from known k
left join accounts a on a.campaign = k.campaign
left join traffic f on f.campaign = k.campaign
left join conversions v on v.campaign = k.campaign
left join takings t on t.campaign = k.campaign and coalesce(t.currency, '') = coalesce(a.currency, '')
left join spending s on s.campaign = k.campaign and s.currency = a.currency
left join shown h on h.campaign = k.campaign
left join declared d on d.campaign_id = k.campaign
order by sessions desc, k.campaign, coalesce(a.currency, '');
