-- funnel
-- How many people take the steps in order. A person enters with an event of the first step in the period, and
-- reaches a step when all steps up to it happened one after the other (by timestamp, then seq, the order of the
-- source, then event_id), all within window_s seconds of that entry, also past the period's end. Of several
-- entries the best counts, and everybody counts once per step. seconds_from_first is the mean, over the people who
-- reached the step, of the whole seconds on their fastest way from an entry. Steps that are null are not asked
-- for.
--
-- Parameters, with values to try. Session variables, for a worksheet or snowsql -f this file.
-- since: first instant
set since = to_timestamp_ntz('2026-09-30 22:00:00');
-- until: instant after the last
set until = to_timestamp_ntz('2026-10-31 23:00:00');
-- site: a site, or null for all
set site = (select cast(null as varchar));
-- source: a source, or null for each site's system of record
set source = (select cast(null as varchar));
-- channels: channels joined by commas, or null for all
set channels = (select cast(null as varchar));
-- devices: devices joined by commas, or null for all
set devices = (select cast(null as varchar));
-- campaigns: values of campaign_id joined by commas, or null for all
set campaigns = (select cast(null as varchar));
-- step_one: the entry
set step_one = 'product_view';
-- step_two: the step after it
set step_two = 'add_to_cart';
-- step_three: the next, or null for none; so with the others
set step_three = 'purchase';
-- step_four: null for none
set step_four = (select cast(null as varchar));
-- step_five: null for none
set step_five = (select cast(null as varchar));
-- step_six: null for none
set step_six = (select cast(null as varchar));
-- step_seven: null for none
set step_seven = (select cast(null as varchar));
-- step_eight: null for none
set step_eight = (select cast(null as varchar));
-- window_s: seconds from the entry to the last step at most
set window_s = 604800;
-- window_until: the period's end and window_s later
set window_until = to_timestamp_ntz('2026-11-07 23:00:00');

with acts as (
    select
        coalesce(i.person_id, s.user_id, e.user_id) as person, e.event_type, e.timestamp as happened, e.seq, e.event_id
    from events e
    left join sites t on t.site = e.site
    left join sessions s on s.session_id = e.session_id
    left join identities i on i.source = e.source and i.site = e.site and i.user_id = coalesce(s.user_id, e.user_id)
    where s.bot is null
      and ($site is null or e.site = $site)
      and coalesce(e.source = $source, t.record_source = e.source, true)
      and ($channels is null or array_contains(to_variant(coalesce(s.channel, e.channel)), split($channels, ',')))
      and ($devices is null or array_contains(to_variant(s.device), split($devices, ',')))
      and ($campaigns is null
        or array_contains(to_variant(case when s.session_id is null then e.campaign_id else s.campaign_id end), split($campaigns, ',')))
      and e.timestamp >= $since and e.timestamp < $window_until
      and e.event_type in (
          $step_one, $step_two, $step_three, $step_four, $step_five, $step_six, $step_seven, $step_eight
      )
),
-- Of all entries before an event the latest leaves it the most time, so a running maximum is all that is needed.
entries as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_one and happened < $until then 1 else 0 end as entry,
        max(case when event_type = $step_one and happened < $until then happened end) over (
            partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
        ) as entered
    from acts
),
-- Rows that reach the step, rows that later steps may need, and everybody's first entry, which is counted.
reached_two as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_two and dateadd(second, $window_s, entered) >= happened then entered end as entered,
        case when entry = 1 and entered is null then 1 else 0 end as first_entry
    from entries
    where entry = 1 and entered is null
        or event_type in (
            $step_two, $step_three, $step_four, $step_five, $step_six, $step_seven, $step_eight
        )
),
reached_three as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_three and dateadd(second, $window_s, entered) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_two
        where entered is not null or event_type in ($step_three, $step_four, $step_five, $step_six, $step_seven, $step_eight)
    ) chained
    where event_type in ($step_three, $step_four, $step_five, $step_six, $step_seven, $step_eight)
),
reached_four as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_four and dateadd(second, $window_s, entered) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_three
        where entered is not null or event_type in ($step_four, $step_five, $step_six, $step_seven, $step_eight)
    ) chained
    where event_type in ($step_four, $step_five, $step_six, $step_seven, $step_eight)
),
reached_five as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_five and dateadd(second, $window_s, entered) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_four
        where entered is not null or event_type in ($step_five, $step_six, $step_seven, $step_eight)
    ) chained
    where event_type in ($step_five, $step_six, $step_seven, $step_eight)
),
reached_six as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_six and dateadd(second, $window_s, entered) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_five
        where entered is not null or event_type in ($step_six, $step_seven, $step_eight)
    ) chained
    where event_type in ($step_six, $step_seven, $step_eight)
),
reached_seven as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_seven and dateadd(second, $window_s, entered) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_six
        where entered is not null or event_type in ($step_seven, $step_eight)
    ) chained
    where event_type in ($step_seven, $step_eight)
),
reached_eight as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = $step_eight and dateadd(second, $window_s, entered) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_seven
        where entered is not null or event_type in ($step_eight)
    ) chained
    where event_type in ($step_eight)
),
counts as (
    select 1 as step, count(*) as users, 0 as seconds from reached_two where first_entry = 1
    union all
    select 2, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_two where entered is not null group by person
    ) fastest
    union all
    select 3, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_three where entered is not null group by person
    ) fastest
    union all
    select 4, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_four where entered is not null group by person
    ) fastest
    union all
    select 5, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_five where entered is not null group by person
    ) fastest
    union all
    select 6, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_six where entered is not null group by person
    ) fastest
    union all
    select 7, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_seven where entered is not null group by person
    ) fastest
    union all
    select 8, count(*), sum(seconds) from (
        select min(cast(trunc(datediff(microsecond, entered, happened) / 1000000) as integer)) as seconds
        from reached_eight where entered is not null group by person
    ) fastest
),
steps as (
    select 1 as step, $step_one as event_type
    union all select 2, $step_two
    union all select 3, $step_three
    union all select 4, $step_four
    union all select 5, $step_five
    union all select 6, $step_six
    union all select 7, $step_seven
    union all select 8, $step_eight
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
    cast(100 * users as double) / nullif(entered, 0) as rate_from_first,
    cast(100 * users as double) / nullif(before, 0) as rate_from_previous,
    cast(100 * seconds as double) / nullif(cast(100 * users as double), 0) as seconds_from_first
from compared
order by step;
