//! The funnel from one ordered walk through each person's events.

use super::{People, Visitor, people_sessions_and, read};
use crate::report::funnel::{FunnelOptions, FunnelStep, REPORT};
use crate::report::{Answer, Scope};
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use mkt_connect::Result;

const EVENTS: i64 = 2;

/// After those of [`people_sessions_and`]; 2: the events of the steps.
const PARTS: &str = "
select 2, e.user_id, e.source, e.site, e.event_type, e.timestamp, e.seq, e.event_id, e.session_id
{all events by origin}
  and {kept}
  and e.timestamp >= :from and e.timestamp < :window_until
  and e.event_type in (
      :step_one, :step_two, :step_three, :step_four, :step_five, :step_six, :step_seven, :step_eight
  )";

const COLUMNS: [(&str, ColumnType); 9] = [
    ("part", ColumnType::Int),
    ("user_id", ColumnType::Text),
    ("source", ColumnType::Text),
    ("site", ColumnType::Text),
    ("name", ColumnType::Text),
    ("happened", ColumnType::Timestamp),
    ("seq", ColumnType::Int),
    ("event_id", ColumnType::Int),
    ("session", ColumnType::Text),
];

/// An event of a step, of a visitor who is put in the person's place once all are known.
struct Act {
    person: u32,
    happened: i64,
    /// `seq` and `event_id`, which decide between events of one timestamp.
    order: (i64, i64),
    /// A bit for each step that wants this type.
    steps: u8,
}

/// As [`crate::report::funnel()`], with its parameters.
pub(crate) async fn funnel<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: &FunnelOptions,
    values: &[(&'static str, Value)],
) -> Result<Answer<FunnelStep>> {
    let (mut people, mut found): (People, Vec<(Visitor, Act)>) = Default::default();
    let statement = people_sessions_and(["happened", "seq", "event_id", "session"], PARTS);
    read(&REPORT, warehouse, scope, &statement, &COLUMNS, values, |row| {
        if people.learn(row)? {
            return Ok(());
        }
        debug_assert_eq!(row.int(0), Ok(EVENTS));
        let (user, source, site) = (row.text(1)?, row.text(2)?, row.text(3)?);
        let Some(visitor) = people.of_event(user, source, site, row.text_or_null(8)) else { return Ok(()) };
        let wanted = row.text(4)?;
        let steps =
            options.steps.iter().rev().fold(0, |bits, step| bits << 1 | u8::from(step.as_str() == wanted));
        let (happened, order) = (row.int(5)?, (row.int(6)?, row.int(7)?));
        found.push((visitor, Act { person: 0, happened, order, steps }));
        Ok(())
    })
    .await?;
    let mut acts: Vec<Act> =
        people.resolved(scope, found).map(|(person, act)| Act { person, ..act }).collect();
    acts.sort_unstable_by_key(|act| (act.person, act.happened, act.order));
    let window = i64::try_from(options.window.as_micros()).unwrap_or(i64::MAX);
    let until = scope.until().timestamp_micros();
    let mut reached = vec![(0_i64, 0_i64); options.steps.len()];
    for of_person in acts.chunk_by(|a, b| a.person == b.person) {
        for (sums, fastest) in reached.iter_mut().zip(fastest(of_person, options.steps.len(), window, until))
        {
            if let Some(micros) = fastest {
                sums.0 += 1;
                sums.1 += micros / 1_000_000;
            }
        }
    }
    Ok(Answer::from_rows(steps(options, &reached)))
}

/// For each step that a person reached, the microseconds of the fastest way from an entry to it; 0 at the entry.
///
/// Of all entries before an event the latest leaves it the most time, so for each step the latest entry that leads there
/// is all that has to be kept.
fn fastest(acts: &[Act], steps: usize, window: i64, until: i64) -> [Option<i64>; 8] {
    let (mut entered, mut fastest) = ([None::<i64>; 8], [None::<i64>; 8]);
    for act in acts {
        // From the last step to the first, so that one event does not count for two.
        for step in (1..steps).rev().filter(|step| act.steps >> step & 1 == 1) {
            let Some(entry) = entered[step - 1].filter(|entry| entry + window >= act.happened) else {
                continue;
            };
            let took = act.happened - entry;
            entered[step] = entered[step].max(Some(entry));
            fastest[step] = Some(fastest[step].map_or(took, |best| best.min(took)));
        }
        if act.steps & 1 == 1 && act.happened < until {
            entered[0] = Some(act.happened);
            fastest[0] = Some(0);
        }
    }
    fastest
}

/// The rows from people and seconds by step.
fn steps(options: &FunnelOptions, reached: &[(i64, i64)]) -> Vec<FunnelStep> {
    let percent = |users: i64, of: i64| (of != 0).then(|| (100 * users) as f64 / of as f64);
    let entered = reached.first().map_or(0, |step| step.0);
    let before = std::iter::once(None).chain(reached.iter().map(|step| Some(step.0)));
    options
        .steps
        .iter()
        .zip(reached)
        .zip(before)
        .zip(1..)
        .map(|(((event_type, (users, seconds)), before), step)| FunnelStep {
            step,
            event_type: event_type.clone(),
            users: *users,
            rate_from_first: percent(*users, entered),
            rate_from_previous: before.and_then(|before| percent(*users, before)),
            seconds_from_first: (*users != 0).then(|| *seconds as f64 / *users as f64),
        })
        .collect()
}
