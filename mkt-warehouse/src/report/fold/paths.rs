//! Paths and channel sets from each person's sessions in order.

use super::journeys::{Journeys, Touch, amount};
use crate::report::channel_sets::{self, ChannelSetCount};
use crate::report::journey::{ChannelPath, ChannelSet};
use crate::report::paths::{self, PathCount};
use crate::report::{Answer, Definition, Scope};
use crate::table::Value;
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Currency, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Paths of one kind.
struct Counted {
    channels: Vec<Channel>,
    converted: i64,
    not_converted: i64,
    /// Hundredths; a kind without a sale has one of nothing in no currency.
    value: BTreeMap<Option<Currency>, i128>,
}

/// As [`crate::report::paths()`] with all paths as they are.
pub(crate) async fn paths<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    look_back: Duration,
    values: &[(&'static str, Value)],
) -> Result<Answer<PathCount>> {
    let counted = counted(&paths::REPORT, warehouse, scope, look_back, values, |steps, channels| {
        channels.extend(steps.iter().map(|touch| touch.channel));
    })
    .await?;
    let mut rows = Vec::new();
    for Counted { channels, converted, not_converted, value } in counted {
        let length = i64::try_from(channels.len()).unwrap_or(i64::MAX);
        rows.extend(value.into_iter().map(|(currency, value)| PathCount {
            path: ChannelPath(channels.clone()),
            length,
            converted,
            not_converted,
            currency,
            value: amount(value),
        }));
    }
    // Stable, so currencies stay in their order.
    rows.sort_by_cached_key(|row| (Reverse(row.converted), Reverse(row.not_converted), row.path.to_string()));
    Ok(Answer::from_rows(rows))
}

/// As [`crate::report::channel_sets()`].
pub(crate) async fn channel_sets<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    look_back: Duration,
    values: &[(&'static str, Value)],
) -> Result<Answer<ChannelSetCount>> {
    let counted = counted(&channel_sets::REPORT, warehouse, scope, look_back, values, |steps, channels| {
        channels.extend(steps.iter().map(|touch| touch.channel));
        channels.sort_unstable_by_key(|channel| channel.as_str());
        channels.dedup();
    })
    .await?;
    let mut rows = Vec::new();
    for Counted { channels, converted, not_converted, value } in counted {
        let size = i64::try_from(channels.len()).unwrap_or(i64::MAX);
        let paths = converted + not_converted;
        rows.extend(value.into_iter().map(|(currency, value)| ChannelSetCount {
            channels: ChannelSet(channels.clone()),
            size,
            paths,
            converted,
            conversion_rate: (paths != 0).then(|| (100 * converted) as f64 / paths as f64),
            currency,
            value: amount(value),
        }));
    }
    rows.sort_by_cached_key(|row| (Reverse(row.converted), Reverse(row.paths), row.channels.to_string()));
    Ok(Answer::from_rows(rows))
}

/// Counts paths by what `kind` makes of their sessions, and adds up the sales that belong to their conversions.
async fn counted<W: Warehouse + ?Sized>(
    report: &Definition,
    warehouse: &W,
    scope: &Scope,
    look_back: Duration,
    values: &[(&'static str, Value)],
    kind: impl Fn(&[Touch], &mut Vec<Channel>),
) -> Result<Vec<Counted>> {
    let journeys = Journeys::read(report, warehouse, scope, look_back, values, "", |_, _| Ok(())).await?;
    let (mut number, mut counted): (HashMap<Vec<Channel>, usize>, Vec<Counted>) = Default::default();
    let mut kind_of: HashMap<usize, usize> = HashMap::new();
    let mut channels = Vec::new();
    journeys.each_path(scope.from().timestamp_micros(), |steps, conversion| {
        channels.clear();
        kind(steps, &mut channels);
        let number = number.get(&channels).copied().unwrap_or_else(|| {
            number.insert(channels.clone(), counted.len());
            counted.push(Counted {
                channels: channels.clone(),
                converted: 0,
                not_converted: 0,
                value: BTreeMap::new(),
            });
            counted.len() - 1
        });
        if let Some(conversion) = conversion {
            kind_of.insert(conversion, number);
        }
        if let Some(counted) = counted.get_mut(number) {
            counted.converted += i64::from(conversion.is_some());
            counted.not_converted += i64::from(conversion.is_none());
        }
    });
    for sale in &journeys.sales {
        let conversion = journeys.conversion_before(sale.after);
        let number = conversion.and_then(|conversion| kind_of.get(&conversion).copied());
        if let Some(counted) = number.and_then(|number| counted.get_mut(number)) {
            *counted.value.entry(sale.currency).or_default() += sale.hundredths;
        }
    }
    for counted in counted.iter_mut().filter(|counted| counted.value.is_empty()) {
        counted.value.insert(None, 0);
    }
    Ok(counted)
}
