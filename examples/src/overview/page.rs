//! One page that shows everything, without asking the network for anything.

use super::{Overview, auc};
use chrono_tz::Tz;
use mkt_connect::chart::{Figure, Format, Lang, Page};
use mkt_warehouse::report::Report;

const LANG: Lang = Lang::En;

/// The page as HTML: the same input gives the same bytes.
pub(super) fn page(all: &Overview<'_>, zone: Tz) -> String {
    let Overview { loaded, answers, social, model, emails, .. } = all;
    let (from, last) = (answers.from, answers.held.last.with_timezone(&zone).date_naive());
    let sent = count(emails.sent as f64);
    let rate = social.rates[0].ratio_of_sums;
    let rate = rate.map_or("–".to_owned(), |ratio| LANG.number(ratio, Format::Percent(1)));
    let revenue = answers.arpu.rows.iter().map(|row| {
        let currency = row.currency.map(|currency| currency.to_string()).unwrap_or_default();
        let value = row.arpu.map_or("–".to_owned(), |arpu| format!("{} {currency}", arpu.0.round_dp(2)));
        Figure::new("Revenue per user", value)
            .definition("Purchases less refunds ÷ distinct users with a session in the period.")
            .note(format!("{:.2} {currency} of {} users", row.revenue.0, count(row.users as f64)))
    });
    let visits = Figure::new("Visits", count(answers.held.sessions as f64))
        .definition("Sessions in the warehouse, all sites.");
    let mut page = Page::new("Marketing, one loop", LANG)
        .subtitle(format!("{} to {}, days and hours of {zone}", LANG.day(from), LANG.day(last)))
        .figures(
            [visits].into_iter().chain(revenue).chain([
                Figure::new("Engagement rate by reach", rate)
                    .definition("Sum of interactions ÷ sum of reach, over posts where both are known."),
                Figure::new("AUC-ROC of the forest", auc(&model.forest)).definition(
                    "Chance that a converted visit scores above one that did not convert; 0.5 is guessing.",
                ),
                Figure::new("Emails written", &sent).definition(
                    "Emails in the folder mails, of this run or an earlier one; send_log.ndjson lists them.",
                ),
            ]),
        );
    if let Some(gaps) = answers.coverage.words(LANG) {
        page = page.text(format!("Not loaded, and no part of any number: {gaps}."));
    }
    for (report, table) in [
        (Report::ConversionByChannel, answers.conversion.table()),
        (Report::TopHours, answers.hours.table()),
        (Report::DailySeries, answers.days.table()),
        (Report::CohortRetention, answers.cohorts.table()),
        (Report::AbandonedCarts, answers.carts.table()),
    ] {
        page = report.section(page, table, &[], zone, LANG);
    }
    let reach = social.reach.mean.map_or("–".to_owned(), |reach| count(reach.trunc()));
    let charts = social.charts(LANG).into_iter().filter(|(name, _)| ["trend", "hours"].contains(name));
    page.section("Social posts")
        .figures([Figure::new("Posts", count(social.posts.len() as f64)), Figure::new("Average reach", reach)])
        .text(social.verdict(LANG))
        .charts(charts.map(|(_, chart)| chart))
        .section("Who will convert")
        .table(model.table(LANG))
        .charts(model.charts.clone())
        .section("Emails")
        // Not what this run did: the page of a second run is the same.
        .text(format!(
            "{sent} emails are in the folder mails; {} carts of the last 30 days have no known address. send_log.ndjson lists \
             who was sent what, when and with which outcome.",
            count(emails.unreachable as f64)
        ))
        .section("Where the numbers come from")
        .table(loaded.table(LANG))
        .footer("Made by `cargo run --release --example quickstart`; running it again changes nothing.")
        .render()
}

fn count(value: f64) -> String {
    LANG.number(value, Format::Integer)
}
