//! Progress of a fit, and cancelling it.

use crate::classifier::ModelError;
use crate::error::Error;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The progress of a fit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Trees grown so far, or steps of a logistic regression.
    pub done: usize,
    /// Trees requested, or the maximum number of steps. Early stopping and convergence may end the fit before that.
    pub total: usize,
    /// The current log-loss on the held-out rows, for boosting with early stopping.
    pub validation_loss: Option<f64>,
}

/// A callback for progress: returns [`ControlFlow::Break`] to cancel the fit, which then fails with
/// [`ModelError::Cancelled`](crate::ModelError::Cancelled). Called from one thread at a time, in ascending order
/// of `done` for boosting and logistic regression and in any order of trees for forests.
pub type Watcher<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// A watcher that never cancels.
pub(crate) fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Several fits of one algorithm as one piece of work: their trees or steps are counted together.
pub(crate) struct Fits<'a> {
    count: usize,
    watcher: Watcher<'a>,
}

impl<'a> Fits<'a> {
    /// So many fits.
    pub(crate) fn new(count: usize, watcher: Watcher<'a>) -> Self {
        Self { count, watcher }
    }

    /// Runs the fit at this place, counted from 0.
    pub(crate) fn run<T>(
        &self,
        at: usize,
        fit: impl FnOnce(Watcher<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // A model without steps is one step.
        let steps = AtomicUsize::new(1);
        let watch = |of_fit: Progress| {
            steps.store(of_fit.total, Ordering::Relaxed);
            let (done, total) = (at * of_fit.total + of_fit.done, self.count * of_fit.total);
            (self.watcher)(Progress { done, total, ..of_fit })
        };
        let fitted = fit(&watch)?;
        let steps = steps.into_inner();
        let (done, total) = ((at + 1) * steps, self.count * steps);
        match (self.watcher)(Progress { done, total, validation_loss: None }) {
            ControlFlow::Continue(()) => Ok(fitted),
            ControlFlow::Break(()) => Err(ModelError::Cancelled { done, total }.into()),
        }
    }
}
