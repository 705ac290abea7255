-- email_performance
-- Per provider and campaign, the messages whose first event lies in the period and what became of them, also after
-- the period: every count is of distinct messages. Percentages: delivery and bounces of accepted; opens, clicks,
-- unsubscribes and complaints of delivered; click-to-open of opened. Of the filters only that of campaigns
-- applies, by the campaign that any event of a message names. Opens and clicks by machines (privacy proxies that
-- load every picture, scanners that follow every link) are in them.
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
-- campaigns: values of campaign_id joined by commas, or null for all
.parameter set :campaigns "null"

with messages as (
    select
        e.source,
        max(e.campaign_id) as campaign_id,
        max(case when e.event_type = 'accepted' then 1 else 0 end) as accepted,
        max(case when e.event_type = 'delivered' then 1 else 0 end) as delivered,
        max(case when e.event_type = 'bounced' then 1 else 0 end) as bounced,
        max(case when e.event_type = 'opened' then 1 else 0 end) as opened,
        max(case when e.event_type = 'clicked' then 1 else 0 end) as clicked,
        max(case when e.event_type = 'unsubscribed' then 1 else 0 end) as unsubscribed,
        max(case when e.event_type = 'complained' then 1 else 0 end) as complained,
        max(case when e.event_type = 'rejected' then 1 else 0 end) as rejected
    from email_events e
    where e.site = coalesce(:site, e.site) and e.source = coalesce(:source, e.source)
    group by e.source, e.site, e.message_id
    having min(e.timestamp) >= :from and min(e.timestamp) < :until
),
counts as (
    select
        source, campaign_id,
        sum(accepted) as accepted, sum(delivered) as delivered, sum(bounced) as bounced, sum(opened) as opened,
        sum(clicked) as clicked, sum(unsubscribed) as unsubscribed, sum(complained) as complained,
        sum(rejected) as rejected
    from messages
    where :campaigns is null or (instr(',' || :campaigns || ',', ',' || campaign_id || ',') > 0 and instr(campaign_id, ',') = 0)
    group by source, campaign_id
)
select
    source, campaign_id, accepted, delivered, bounced, opened, clicked, unsubscribed, complained, rejected,
    cast(100 * delivered as real) / nullif(accepted, 0) as delivery_rate,
    cast(100 * bounced as real) / nullif(accepted, 0) as bounce_rate,
    cast(100 * opened as real) / nullif(delivered, 0) as open_rate,
    cast(100 * clicked as real) / nullif(delivered, 0) as click_rate,
    cast(100 * clicked as real) / nullif(opened, 0) as click_to_open_rate,
    cast(100 * unsubscribed as real) / nullif(delivered, 0) as unsubscribe_rate,
    cast(100 * complained as real) / nullif(delivered, 0) as complaint_rate
from counts
order by source, coalesce(campaign_id, '');
