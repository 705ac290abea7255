//! Conversion rate by channel.

use super::{Answer, Definition, Scope, answer, fold};
use crate::record;
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Result};

record! {
    /// A channel and its users.
    ChannelConversion in "conversion_by_channel" upserted, key [channel] {
        /// The channel of the sessions.
        channel: Channel,
        /// Distinct users with a session in it.
        users: i64,
        /// Those of them with a converted session in it.
        converted_users: i64,
        /// Percent of users who converted.
        conversion_rate: Option<f64>,
    }
}

macro_rules! conversion_by_channel {
    () => {
        "Per channel: distinct users with a converted session ÷ distinct users with a session × 100, over the \
         sessions that start in the period. A user with sessions in two channels counts in both. Best first."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "conversion_by_channel",
    describe: conversion_by_channel!(),
    text: "
with {visits}
select
    channel,
    count(distinct person) as users,
    count(distinct case when converted then person end) as converted_users,
    @percent(count(distinct case when converted then person end), count(distinct person)) as conversion_rate
from visits
group by channel
order by conversion_rate desc, channel",
    local: false,
};

#[doc = conversion_by_channel!()]
///
/// A channel without a session has no row.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn conversion_by_channel<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<ChannelConversion>> {
    match warehouse.in_process() {
        true => fold::conversion(warehouse, scope).await,
        false => answer(&REPORT, warehouse, scope, Vec::new()).await,
    }
}
