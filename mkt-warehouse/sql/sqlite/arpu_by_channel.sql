-- arpu_by_channel
-- Average revenue per user by channel and currency: purchases less refunds in the period ÷ distinct users with a
-- session of the channel that starts in the period. A purchase belongs to the channel of its session, without one
-- to its own. A user of two channels counts in both, so the users of the channels are not to be added; the
-- revenues of one currency add up to those of arpu.
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
      and (:channels is null or (instr(',' || :channels || ',', ',' || s.channel || ',') > 0 and instr(s.channel, ',') = 0))
      and (:devices is null or (instr(',' || :devices || ',', ',' || s.device || ',') > 0 and instr(s.device, ',') = 0))
      and (:campaigns is null or (instr(',' || :campaigns || ',', ',' || s.campaign_id || ',') > 0 and instr(s.campaign_id, ',') = 0))
),
users as (
    select channel, count(distinct person) as users from visits group by channel
),
sales as (
    select coalesce(s.channel, e.channel) as channel, coalesce(e.currency, t.currency) as currency, e.revenue
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
revenue as (
    select channel, currency, sum(revenue) as revenue from sales group by channel, currency
),
channels as (
    select channel from users union select channel from revenue
)
select
    c.channel,
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    coalesce(u.users, 0) as users,
    case when coalesce(r.revenue, 0) < 0 then -1 else 1 end * (abs(coalesce(r.revenue, 0)) / nullif(coalesce(u.users, 0), 0) * 10000 + (abs(coalesce(r.revenue, 0)) % nullif(coalesce(u.users, 0), 0) * 20000 + coalesce(u.users, 0)) / (2 * nullif(coalesce(u.users, 0), 0))) as arpu
from channels c
left join users u on u.channel = c.channel
left join revenue r on r.channel = c.channel
order by c.channel, coalesce(r.currency, '');
