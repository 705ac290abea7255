//! Maximum likelihood over the logarithms of positive parameters, by Newton's method with damping.

use super::LifetimeError;

/// Parameters below e⁻¹⁶ or above e¹⁶ have run away.
const FARTHEST: f64 = 16.0;
const MOST_STEPS: usize = 200;

/// A function's value, gradient and Hessian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Local<const N: usize> {
    pub(super) value: f64,
    pub(super) gradient: [f64; N],
    pub(super) hessian: [[f64; N]; N],
}

impl<const N: usize> Local<N> {
    pub(super) const ZERO: Self = Self { value: 0.0, gradient: [0.0; N], hessian: [[0.0; N]; N] };

    pub(super) fn add(&mut self, other: &Self, times: f64) {
        self.value += times * other.value;
        for row in 0..N {
            self.gradient[row] += times * other.gradient[row];
            for column in 0..N {
                self.hessian[row][column] += times * other.hessian[row][column];
            }
        }
    }

    /// The same as a function of the logarithms of `parameters`.
    fn of_logarithms(&self, parameters: &[f64; N]) -> Self {
        let mut log = *self;
        for row in 0..N {
            log.gradient[row] = self.gradient[row] * parameters[row];
            for column in 0..N {
                log.hessian[row][column] = self.hessian[row][column] * parameters[row] * parameters[column];
            }
            log.hessian[row][row] += log.gradient[row];
        }
        log
    }
}

/// The maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Maximum<const N: usize> {
    pub(super) parameters: [f64; N],
    /// Of the logarithms.
    pub(super) std_errors: [f64; N],
    pub(super) value: f64,
    pub(super) steps: usize,
}

/// Climbs to the maximum of the sum of `rows` observations' log-likelihoods. `ran_away` names what it means when a
/// parameter does so, downwards or upwards.
pub(super) fn maximise<const N: usize>(
    start: [f64; N],
    rows: f64,
    likelihood: impl Fn(&[f64; N]) -> Local<N>,
    ran_away: impl Fn(usize, bool) -> LifetimeError,
) -> Result<Maximum<N>, LifetimeError> {
    let mut place = start.map(f64::ln);
    let at = |place: &[f64; N]| {
        let parameters = place.map(f64::exp);
        likelihood(&parameters).of_logarithms(&parameters)
    };
    let mut here = at(&place);
    let mut damping = 1e-3;
    let mut gradient = f64::INFINITY;
    for steps in 0..MOST_STEPS {
        gradient = here.gradient.iter().fold(0.0_f64, |most, g| most.max(g.abs())) / rows;
        let converged = gradient < 1e-10;
        if converged && let Some(inverse) = inverse(&negated(&here.hessian, 0.0)) {
            // A ridge of the likelihood leaves a variance beyond all sense.
            let std_errors: [f64; N] = std::array::from_fn(|row| inverse[row][row].max(0.0).sqrt());
            if std_errors.iter().all(|error| error.is_finite()) {
                return Ok(Maximum { parameters: place.map(f64::exp), std_errors, value: here.value, steps });
            }
        }
        if let Some(row) = place.iter().position(|log| log.abs() > FARTHEST) {
            return Err(ran_away(row, place[row] > 0.0));
        }
        let mut moved = false;
        for _ in 0..40 {
            let Some(inverse) = inverse(&negated(&here.hessian, damping * rows)) else {
                damping *= 10.0;
                continue;
            };
            let mut step: [f64; N] =
                std::array::from_fn(|row| inverse[row].iter().zip(&here.gradient).map(|(x, g)| x * g).sum());
            // Not further than a factor of e² at once.
            let longest = step.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
            if longest > 2.0 {
                step.iter_mut().for_each(|s| *s *= 2.0 / longest);
            }
            let next: [f64; N] = std::array::from_fn(|row| place[row] + step[row]);
            let there = at(&next);
            let finite = there.value.is_finite() && there.gradient.iter().all(|g| g.is_finite());
            if finite && there.value >= here.value - here.value.abs() * 1e-14 {
                let still = there.value - here.value <= here.value.abs() * 1e-15 && longest < 1e-9;
                (place, here, moved) = (next, there, !still);
                damping = (damping / 10.0).max(1e-12);
                break;
            }
            damping = (damping * 10.0).max(1e-9);
        }
        if !moved && gradient < 1e-7 {
            // The likelihood is flat to its last digit: as near as numbers go.
            let Some(inverse) = inverse(&negated(&here.hessian, 0.0)) else { break };
            let std_errors = std::array::from_fn(|row| inverse[row][row].max(0.0).sqrt());
            return Ok(Maximum { parameters: place.map(f64::exp), std_errors, value: here.value, steps });
        }
        if !moved {
            break;
        }
    }
    // What had not stopped moving, or lies on a ridge, is on its way to a bound.
    let farthest = (0..N).max_by(|a, b| place[*a].abs().total_cmp(&place[*b].abs()));
    match farthest {
        Some(row) if place[row].abs() > FARTHEST / 2.0 => Err(ran_away(row, place[row] > 0.0)),
        _ => Err(LifetimeError::NotConverged { steps: MOST_STEPS, gradient }),
    }
}

fn negated<const N: usize>(hessian: &[[f64; N]; N], damping: f64) -> [[f64; N]; N] {
    std::array::from_fn(|row| {
        std::array::from_fn(|column| -hessian[row][column] + if row == column { damping } else { 0.0 })
    })
}

/// The inverse of a positive definite matrix by Cholesky's factors; none where it is not.
fn inverse<const N: usize>(matrix: &[[f64; N]; N]) -> Option<[[f64; N]; N]> {
    let mut l = [[0.0; N]; N];
    for row in 0..N {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| l[row][k] * l[column][k]).sum();
            let rest = matrix[row][column] - known;
            if row == column {
                if !(rest.is_finite() && rest > matrix[row][row].abs() * 1e-14) {
                    return None;
                }
                l[row][row] = rest.sqrt();
            } else {
                l[row][column] = rest / l[column][column];
            }
        }
    }
    // Symmetric: a column is a row.
    Some(std::array::from_fn(|unit| {
        let mut x = [0.0; N];
        for row in 0..N {
            let known: f64 = (0..row).map(|k| l[row][k] * x[k]).sum();
            x[row] = (f64::from(u8::from(row == unit)) - known) / l[row][row];
        }
        for row in (0..N).rev() {
            let known: f64 = (row + 1..N).map(|k| l[k][row] * x[k]).sum();
            x[row] = (x[row] - known) / l[row][row];
        }
        x
    }))
}
