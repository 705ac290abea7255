//! Progress of a run, slice by slice.

use mkt_warehouse::SliceKey;
use mkt_warehouse::model::SliceState;
use serde::{Serialize, Serializer};

/// A slice is done. As JSON (one line for a log): `done`, `total`, `slice`, `state`, `rows`, `read`, `quarantined`,
/// `changed`, `revised`, `seconds`, `error`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Slices done, this one included.
    pub done: usize,
    /// Slices of the run.
    pub total: usize,
    /// The slice.
    #[serde(serialize_with = "text")]
    pub slice: SliceKey,
    /// Its state now.
    pub state: SliceState,
    /// Rows it holds.
    pub rows: u64,
    /// Records that were read for them.
    pub read: u64,
    /// Records of it that were set aside.
    pub quarantined: u64,
    /// Whether anything was written for it.
    pub changed: bool,
    /// Whether an earlier content was replaced.
    pub revised: bool,
    /// How long it took, by the pipeline's clock.
    pub seconds: f64,
    /// The kind of error that it failed with.
    pub error: Option<&'static str>,
}

fn text<S: Serializer>(slice: &SliceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(slice)
}
