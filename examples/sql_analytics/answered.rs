//! What the reports answered: as text, as JSON and as a page to hand over.

use chrono_tz::Tz;
use mkt_connect::chart::{Lang, Page};
use mkt_examples::wrapped;
use mkt_warehouse::Table;
use mkt_warehouse::report::{Coverage, Gap, Report, Scope, Settings};
use serde::Serialize;

/// What a report answered; as JSON `{"report", "columns", "rows", "not_loaded"}`.
#[derive(Serialize)]
pub(crate) struct Answered {
    #[serde(rename = "report")]
    name: &'static str,
    #[serde(skip)]
    pub(crate) report: Report,
    #[serde(flatten)]
    pub(crate) table: Table,
    /// The stretches of days of the period that were not loaded: `{"site", "first", "last"}`.
    not_loaded: Vec<Gap>,
}

impl Answered {
    pub(crate) fn new(report: Report, table: Table, coverage: &Coverage) -> Self {
        Self { name: report.name(), report, table, not_loaded: coverage.gaps() }
    }
}

/// The question that all reports were asked.
pub(crate) struct Asked<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) settings: &'a Settings,
    pub(crate) coverage: &'a Coverage,
    pub(crate) lang: Lang,
    /// The folder that all rows are written into.
    pub(crate) csv: Option<&'a str>,
}

impl Asked<'_> {
    /// All answers as text.
    pub(crate) fn texts(&self, answers: &[Answered], rows: usize) -> String {
        let texts: Vec<String> = answers.iter().map(|one| self.text(one, rows)).collect();
        let is_cut = answers.iter().any(|one| one.table.rows() > rows) && self.csv.is_none();
        let more = self.lang.pick(
            "\n--csv DIR writes every row; --rows N shows more.\n",
            "\n--csv DIR écrit toutes les lignes ; --rows N en montre plus.\n",
        );
        texts.join("\n") + if is_cut { more } else { "" }
    }

    /// A report as text: its definition, what it assumes, and the first rows, with columns in words.
    fn text(&self, answered: &Answered, rows: usize) -> String {
        let (report, lang, colon) = (answered.report, self.lang, self.lang.pick(": ", " : "));
        let mut lines = vec![format!("== {report}{colon}{}", report.title(lang))];
        let indented =
            |text: &str| wrapped(text, 77).into_iter().map(|line| format!("   {line}")).collect::<Vec<_>>();
        lines.extend(indented(lang.pick(report.describe(), report.explain(lang))));
        for (name, value) in
            report.assumptions(self.scope, self.settings, lang).into_iter().chain(self.gaps())
        {
            lines.extend(indented(&format!("{name}{colon}{value}")));
        }
        if answered.table.is_empty() {
            lines.push(lang.pick("   no rows", "   aucune ligne").to_owned());
        } else {
            let table = report.table(&answered.table, self.zone(), lang, rows).to_string();
            lines.extend(table.lines().map(|line| format!("   {line}")));
        }
        lines.join("\n") + "\n"
    }

    /// All answers as one page.
    pub(crate) fn page(&self, answers: &[Answered]) -> String {
        let (scope, lang) = (self.scope, self.lang);
        let (first, last) = (lang.day(scope.first_day()), lang.day(scope.last_day()));
        let (title, period) = match lang {
            Lang::Fr => {
                ("Analyse d'audience", format!("du {first} au {last}, jours et heures de {}", scope.zone()))
            }
            _ => ("Web analytics", format!("{first} to {last}, days and hours of {}", scope.zone())),
        };
        let begun = Page::new(title, lang).subtitle(period);
        let colon = lang.pick(": ", " : ");
        let begun = self
            .gaps()
            .into_iter()
            .fold(begun, |page, (name, value)| page.text(format!("{name}{colon}{value}")));
        let sections = answers.iter().fold(begun, |page, Answered { report, table, .. }| {
            report.section(page, table, &report.assumptions(scope, self.settings, lang), self.zone(), lang)
        });
        let every = match self.csv {
            Some(folder) => {
                lang.pick(
                    "Every row is in the CSV files in ",
                    "Toutes les lignes sont dans les fichiers CSV de ",
                )
                .to_owned()
                    + folder
            }
            None => lang
                .pick(
                    "sql_analytics --csv DIR writes every row.",
                    "sql_analytics --csv DIR écrit toutes les lignes.",
                )
                .to_owned(),
        };
        sections
            .footer(every)
            .footer(lang.pick("Made by sql_analytics.", "Produit par sql_analytics."))
            .render()
    }

    fn gaps(&self) -> Option<(String, String)> {
        let gaps = self.coverage.words(self.lang)?;
        Some((
            self.lang
                .pick(
                    "not loaded, and no part of any number",
                    "jours non chargés, absents de tous les chiffres",
                )
                .to_owned(),
            gaps,
        ))
    }

    fn zone(&self) -> Tz {
        self.scope.zone().parse().unwrap_or(Tz::UTC)
    }
}
