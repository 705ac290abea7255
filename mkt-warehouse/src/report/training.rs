//! Sessions as rows for a conversion model.

use super::{Answer, Definition, Scope, answer};
use crate::record;
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Result};

record! {
    /// A session, in the columns of the course's `user_behavior.csv`.
    TrainingRow in "training_set" upserted, key [session_id] {
        /// The session.
        session_id: String,
        /// Seconds on the site.
        time_on_site: i64,
        /// Pages seen.
        pages_viewed: i64,
        /// The channel.
        source: Channel,
        /// The device; null where the source has none.
        device: Option<String>,
        /// Whether it converted.
        converted: bool,
    }
}

macro_rules! training_set {
    () => {
        "One row per session that starts in the period: time_on_site in seconds (from first to last event where the \
         source does not tell), pages_viewed, source (the channel), device, converted."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "training_set",
    describe: training_set!(),
    text: "
with {visits}
select
    session_id,
    coalesce(time_on_site, @seconds(start_time, end_time)) as time_on_site,
    pages_viewed,
    channel as source,
    device,
    converted
from visits
order by @sorted(session_id)",
    local: false,
};

#[doc = training_set!()]
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn training_set<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<TrainingRow>> {
    answer(&REPORT, warehouse, scope, Vec::new()).await
}
