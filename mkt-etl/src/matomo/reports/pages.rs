//! Pages of a site, from Actions.getPageUrls. Pure.

use super::shape::{Dimensions, Field, Ratio, Shape, Sheet};
use crate::matomo::answer::Row;

/// A page's rows: how often it was seen, how often visits began and ended with it.
///
/// A visit sees several pages: visits and visitors of pages are never added up. Entries are: a visit has at most one.
pub(super) static PAGES: Shape = Shape {
    place: "Actions.getPageUrls",
    report: "pages",
    fields: &[
        Field::count("nb_hits", "page_views").needed(),
        Field::distinct("nb_visits", "visits_with_page").needed(),
        Field::distinct("nb_uniq_visitors", "unique_visitors"),
        Field::count("sum_time_spent", "seconds_on_page"),
        Field::count("entry_nb_visits", "entries"),
        Field::count("entry_bounce_count", "entry_bounces"),
        Field::count("entry_nb_actions", "actions_after_entry"),
        Field::count("entry_sum_visit_length", "seconds_after_entry"),
        Field::distinct("entry_nb_uniq_visitors", "entry_unique_visitors"),
        Field::count("exit_nb_visits", "exits"),
        Field::distinct("exit_nb_uniq_visitors", "exit_unique_visitors"),
    ],
    ratios: &[
        Ratio("entry_bounce_rate", "entry_bounces", "entries"),
        Ratio("exit_rate", "exits", "visits_with_page"),
        Ratio("time_per_page_view", "seconds_on_page", "page_views"),
    ],
    known: &["Actions_PageUrl", "avg_time_on_page", "nb_hits_following_search", "hits"],
    is_known: is_performance,
    foreign: &[],
};

/// How fast pages loaded, in several fields for each phase; and sums of uniques over days, which count people twice.
fn is_performance(name: &str) -> bool {
    ["avg_time_", "avg_page_", "sum_time_", "min_time_", "max_time_", "nb_hits_with_time_", "sum_daily_"]
        .iter()
        .any(|start| name.starts_with(start))
        || name.ends_with("_bandwidth")
}

/// Rows of Actions.getPageUrls, flat. The rest of a folder has no address of its own: its label stands for it.
pub(super) fn add(rows: &[Row], sheet: &mut Sheet<'_>) {
    for row in rows {
        let page = row.text("url").or_else(|| row.text("Actions_PageUrl")).or_else(|| row.text("label"));
        match page {
            Some(page) => sheet.add(row, Dimensions::new().text("page_url", Some(&page))),
            None => sheet.reject(row, "the row has neither url nor label"),
        }
    }
}
