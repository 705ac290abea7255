//! A fitted model of when customers buy and leave.

use serde::{Deserialize, Serialize};

use super::{
    Family, LifetimeError, Span, Unit,
    family::{self, Alike},
    newton::{Maximum, maximise},
    pareto,
};

/// The fewest customers that a model is fitted to.
const FEWEST_CUSTOMERS: usize = 10;
/// The most customers alike that starting values are looked for with.
const SAMPLE: usize = 20_000;

/// What models see of a customer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    repeats: u32,
    last: Span,
    observed: Span,
}

impl Customer {
    /// A customer with so many purchases after the first (several on one day are one), the time from the first to the
    /// last purchase, and the time from the first purchase to the end of the observation.
    ///
    /// # Errors
    /// A time that is negative or not finite; `last` after `observed`; repeats without a time to the last, or a time
    /// without repeats.
    pub fn new(repeats: u32, last: Span, observed: Span) -> Result<Self, LifetimeError> {
        let wrong = |what, value: Span, expected| {
            Err(LifetimeError::Customer { what, value: value.in_unit(Unit::Day), expected })
        };
        let [t, all] = [last, observed].map(|span| span.in_unit(Unit::Day));
        if !(all.is_finite() && all >= 0.0) {
            return wrong("the time observed in days", observed, "a number from 0 up");
        }
        if !(t >= 0.0 && t <= all * (1.0 + 1e-12)) {
            return wrong(
                "the time of the last purchase in days",
                last,
                "a number from 0 to the time observed",
            );
        }
        if (repeats > 0) != (t > 0.0) {
            return wrong(
                "the time of the last purchase in days",
                last,
                "0 without repeats, above 0 with them",
            );
        }
        Ok(Self { repeats, last, observed })
    }

    /// Purchases after the first.
    #[must_use]
    pub fn repeats(&self) -> u32 {
        self.repeats
    }

    /// The time from the first purchase to the last.
    #[must_use]
    pub fn last(&self) -> Span {
        self.last
    }

    /// The time from the first purchase to the end of the observation.
    #[must_use]
    pub fn observed(&self) -> Span {
        self.observed
    }
}

/// An estimate with its 95 % interval, which is symmetric in its logarithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// Its standard error; none for parameters that were given.
    pub std_error: Option<f64>,
    /// The lower end of the interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

pub(super) fn parameters<const N: usize>(names: [&str; N], found: &Maximum<N>) -> Vec<Parameter> {
    let of = |(at, name): (usize, &str)| {
        let (value, error) = (found.parameters[at], found.std_errors[at]);
        let [low, high] = [-1.959_964, 1.959_964].map(|z: f64| value * (z * error).exp());
        Parameter {
            name: name.to_owned(),
            value,
            std_error: Some(value * error),
            low: Some(low),
            high: Some(high),
        }
    };
    names.into_iter().enumerate().map(of).collect()
}

/// A model of when customers buy and leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Purchasing {
    family: Family,
    unit: Unit,
    parameters: Vec<Parameter>,
    log_likelihood: Option<f64>,
    customers: usize,
    steps: usize,
}

impl Purchasing {
    /// Fits a model by maximum likelihood. `unit` is the one in which parameters are given; it changes neither the model
    /// nor its answers. Customers alike are counted once, and nothing depends on their order.
    ///
    /// # Errors
    /// Fewer than ten customers, or none who came back; a likelihood without a maximum, with what that means.
    pub fn fit(customers: &[Customer], family: Family, unit: Unit) -> Result<Self, LifetimeError> {
        if customers.len() < FEWEST_CUSTOMERS {
            let (what, found) = ("customers", customers.len());
            return Err(LifetimeError::TooFew { what, found, least: FEWEST_CUSTOMERS });
        }
        let repeaters = customers.iter().filter(|customer| customer.repeats > 0).count();
        if repeaters < 2 {
            return Err(LifetimeError::TooFew {
                what: "customers who came back",
                found: repeaters,
                least: 2,
            });
        }
        // Fitted over a unit of its own, in which times are about 1, so that the climb is the same in any unit.
        let mut alike = alike(customers);
        let days: f64 = alike.iter().map(|one| one.observed * one.customers).sum();
        let scale = days / customers.len() as f64;
        if scale == 0.0 {
            let (what, value) = ("the time observed in days", 0.0);
            return Err(LifetimeError::Customer { what, value, expected: "above 0 for some customers" });
        }
        for one in &mut alike {
            (one.last, one.observed) = (one.last / scale, one.observed / scale);
        }
        let likelihood = |parameters: &[f64; 4], alike: &[Alike]| match family {
            Family::ParetoNbd => pareto::log_likelihood(parameters, alike),
            _ => family::log_likelihood(family, parameters, alike),
        };
        let climb = |start: [f64; 4], alike: &[Alike]| {
            let rows = alike.iter().map(|one| one.customers).sum();
            let ran_away = |at, upwards| family.ran_away(at, upwards);
            maximise(start, rows, |parameters| likelihood(parameters, alike), ran_away)
        };
        // Two starts far apart; over many customers on every so many-th of them, and the better one over all.
        let repeats: f64 = customers.iter().map(|customer| f64::from(customer.repeats)).sum();
        let rate = repeats / customers.len() as f64;
        let starts = match family {
            Family::ParetoNbd => [[1.0, 1.0 / rate, 1.0, 1.0], [0.5, 0.25 / rate, 0.5, 0.5]],
            _ => [[1.0, 1.0 / rate, 1.0, 2.0], [0.3, 0.2 / rate, 0.5, 3.0]],
        };
        let step = alike.len().div_ceil(SAMPLE);
        let found = if step == 1 {
            better(starts.map(|start| climb(start, &alike)))?
        } else {
            let sample: Vec<Alike> = alike.iter().copied().step_by(step).collect();
            match better(starts.map(|start| climb(start, &sample))) {
                Ok(near) => climb(near.parameters, &alike).or_else(|_| climb(starts[0], &alike))?,
                Err(_) => better(starts.map(|start| climb(start, &alike)))?,
            }
        };
        let mut parameters = parameters(family.parameters(), &found);
        for (_, parameter) in parameters.iter_mut().enumerate().filter(|(at, _)| family.is_time(*at)) {
            let factor = scale / unit.days();
            parameter.value *= factor;
            for number in [&mut parameter.std_error, &mut parameter.low, &mut parameter.high] {
                *number = number.map(|number| number * factor);
            }
        }
        Ok(Self {
            family,
            unit,
            parameters,
            // A rate per day is a rate per unit times its days, once for each repeat.
            log_likelihood: Some(found.value - repeats * (scale / unit.days()).ln()),
            customers: customers.len(),
            steps: found.steps,
        })
    }

    /// Fits every [`Family`]; the one with the highest likelihood first. All have four parameters, so that no penalty
    /// for their number would change the order. Families that cannot be fitted come last, with their error.
    #[must_use]
    pub fn best(customers: &[Customer], unit: Unit) -> Vec<(Family, Result<Self, LifetimeError>)> {
        let mut fits: Vec<_> =
            Family::ALL.into_iter().map(|family| (family, Self::fit(customers, family, unit))).collect();
        let likelihood = |fit: &Result<Self, LifetimeError>| match fit {
            Ok(fit) => fit.log_likelihood.unwrap_or(f64::NEG_INFINITY),
            Err(_) => f64::NEG_INFINITY,
        };
        fits.sort_by(|a, b| likelihood(&b.1).total_cmp(&likelihood(&a.1)));
        fits
    }

    /// A model whose parameters are known, in the order of [`Family::parameters`]; times are in `unit`.
    ///
    /// # Errors
    /// A parameter that is not a number above 0.
    pub fn with_parameters(family: Family, unit: Unit, values: [f64; 4]) -> Result<Self, LifetimeError> {
        let names = family.parameters();
        for (name, value) in names.into_iter().zip(values) {
            if !(value.is_finite() && value > 0.0) {
                return Err(LifetimeError::Parameter { name, value, expected: "a number above 0" });
            }
        }
        let of = |(name, value): (&str, f64)| Parameter {
            name: name.to_owned(),
            value,
            std_error: None,
            low: None,
            high: None,
        };
        let parameters = names.into_iter().zip(values).map(of).collect();
        Ok(Self { family, unit, parameters, log_likelihood: None, customers: 0, steps: 0 })
    }

    /// Which model it is.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The unit of α and β.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The parameters, in the order of [`Family::parameters`].
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The log-likelihood at the maximum, times in [`Purchasing::unit`]; none for parameters that were given.
    #[must_use]
    pub fn log_likelihood(&self) -> Option<f64> {
        self.log_likelihood
    }

    /// Customers fitted to.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.customers
    }

    /// Steps of the last climb.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn values(&self) -> [f64; 4] {
        std::array::from_fn(|at| self.parameters.get(at).map_or(f64::NAN, |parameter| parameter.value))
    }

    /// The probability that a customer has not left at the end of the observation.
    #[must_use]
    pub fn alive(&self, customer: &Customer) -> f64 {
        let [last, observed] = [customer.last, customer.observed].map(|span| span.in_unit(self.unit));
        let x = f64::from(customer.repeats);
        match self.family {
            Family::ParetoNbd => pareto::alive(&self.values(), x, last, observed),
            _ => match family::left(self.family, &self.values(), x, last, observed) {
                Some(odds) => 1.0 / (1.0 + odds.exp()),
                None => 1.0,
            },
        }
    }

    /// How many purchases a customer is expected to make in the `horizon` after the end of the observation.
    #[must_use]
    pub fn expected(&self, customer: &Customer, horizon: Span) -> f64 {
        self.expected_if_alive(customer, horizon) * self.alive(customer)
    }

    /// The same, given that the customer has not left.
    pub(super) fn expected_if_alive(&self, customer: &Customer, horizon: Span) -> f64 {
        let horizon = horizon.in_unit(self.unit);
        if horizon <= 0.0 {
            return 0.0;
        }
        let (x, observed) = (f64::from(customer.repeats), customer.observed.in_unit(self.unit));
        match self.family {
            Family::ParetoNbd => pareto::expected_if_alive(&self.values(), x, observed, horizon),
            _ => family::expected_if_alive(self.family, &self.values(), x, observed, horizon),
        }
    }

    /// How many repeats a customer is expected to make in the `horizon` after the first purchase.
    #[must_use]
    pub fn expected_of_new(&self, horizon: Span) -> f64 {
        let new = Customer { repeats: 0, last: Span::days(0.0), observed: Span::days(0.0) };
        self.expected(&new, horizon)
    }
}

/// The fit with the higher likelihood, or the first error.
fn better(fits: [Result<Maximum<4>, LifetimeError>; 2]) -> Result<Maximum<4>, LifetimeError> {
    match fits {
        [Ok(a), Ok(b)] => Ok(if b.value > a.value { b } else { a }),
        [Ok(one), Err(_)] | [Err(_), Ok(one)] => Ok(one),
        [Err(error), Err(_)] => Err(error),
    }
}

/// Customers alike counted once, sorted by repeats; times in days.
fn alike(customers: &[Customer]) -> Vec<Alike> {
    // Times are not negative, so that their bits sort as they do.
    let key = |customer: &Customer| {
        let [last, observed] =
            [customer.last, customer.observed].map(|span| span.in_unit(Unit::Day).to_bits());
        (customer.repeats, observed, last)
    };
    let mut keys: Vec<(u32, u64, u64)> = customers.iter().map(key).collect();
    keys.sort_unstable();
    keys.chunk_by(|a, b| a == b)
        .filter_map(|same| {
            let (repeats, observed, last) = *same.first()?;
            let [last, observed] = [last, observed].map(f64::from_bits);
            Some(Alike { repeats, last, observed, customers: same.len() as f64 })
        })
        .collect()
}
