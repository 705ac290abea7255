//! Watching a fit and stopping it.

use std::ops::ControlFlow;

/// How far a fit has come.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Trees grown so far; of a logistic regression the steps taken.
    pub done: usize,
    /// Trees asked for, or the most steps; early stopping and convergence end before.
    pub total: usize,
    /// The log-loss on the rows held out so far, for boosting that stops early.
    pub validation_loss: Option<f64>,
}

/// What is told of progress: returns [`ControlFlow::Break`] to give up the fit, which then fails with
/// [`ModelError::Cancelled`](crate::ModelError::Cancelled). Called from one thread at a time, in ascending order
/// of `done` for boosting and logistic regression and in any order of trees for forests.
pub type Watcher<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// A watcher that never stops anything.
pub(crate) fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
