//! Progress of a fit, and cancelling it.

use std::ops::ControlFlow;

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
