//! The report as text for a terminal.

use std::fmt::Write;

use mkt_connect::chart::{Format, Lang};
use mkt_connect::table::cell::DateOrder;

use super::Report;
use crate::best_time::BestHours;
use crate::chart::format_of;
use crate::source::Findings;

/// Width of the longest bar.
const BAR_WIDTH: f64 = 32.0;
/// Quarantined rows that are listed.
const LISTED: usize = 10;

impl Report<'_> {
    /// The report as text, without a final line end.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        let mut text = String::new();
        let whole =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| lang.number(value, Format::Integer));
        let percent = |value: Option<f64>| {
            value.map_or("–".to_owned(), |value| lang.number(value, Format::Percent(2)))
        };
        self.write_rows(&mut text, lang);
        let _ = writeln!(
            text,
            "\n{}: {} ({} {}, n = {})",
            lang.pick("Average reach", "Portée moyenne"),
            whole(self.reach.mean),
            lang.pick("median", "médiane"),
            whole(self.reach.median),
            self.reach.n,
        );
        for rate in &self.rates {
            let _ = writeln!(
                text,
                "{}: {} {}, {} {} (n = {}, {} {})",
                lang.pick(rate.outcome.label(), rate.outcome.label_fr()),
                percent(rate.mean_of_ratios),
                lang.pick("mean of ratios", "moyenne des taux"),
                percent(rate.ratio_of_sums),
                lang.pick("ratio of sums", "taux des sommes"),
                rate.n,
                rate.n_missing,
                lang.pick("missing", "manquants"),
            );
        }
        let _ = writeln!(text, "\n{}", self.verdict(lang));
        if let Ok(hours) = &self.hours {
            write_hours(&mut text, hours, lang);
        }
        text.trim_end().to_owned()
    }

    /// The number of posts, and the first quarantined rows.
    fn write_rows(&self, text: &mut String, lang: Lang) {
        let (posts, quarantined) = (self.posts.len(), self.read.quarantined.len());
        let _ = writeln!(
            text,
            "{}",
            lang.pick(
                format!("{posts} posts, {quarantined} rows quarantined"),
                format!("{posts} publications, {quarantined} lignes écartées"),
            )
        );
        for row in self.read.quarantined.iter().take(LISTED) {
            let _ = writeln!(text, "  {} {}: {}", lang.pick("line", "ligne"), row.line, row.reason);
        }
        for line in findings(&self.read.findings, lang) {
            let _ = writeln!(text, "{line}");
        }
        for note in &self.read.notes {
            let _ = writeln!(text, "{note}");
        }
    }
}

/// What the source found out about its input, one line each.
pub(super) fn findings(findings: &Findings, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |english: String, french: String| lines.push(lang.pick(english, french));
    let Some(table) = &findings.table else { return lines };
    let list = |names: &[String]| match names.is_empty() {
        true => "–".to_owned(),
        false => names.join(", "),
    };
    if let Some(shape) = findings.shape {
        line(format!("export: {shape}"), format!("export : {shape}"));
    }
    let counted = list(&findings.interactions);
    line(format!("counted as interactions: {counted}"), format!("comptées comme interactions : {counted}"));
    if !findings.not_counted.is_empty() {
        let names = list(&findings.not_counted);
        line(
            format!("not counted, though they look like interactions: {names}"),
            format!("non comptées, bien qu'elles ressemblent à des interactions : {names}"),
        );
    }
    if !findings.empty.is_empty() {
        let names = list(&findings.empty);
        line(
            format!("empty in the whole file, taken as not supported: {names}"),
            format!("vides dans tout le fichier, donc non fournies : {names}"),
        );
    }
    for column in &table.columns {
        let Some(order) = &column.date_order else { continue };
        let (english, french) = match order.value {
            DateOrder::DayFirst => ("day", "le jour"),
            DateOrder::MonthFirst => ("month", "le mois"),
        };
        let (name, at) = (&column.name, order.line.map_or(0, |line| line));
        let (proof, preuve) = match at {
            0 => ("declared".to_owned(), "déclaré".to_owned()),
            line => (format!("proven on line {line}"), format!("prouvé à la ligne {line}")),
        };
        line(
            format!("dates of {name:?} begin with the {english} ({proof})"),
            format!("les dates de « {name} » commencent par {french} ({preuve})"),
        );
    }
    if findings.abbreviated > 0 {
        let cells = findings.abbreviated;
        line(
            format!("{cells} abbreviated numbers (1.8K) are rounded"),
            format!("{cells} nombres abrégés (1,8K) sont arrondis"),
        );
    }
    if findings.rounded_ids > 0 {
        let rows = findings.rounded_ids;
        line(
            format!(
                "{rows} ids were rounded by a spreadsheet (1.8E+16): posts are identified by time and content"
            ),
            format!(
                "{rows} identifiants arrondis par un tableur (1,8E+16) : l'heure et le contenu identifient les publications"
            ),
        );
    }
    if findings.without_ids {
        line(
            "no column of ids: posts are identified by time and content".to_owned(),
            "pas de colonne d'identifiants : l'heure et le contenu identifient les publications".to_owned(),
        );
    }
    if findings.times_in_utc {
        line(
            "times without an offset are UTC, as the name of their column says".to_owned(),
            "les heures sans décalage sont en UTC, comme le dit le nom de leur colonne".to_owned(),
        );
    }
    if findings.without_time_of_day {
        line(
            "dates without a time of day: hours are not compared".to_owned(),
            "dates sans heure : les heures ne sont pas comparées".to_owned(),
        );
    }
    lines
}

/// One line per hour: bar, estimate, interval, number of posts.
fn write_hours(text: &mut String, hours: &BestHours, lang: Lang) {
    let format = format_of(hours.outcome);
    let most = hours.hours.iter().filter_map(|hour| hour.high).fold(0.0, f64::max);
    for hour in &hours.hours {
        let _ = match (hour.estimate, hour.low, hour.high) {
            (Some(estimate), Some(low), Some(high)) => writeln!(
                text,
                "{:>3} h  {:<33}{} [{} – {}], n = {}",
                hour.hour,
                "█".repeat((estimate / most * BAR_WIDTH).round().clamp(0.0, BAR_WIDTH) as usize),
                lang.number(estimate, format),
                lang.number(low, format),
                lang.number(high, format),
                hour.n,
            ),
            _ => writeln!(text, "{:>3} h  {}", hour.hour, lang.pick("never tried", "jamais essayé")),
        };
    }
}
