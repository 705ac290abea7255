//! From a stream of purchases to one line a customer.

use std::collections::HashMap;

use serde::Serialize;

use super::{Customer, LifetimeError, Span};

/// Values are kept in millionths.
const UNIT: f64 = 1e6;

/// One customer's purchases in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Buyer {
    /// Who.
    pub id: String,
    /// Repeats, time to the last, time observed.
    pub customer: Customer,
    /// Days after the first with a purchase of known value: what `mean_value` is the mean of.
    pub valued_repeats: u32,
    /// The mean value of those days; none without them. The first purchase is not in it: its value often differs, and
    /// models of repeats must not see it.
    pub mean_value: Option<f64>,
    /// Days with a purchase after the end of the calibration; none where there is no hold-out.
    pub held_out: Option<u32>,
}

/// Reads purchases one by one and keeps a few numbers for each customer.
///
/// Times are days, numbered from any day on (days since 1970, say), cut by the caller in the zone that is meant. **Two
/// purchases on one day are one**, of the sum of their values: models count occasions to buy, not items of a basket.
/// A customer's time runs from the day of the first purchase: to the day of the last for `last`, to the last day of
/// the observation for `observed`.
///
/// Purchases of one customer must come in the order of time, as a table sorted by time or by customer and time has
/// them; memory then grows with the customers only. [`Purchases::any_order`] keeps them all instead, 24 bytes each.
///
/// ```
/// use mkt_ml::lifetime::{Purchases, Span};
///
/// let mut purchases = Purchases::until(100);
/// for (day, value) in [(10, 20.0), (40, 30.0), (40, 5.0), (70, 15.0)] {
///     purchases.add("c1", day, value)?;
/// }
/// let buyer = &purchases.finish()?[0];
/// assert_eq!(buyer.customer.repeats(), 2);
/// assert_eq!((buyer.customer.last(), buyer.customer.observed()), (Span::days(60.0), Span::days(90.0)));
/// assert_eq!(buyer.mean_value, Some(25.0)); // 35 and 15
/// # Ok::<(), mkt_ml::lifetime::LifetimeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Purchases {
    /// The last day observed, where it was declared.
    end: Option<i32>,
    /// The last day of a purchase.
    seen: Option<i32>,
    calibration: Option<i32>,
    any_order: bool,
    customers: HashMap<Box<str>, usize>,
    states: Vec<State>,
    /// All purchases with their customer, where order is not asked for.
    kept: Vec<(usize, i32, Option<i64>)>,
    rows: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    first: i32,
    last: i32,
    /// The last day of the calibration with a purchase.
    last_seen: i32,
    repeats: u32,
    valued: u32,
    /// Of all valued repeats, in millionths.
    value: i64,
    /// Whether the day `last` has a value already.
    last_valued: bool,
    held_out: u32,
}

impl Default for Purchases {
    fn default() -> Self {
        Self::new()
    }
}

impl Purchases {
    /// Reads purchases; the last day observed is that of the last purchase. Where the data go on after it (a quiet week, a
    /// holiday), declare it by [`Purchases::until`]: customers look the livelier the earlier it is.
    #[must_use]
    pub fn new() -> Self {
        Self {
            end: None,
            seen: None,
            calibration: None,
            any_order: false,
            customers: HashMap::new(),
            states: Vec::new(),
            kept: Vec::new(),
            rows: 0,
        }
    }

    /// Reads purchases up to the day `end`, the last one observed.
    #[must_use]
    pub fn until(end: i32) -> Self {
        Self { end: Some(end), ..Self::new() }
    }

    /// Ends the calibration at the day `end`: purchases after it are counted as held out, and customers whose first
    /// purchase comes after it are left out.
    #[must_use]
    pub fn calibration_until(mut self, end: i32) -> Self {
        self.calibration = Some(end);
        self
    }

    /// The last day observed: declared, or that of the last purchase so far.
    #[must_use]
    pub fn last_day(&self) -> Option<i32> {
        self.end.or(self.seen)
    }

    /// Where the calibration ends.
    fn calibrated(&self) -> i32 {
        let all = self.end.unwrap_or(i32::MAX);
        self.calibration.map_or(all, |end| end.min(all))
    }

    /// Takes purchases in any order.
    #[must_use]
    pub fn any_order(mut self) -> Self {
        self.any_order = true;
        self
    }

    /// Adds a purchase.
    ///
    /// # Errors
    /// A day after the end, or before one of the same customer that was added already; a value that is not finite or
    /// above 10⁹. The purchase is then not counted, and the others stay.
    pub fn add(
        &mut self,
        customer: &str,
        day: i32,
        value: impl Into<Option<f64>>,
    ) -> Result<(), LifetimeError> {
        let row = self.rows + 1;
        if let Some(end) = self.end.filter(|end| day > *end) {
            return Err(LifetimeError::AfterEnd { row, day, end });
        }
        let value: Option<f64> = value.into();
        if let Some(value) = value.filter(|value| value.abs() > 1e9 || !value.is_finite()) {
            let (what, expected) = ("the value of a purchase", "a finite number of at most 10^9");
            return Err(LifetimeError::Customer { what, value, expected });
        }
        let value = value.map(|value| (value * UNIT).round() as i64);
        let known = self.customers.get(customer).copied();
        if let Some(last) = known.and_then(|at| self.states.get(at)).map(|state| state.last)
            && day < last
            && !self.any_order
        {
            return Err(LifetimeError::OutOfOrder { row, day, last });
        }
        let at = known.unwrap_or(self.states.len());
        if known.is_none() {
            self.customers.insert(customer.into(), at);
            self.states.push(State::default());
        }
        if self.any_order {
            self.kept.push((at, day, value));
        } else {
            let calibration = self.calibrated();
            self.states[at].take(known.is_none(), day, value, calibration);
        }
        self.seen = Some(self.seen.map_or(day, |seen| seen.max(day)));
        self.rows = row;
        Ok(())
    }

    /// Purchases added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// One line a customer, by id.
    ///
    /// # Errors
    /// None but of [`Customer::new`], which days in order do not cause.
    pub fn finish(mut self) -> Result<Vec<Buyer>, LifetimeError> {
        let calibration = self.calibrated().min(self.last_day().unwrap_or(0));
        self.kept.sort_unstable();
        let mut before = None;
        for (at, day, value) in &self.kept {
            self.states[*at].take(before != Some(*at), *day, *value, calibration);
            before = Some(*at);
        }
        let mut buyers = Vec::with_capacity(self.states.len());
        for (id, at) in self.customers {
            let state = self.states[at];
            if state.first > calibration {
                continue;
            }
            let days = |until: i32| Span::days(f64::from(until) - f64::from(state.first));
            let mean = state.value as f64 / UNIT / f64::from(state.valued);
            buyers.push(Buyer {
                id: id.into(),
                customer: Customer::new(state.repeats, days(state.last_seen), days(calibration))?,
                valued_repeats: state.valued,
                mean_value: (state.valued > 0).then_some(mean),
                held_out: self.calibration.map(|_| state.held_out),
            });
        }
        buyers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(buyers)
    }
}

impl State {
    fn take(&mut self, first: bool, day: i32, value: Option<i64>, calibration: i32) {
        if first {
            *self = Self { first: day, last: day, last_seen: day, ..Self::default() };
            return;
        }
        let another = day > self.last;
        if another {
            self.last_valued = false;
            if day > calibration {
                self.held_out += 1;
            } else {
                self.repeats += 1;
                self.last_seen = day;
            }
        }
        self.last = day;
        // The first day's value is no repeat's.
        if let Some(value) = value
            && day > self.first
            && day <= calibration
        {
            self.value = self.value.saturating_add(value);
            self.valued += u32::from(!self.last_valued);
            self.last_valued = true;
        }
    }
}
