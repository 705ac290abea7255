//! When everybody comes: one number of eight bytes per visit, sorted by time. This is the only thing whose
//! memory grows with the world (a million visitors: some 40 MB); what happens in a visit is drawn when its
//! turn comes. Here is the planted retention: in each calendar month after the month of arrival, a visitor
//! is active with the probability of that distance.

use chrono::{Datelike, NaiveDate, Weekday};

use super::{
    channel::HOUR_TRAFFIC,
    draw::{Draw, Topic},
    period::Period,
    person::visitor,
};

/// Planted: probability of at least one visit in the n-th calendar month after the month of arrival.
pub(crate) const RETENTION: [f64; 8] = [1.0, 0.42, 0.33, 0.27, 0.23, 0.20, 0.18, 0.16];

/// Probability of coming back within the month of arrival.
const RETURN_SAME_MONTH: f64 = 0.30;

/// Probability of one more visit in a month that has one.
const ONE_MORE: f64 = 0.24;

/// Two visits of one person are at least this far apart; a session is always shorter.
const APART: i64 = 3 * 3600;

/// A visit of somebody, or a crawl by a robot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Visit(u64);

impl Visit {
    fn new(period: &Period, at: i64, who: u32) -> Self {
        Self((((at - period.origin()) as u64) << 32) | u64::from(who))
    }

    pub(crate) fn at(self, period: &Period) -> i64 {
        period.origin() + (self.0 >> 32) as i64
    }

    /// The visitor's number; robots are numbered after the visitors.
    pub(crate) fn who(self) -> u32 {
        self.0 as u32
    }
}

/// All visits in the order of their start.
pub(crate) fn visits(seed: u64, users: u32, period: &Period) -> Vec<Visit> {
    let arrivals = Arrivals::new(period);
    let nights: Vec<i64> =
        period.clock_changes().into_iter().filter(|(_, step)| *step < 0).map(|(at, _)| at).collect();
    let mut visits = Vec::with_capacity(users as usize * 3);
    let mut own = Vec::new();
    for number in 0..users {
        let mut draw = Draw::stream(seed, Topic::Plan, u64::from(number), 0);
        let owl = visitor(seed, number).owl;
        own.clear();
        let first = arrivals.day(&mut draw);
        own.push(moment(&mut draw, period, first, owl));
        let month = period.month_of(first);
        if draw.chance(RETURN_SAME_MONTH) {
            let (_, last) = period.month(month);
            if let Some(next) = first.succ_opt().filter(|next| *next <= last) {
                month_of_visits(&mut draw, period, (next, last), owl, &mut own);
            }
        }
        for later in month + 1..=period.month_of(period.end) {
            let distance = (later - month) as usize;
            if draw.chance(RETENTION[distance.min(RETENTION.len() - 1)]) {
                month_of_visits(&mut draw, period, period.month(later), owl, &mut own);
            }
        }
        for night in &nights {
            // Local 02:00 to 03:00, which this night has twice.
            if owl && own[0] + 86_400 < *night && draw.chance(0.6) {
                own.push(night + draw.between(-3600, 3599));
            }
        }
        own.sort_unstable();
        let mut last = i64::MIN;
        for at in own.iter().copied() {
            if at >= last.saturating_add(APART) {
                visits.push(Visit::new(period, at, number));
                last = at;
            }
        }
    }
    for (robot, at) in crawls(seed, users, period, &nights).into_iter().enumerate() {
        visits.push(Visit::new(period, at, users + robot as u32));
    }
    visits.sort_unstable();
    visits
}

/// Robots come all over the period, a few of them in the hour that the clock repeats.
fn crawls(seed: u64, users: u32, period: &Period, nights: &[i64]) -> Vec<i64> {
    let mut draw = Draw::stream(seed, Topic::Crawl, 0, 0);
    let days = period.len();
    let count = (days / 3).max(days * u64::from(users) / 1000).max(1);
    let span = period.close() - period.origin() - 4 * 3600;
    let mut crawls: Vec<i64> = (0..count).map(|_| period.origin() + draw.between(0, span)).collect();
    for night in nights {
        crawls.extend([night - 1800, night - 900, night + 900, night + 1800]);
    }
    crawls
}

fn month_of_visits(
    draw: &mut Draw,
    period: &Period,
    (first, last): (NaiveDate, NaiveDate),
    owl: bool,
    own: &mut Vec<i64>,
) {
    for _ in 0..=draw.geometric(ONE_MORE).min(9) {
        let day = first + chrono::Days::new(draw.between(0, (last - first).num_days()) as u64);
        own.push(moment(draw, period, day, owl));
    }
}

/// A second of a day, by the shop's traffic; owls come around midnight.
fn moment(draw: &mut Draw, period: &Period, day: NaiveDate, owl: bool) -> i64 {
    let second = if owl {
        // From four minutes before midnight, so that many of these sessions cross it, to half past two.
        if draw.chance(0.4) { 86_400 - draw.between(1, 240) } else { draw.between(0, 9000) }
    } else {
        draw.weighted(&HOUR_TRAFFIC) as i64 * 3600 + draw.between(0, 3599)
    };
    period.instant(day, second, draw.chance(0.5))
}

/// The days on which visitors arrive: a little more every week, and more at week-ends.
struct Arrivals<'a> {
    period: &'a Period,
    cumulated: Vec<f64>,
}

impl<'a> Arrivals<'a> {
    fn new(period: &'a Period) -> Self {
        let mut total = 0.0;
        let cumulated = period
            .days()
            .enumerate()
            .map(|(index, day)| {
                let weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
                total += (1.0 + 0.5 * index as f64 / period.len() as f64) * if weekend { 1.3 } else { 1.0 };
                total
            })
            .collect();
        Self { period, cumulated }
    }

    fn day(&self, draw: &mut Draw) -> NaiveDate {
        let target = draw.unit() * self.cumulated.last().copied().unwrap_or_default();
        let index = self.cumulated.partition_point(|cumulated| *cumulated <= target);
        self.period.day((index as u64).min(self.period.len() - 1))
    }
}
