-- abandoned_carts
-- The events of every abandoned cart. A cart is what a user put in and did not take out again (add_to_cart,
-- remove_from_cart, or cart_abandoned from a source that tells) in the period and after the last purchase; it is
-- abandoned when it was not touched since idle_since. With it come the products looked at since that purchase.
-- Filters choose the carts into which something was put through such traffic; these are shown whole, and whatever
-- traffic a later purchase came through, it empties them. The function of this name folds the events into one row
-- per cart: id, value, up to six products.
--
-- Parameters, with values to try. In Python: SessionContext().sql(text, param_values={
--   'from': datetime.fromisoformat('2026-09-30 22:00:00+00:00'),  # first instant
--   'until': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # instant after the last
--   'site': None,  # a site, or null for all
--   'source': None,  # a source, or null for each site's system of record
--   'channels': None,  # channels joined by commas, or null for all
--   'devices': None,  # devices joined by commas, or null for all
--   'campaigns': None,  # values of campaign_id joined by commas, or null for all
--   'idle_since': datetime.fromisoformat('2026-10-31 22:00:00+00:00'),  # carts touched after this instant are not abandoned yet
--   'now': datetime.fromisoformat('2026-10-31 23:00:00+00:00'),  # the instant of asking
-- })

with touches as (
    select
        e.site, coalesce(i.person_id, s.user_id, e.user_id) as person, e.event_type, e.timestamp, e.seq,
        case when e.event_type <> 'remove_from_cart' and e.timestamp < $until and ($channels is null or (strpos(concat(',', $channels, ','), concat(',', coalesce(s.channel, e.channel), ',')) > 0 and strpos(coalesce(s.channel, e.channel), ',') = 0))
      and ($devices is null or (strpos(concat(',', $devices, ','), concat(',', s.device, ',')) > 0 and strpos(s.device, ',') = 0))
      and ($campaigns is null
        or (strpos(concat(',', $campaigns, ','), concat(',', case when s.session_id is null then e.campaign_id else s.campaign_id end, ',')) > 0 and strpos(case when s.session_id is null then e.campaign_id else s.campaign_id end, ',') = 0)) then 1 else 0 end as chosen
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and ($site is null or e.site = $site)
      and coalesce(e.source = $source, t.record_source = e.source, true)
      and e.timestamp >= $from and e.timestamp <= $now
      and e.event_type in ('add_to_cart', 'remove_from_cart', 'cart_abandoned', 'purchase')
),
bought as (
    select site, person, last_bought, last_seq
    from (
        select
            site, person, timestamp as last_bought, seq as last_seq,
            row_number() over (partition by site, person order by timestamp desc, seq desc) as place
        from touches
        where event_type = 'purchase'
    ) purchases
    where place = 1
),
carts as (
    select a.site, a.person, b.last_bought, b.last_seq
    from touches a
    left join bought b on b.site = a.site and b.person = a.person
    where a.event_type <> 'purchase'
      and (b.last_bought is null or a.timestamp > b.last_bought
        or a.timestamp = b.last_bought and a.seq > b.last_seq)
    group by a.site, a.person, b.last_bought, b.last_seq
    having max(a.timestamp) <= $idle_since and max(a.chosen) = 1
),
acts as (
    select
        e.site, coalesce(i.person_id, s.user_id, e.user_id) as person, e.user_id, e.event_id, e.event_type, e.timestamp, e.seq,
        coalesce(e.currency, t.currency) as currency, e.properties
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and ($site is null or e.site = $site)
      and coalesce(e.source = $source, t.record_source = e.source, true)
      and e.timestamp >= $from and e.timestamp < $until and e.timestamp <= $now
      and e.event_type in ('product_view', 'add_to_cart', 'remove_from_cart', 'cart_abandoned')
)
select a.site, a.person, a.user_id, a.event_type, a.timestamp, a.currency, a.properties
-- SQLite takes the tables of a cross join in this order.
from acts a
cross join carts c
where c.site = a.site and c.person = a.person
  and (c.last_bought is null or a.timestamp > c.last_bought
    or a.timestamp = c.last_bought and a.seq > c.last_seq)
order by a.person, a.site, a.timestamp, a.seq, a.event_id;
