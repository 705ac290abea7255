//! The contract of [`Warehouse`] as executable checks, for our engines and for yours.
//!
//! Each check is given an empty warehouse without tables, and says what is wrong in words. [`conformance!`] makes one
//! test of each:
//!
//! ```ignore
//! mkt_warehouse::conformance!(my_engine, || async { Arc::new(MyEngine::connect().await.unwrap()) as Arc<dyn Warehouse> });
//! ```
//!
//! # Engines without transactions over tables
//! Nothing in the checks names SQL beyond `select`, and nothing in the trait names a transaction: a load is one commit of
//! whatever kind the engine has. A lake commits the ledger row, the files that it adds and the files that it removes in
//! one version of its log, with the slice's `load_id` and hash as application transaction. BigQuery loads into a staging
//! table by a job whose id is the slice's `load_id` and hash, and merges rows and ledger row in one multi-statement
//! transaction. Snowflake does the same from a stage, with the pair as request id. What an engine cannot serialise by
//! itself (loads of one key), it serialises by a conditional write of the ledger row. Indexes, COPY and buffers are each
//! engine's own affair: the checks of large loads see only what readers and later loads find.
//!
//! The checks need no runtime of their own and no clock. They do not measure speed, and cannot see what a power cut
//! leaves behind.
//!
//! [`conformance!`]: crate::conformance

mod concurrent;
mod content;
mod exclusive;
mod probe;
mod quarters;
mod slices;

pub use probe::{PROBE, Probe};

use crate::query::Query;
use crate::schema::Record;
use crate::warehouse::Warehouse;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// What a check found wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<mkt_connect::Error> for Failure {
    fn from(error: mkt_connect::Error) -> Self {
        Self(format!("a call failed that must succeed: {error}"))
    }
}

impl From<crate::table::TableError> for Failure {
    fn from(error: crate::table::TableError) -> Self {
        Self(format!("a row cannot be read: {error}"))
    }
}

/// A behaviour and how it is checked.
#[derive(Clone, Copy)]
pub struct Check {
    /// The behaviour, as a sentence with underscores.
    pub name: &'static str,
    run: Run,
}

type Run = fn(Arc<dyn Warehouse>) -> BoxFuture<'static, Result<(), Failure>>;

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

impl Check {
    /// The check of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CHECKS.iter().find(|check| check.name == name)
    }

    /// Runs it on an empty warehouse without tables.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn run(&self, warehouse: Arc<dyn Warehouse>) -> Result<(), Failure> {
        (self.run)(warehouse).await
    }
}

/// Lists the checks once: for [`CHECKS`] and for [`conformance!`](crate::conformance).
macro_rules! checks {
    ($($module:ident::$name:ident),+ $(,)?) => {
        /// Every check.
        pub const CHECKS: &[Check] = &[
            $(Check { name: stringify!($name), run: |warehouse| Box::pin($module::$name(warehouse)) }),+
        ];
    };
}

checks! {
    content::load_then_query_round_trips,
    content::every_table_of_the_model_round_trips,
    content::limits_of_types_round_trip,
    content::a_row_that_does_not_fit_is_named_by_table_and_column,
    content::values_are_bound_and_never_become_text,
    content::a_query_that_cannot_be_answered_is_an_error_of_the_input,
    content::a_scan_gives_the_rows_of_the_query_in_chunks,
    content::a_scan_may_be_dropped,
    slices::migrating_twice_changes_nothing,
    slices::replay_changes_nothing,
    slices::batches_loaded_together_are_as_one_after_the_other,
    slices::a_series_of_loads_is_as_one_after_the_other,
    slices::a_dropped_series_leaves_whole_slices,
    slices::a_state_changes_only_the_ledger,
    slices::changed_content_replaces_the_slice,
    slices::an_empty_batch_empties_the_slice,
    slices::a_batch_is_all_or_nothing,
    slices::a_large_first_load_is_as_any_other,
    slices::a_large_load_that_is_refused_changes_nothing,
    slices::keys_that_others_hold_move_to_a_large_load,
    slices::slices_do_not_touch_each_other,
    slices::a_row_moves_between_slices,
    slices::upserts_outlive_the_slice,
    slices::loading_before_migrating_is_an_error,
    quarters::sums_by_quarters_follow_the_sessions,
    concurrent::migrating_at_once_is_harmless,
    concurrent::loads_of_one_key_at_once_leave_one_of_them,
    concurrent::loads_of_many_keys_at_once_are_all_there,
    concurrent::large_loads_of_different_keys_at_once_fill_an_empty_table,
    concurrent::readers_see_before_or_after,
    concurrent::readers_see_nothing_of_a_large_first_load_before_its_end,
    concurrent::a_dropped_load_leaves_before_or_after,
    exclusive::a_name_has_one_holder_at_a_time,
    exclusive::a_lock_is_no_obstacle_to_loads,
}

/// One `#[tokio::test]` per check of [`testing::CHECKS`](crate::testing::CHECKS) in a module of the given name. The
/// expression is called for each: a closure whose future gives an empty `Arc<dyn Warehouse>`, or `None` to skip.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $make:expr) => {
        $crate::conformance!(@tests $module, $make,
            load_then_query_round_trips,
            every_table_of_the_model_round_trips,
            limits_of_types_round_trip,
            a_row_that_does_not_fit_is_named_by_table_and_column,
            values_are_bound_and_never_become_text,
            a_query_that_cannot_be_answered_is_an_error_of_the_input,
            a_scan_gives_the_rows_of_the_query_in_chunks,
            a_scan_may_be_dropped,
            migrating_twice_changes_nothing,
            replay_changes_nothing,
            batches_loaded_together_are_as_one_after_the_other,
            a_series_of_loads_is_as_one_after_the_other,
            a_dropped_series_leaves_whole_slices,
            a_state_changes_only_the_ledger,
            changed_content_replaces_the_slice,
            an_empty_batch_empties_the_slice,
            a_batch_is_all_or_nothing,
            a_large_first_load_is_as_any_other,
            a_large_load_that_is_refused_changes_nothing,
            keys_that_others_hold_move_to_a_large_load,
            slices_do_not_touch_each_other,
            a_row_moves_between_slices,
            upserts_outlive_the_slice,
            loading_before_migrating_is_an_error,
            sums_by_quarters_follow_the_sessions,
            migrating_at_once_is_harmless,
            loads_of_one_key_at_once_leave_one_of_them,
            loads_of_many_keys_at_once_are_all_there,
            large_loads_of_different_keys_at_once_fill_an_empty_table,
            readers_see_before_or_after,
            readers_see_nothing_of_a_large_first_load_before_its_end,
            a_dropped_load_leaves_before_or_after,
            a_name_has_one_holder_at_a_time,
            a_lock_is_no_obstacle_to_loads,
        );
    };
    (@tests $module:ident, $make:expr, $($name:ident),+ $(,)?) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let Some(warehouse) = ::std::convert::Into::into(($make)().await) else { return };
                    let Some(check) = $crate::testing::Check::named(stringify!($name)) else {
                        panic!("there is no check {}", stringify!($name));
                    };
                    if let Err(failure) = check.run(warehouse).await {
                        panic!("{failure}");
                    }
                }
            )+

            #[test]
            fn every_check_is_a_test() {
                let tests = [$(stringify!($name)),+];
                let checks: Vec<&str> = $crate::testing::CHECKS.iter().map(|check| check.name).collect();
                assert_eq!(tests.as_slice(), checks.as_slice());
            }
        }
    };
}

fn ensure(truth: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if truth { Ok(()) } else { Err(Failure(otherwise())) }
}

fn equal<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), Failure> {
    ensure(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

/// An instant of the checks: `seconds` after the start of 2026.
fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap_or_default()
}

/// Every row of a table, read back.
async fn rows<R: Record>(warehouse: &dyn Warehouse) -> Result<Vec<R>, Failure> {
    let table = warehouse.query(&Query::table(&R::SCHEMA)).await?;
    Ok((0..table.rows()).map(|row| R::read(&table, row)).collect::<Result<_, _>>()?)
}
