//! Whether a model fitted to an earlier time foretells a later one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Customer, Purchasing, Span};

/// Purchases foretold against those that came.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HoldOut {
    /// Customers.
    pub customers: usize,
    /// Purchases that the model expects of all of them.
    pub expected: f64,
    /// Purchases that came.
    pub found: f64,
    /// The mean of |expected − found| over customers.
    pub mean_error: f64,
    /// The same where everybody goes on buying at the rate so far (repeats ÷ time observed): what a model must beat.
    pub mean_error_of_rate: f64,
    /// By repeats so far; seven and more are one group.
    pub groups: Vec<HoldOutGroup>,
}

/// Customers with as many repeats.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HoldOutGroup {
    /// Repeats so far; 7 for seven and more.
    pub repeats: u32,
    /// Customers.
    pub customers: usize,
    /// Purchases expected of one of them.
    pub expected: f64,
    /// Purchases that came of one of them.
    pub found: f64,
}

/// Compares what a model expects over `horizon`, the time held out, with what came: pairs of a customer up to the end of
/// the calibration and purchases after it, as [`Purchases::calibration_until`](super::Purchases::calibration_until)
/// counts them. None without customers.
#[must_use]
pub fn hold_out(
    model: &Purchasing,
    customers: impl IntoIterator<Item = (Customer, u32)>,
    horizon: Span,
) -> Option<HoldOut> {
    const LAST_GROUP: u32 = 7;
    let mut groups: BTreeMap<u32, (usize, f64, f64)> = BTreeMap::new();
    let (mut error, mut error_of_rate) = (0.0, 0.0);
    let unit = model.unit();
    for (customer, found) in customers {
        let (expected, found) = (model.expected(&customer, horizon), f64::from(found));
        let observed = customer.observed().in_unit(unit);
        let rate = if observed > 0.0 { f64::from(customer.repeats()) / observed } else { 0.0 };
        error += (expected - found).abs();
        error_of_rate += (rate * horizon.in_unit(unit) - found).abs();
        let group = groups.entry(customer.repeats().min(LAST_GROUP)).or_default();
        group.0 += 1;
        group.1 += expected;
        group.2 += found;
    }
    let customers: usize = groups.values().map(|group| group.0).sum();
    let count = customers as f64;
    (customers > 0).then(|| HoldOut {
        customers,
        expected: groups.values().map(|group| group.1).sum(),
        found: groups.values().map(|group| group.2).sum(),
        mean_error: error / count,
        mean_error_of_rate: error_of_rate / count,
        groups: groups
            .into_iter()
            .map(|(repeats, (customers, expected, found))| HoldOutGroup {
                repeats,
                customers,
                expected: expected / customers as f64,
                found: found / customers as f64,
            })
            .collect(),
    })
}
