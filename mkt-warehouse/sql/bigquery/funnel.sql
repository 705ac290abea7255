-- funnel
-- How many people take the steps in order. A person enters with an event of the first step in the period, and
-- reaches a step when all steps up to it happened one after the other (by timestamp, then seq, the order of the
-- source, then event_id), all within window_s seconds of that entry, also past the period's end. Of several
-- entries the best counts, and everybody counts once per step. seconds_from_first is the mean, over the people who
-- reached the step, of the whole seconds on their fastest way from an entry. Steps that are null are not asked
-- for.
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
--   --parameter='step_one:STRING:product_view'
--       the entry
--   --parameter='step_two:STRING:add_to_cart'
--       the step after it
--   --parameter='step_three:STRING:purchase'
--       the next, or null for none; so with the others
--   --parameter='step_four:STRING:NULL'
--       null for none
--   --parameter='step_five:STRING:NULL'
--       null for none
--   --parameter='step_six:STRING:NULL'
--       null for none
--   --parameter='step_seven:STRING:NULL'
--       null for none
--   --parameter='step_eight:STRING:NULL'
--       null for none
--   --parameter='window_s:INT64:604800'
--       seconds from the entry to the last step at most
--   --parameter='window_until:TIMESTAMP:2026-11-07 23:00:00'
--       the period's end and window_s later

with acts as (
    select
        coalesce(i.person_id, s.user_id, e.user_id) as person, e.event_type, e.timestamp as happened, e.seq, e.event_id
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and (@site is null or e.site = @site)
      and coalesce(e.source = @source, t.record_source = e.source, true)
      and (@channels is null or coalesce(s.channel, e.channel) in unnest(split(@channels, ',')))
      and (@devices is null or s.device in unnest(split(@devices, ',')))
      and (@campaigns is null
        or case when s.session_id is null then e.campaign_id else s.campaign_id end in unnest(split(@campaigns, ',')))
      and e.timestamp >= @since and e.timestamp < @window_until
      and e.event_type in (
          @step_one, @step_two, @step_three, @step_four, @step_five, @step_six, @step_seven, @step_eight
      )
),
-- Of all entries before an event the latest leaves it the most time, so a running maximum is all that is needed.
entries as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_one and happened < @until then 1 else 0 end as entry,
        max(case when event_type = @step_one and happened < @until then happened end) over (
            partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
        ) as entered
    from acts
),
-- Rows that reach the step, rows that later steps may need, and everybody's first entry, which is counted.
reached_two as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_two and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered,
        case when entry = 1 and entered is null then 1 else 0 end as first_entry
    from entries
    where entry = 1 and entered is null
        or event_type in (
            @step_two, @step_three, @step_four, @step_five, @step_six, @step_seven, @step_eight
        )
),
reached_three as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_three and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_two
        where entered is not null or event_type in (@step_three, @step_four, @step_five, @step_six, @step_seven, @step_eight)
    ) chained
    where event_type in (@step_three, @step_four, @step_five, @step_six, @step_seven, @step_eight)
),
reached_four as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_four and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_three
        where entered is not null or event_type in (@step_four, @step_five, @step_six, @step_seven, @step_eight)
    ) chained
    where event_type in (@step_four, @step_five, @step_six, @step_seven, @step_eight)
),
reached_five as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_five and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_four
        where entered is not null or event_type in (@step_five, @step_six, @step_seven, @step_eight)
    ) chained
    where event_type in (@step_five, @step_six, @step_seven, @step_eight)
),
reached_six as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_six and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_five
        where entered is not null or event_type in (@step_six, @step_seven, @step_eight)
    ) chained
    where event_type in (@step_six, @step_seven, @step_eight)
),
reached_seven as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_seven and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_six
        where entered is not null or event_type in (@step_seven, @step_eight)
    ) chained
    where event_type in (@step_seven, @step_eight)
),
reached_eight as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = @step_eight and timestamp_add(entered, interval @window_s second) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_seven
        where entered is not null or event_type in (@step_eight)
    ) chained
    where event_type in (@step_eight)
),
counts as (
    select 1 as step, count(*) as users, 0 as seconds from reached_two where first_entry = 1
    union all
    select 2, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_two where entered is not null group by person
    ) fastest
    union all
    select 3, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_three where entered is not null group by person
    ) fastest
    union all
    select 4, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_four where entered is not null group by person
    ) fastest
    union all
    select 5, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_five where entered is not null group by person
    ) fastest
    union all
    select 6, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_six where entered is not null group by person
    ) fastest
    union all
    select 7, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_seven where entered is not null group by person
    ) fastest
    union all
    select 8, count(*), sum(seconds) from (
        select min(div(timestamp_diff(happened, entered, microsecond), 1000000)) as seconds
        from reached_eight where entered is not null group by person
    ) fastest
),
steps as (
    select 1 as step, @step_one as event_type
    union all select 2, @step_two
    union all select 3, @step_three
    union all select 4, @step_four
    union all select 5, @step_five
    union all select 6, @step_six
    union all select 7, @step_seven
    union all select 8, @step_eight
),
filled as (
    select s.step, s.event_type, coalesce(c.users, 0) as users, c.seconds
    from steps s
    left join counts c on c.step = s.step
    where s.event_type is not null
),
compared as (
    select
        step, event_type, users, seconds,
        first_value(users) over (order by step) as entered,
        lag(users) over (order by step) as before
    from filled
)
select
    step,
    event_type,
    users,
    cast(100 * users as float64) / nullif(entered, 0) as rate_from_first,
    cast(100 * users as float64) / nullif(before, 0) as rate_from_previous,
    cast(100 * seconds as float64) / nullif(cast(100 * users as float64), 0) as seconds_from_first
from compared
order by step;
