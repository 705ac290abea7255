//! The answers as one page, with their charts.

use super::Answer;
use mkt_connect::chart::{Column, Lang, Page, Table};
use mkt_warehouse::ColumnType;
use mkt_warehouse::report::Scope;

/// Rows of a table on the page.
const SHOWN: usize = 50;

pub(crate) fn render(answers: &[Answer], scope: &Scope, lang: Lang) -> String {
    let (title, period) = match lang {
        Lang::Fr => ("Analyse", "du {} au {} (exclu), fuseau {}"),
        _ => ("Analytics", "{} to {} (excluded), zone {}"),
    };
    let mut subtitle = period.to_owned();
    for part in [scope.from().to_rfc3339(), scope.until().to_rfc3339(), scope.zone().to_owned()] {
        subtitle = subtitle.replacen("{}", &part, 1);
    }
    let mut page = Page::new(title, lang).subtitle(subtitle);
    for answer in answers {
        page = page
            .section(answer.report.name())
            .text(answer.report.describe())
            .charts(answer.report.charts(&answer.table, lang))
            .table(table(answer, lang));
    }
    page.render()
}

fn table(answer: &Answer, lang: Lang) -> Table {
    let columns = answer.table.names().iter().zip(answer.table.columns()).map(|(name, column)| match column
        .column_type()
    {
        ColumnType::Int | ColumnType::Float | ColumnType::Decimal { .. } => Column::number(name),
        _ => Column::text(name),
    });
    let mut table = Table::new(columns);
    for row in 0..answer.table.rows().min(SHOWN) {
        table.push(answer.table.row(row).iter().map(ToString::to_string));
    }
    match answer.table.rows().checked_sub(SHOWN) {
        None | Some(0) => table,
        Some(more) => table.note(match lang {
            Lang::Fr => format!("… et {more} autres lignes"),
            _ => format!("… and {more} more rows"),
        }),
    }
}
