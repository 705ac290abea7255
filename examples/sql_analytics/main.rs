//! Answers the course's questions, and others, from a warehouse:
//! `cargo run --release --example sql_analytics -- --warehouse sqlite:shop.db --report all`.
//!
//! The warehouse is opened read-only: a file that is asked about is never changed.

mod arguments;

use arguments::Arguments;
use chrono::Utc;
use clap::Parser;
use mkt_connect::ErrorKind;
use mkt_connect::chart::{Lang, Page};
use mkt_examples::{Answer, Program, Step, file, progress, warehouse, wrapped};
use mkt_warehouse::report::{Report, Scope, Settings, days_held, site_zone, sites};
use mkt_warehouse::{Dialect, Table, Warehouse};
use serde::Serialize;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("sql_analytics").interrupted("interrupted; nothing was written").run(run(&arguments))
}

async fn run(arguments: &Arguments) -> Step<Answer> {
    let reports = arguments.reports()?;
    let settings = arguments.settings(Utc::now());
    if let Some(engine) = arguments.print_sql {
        let dialect = match engine {
            Some(dialect) => dialect,
            None if arguments.warehouse.starts_with("sqlite:") => Dialect::Sqlite,
            None => Dialect::Postgres,
        };
        // The warehouse need not exist: what the options leave open then has values to try.
        let scope = match warehouse::to_read(&arguments.warehouse).await {
            Ok(warehouse) => Some(scope(warehouse.as_ref(), arguments).await?),
            Err(_) => arguments.scope_without_warehouse()?,
        };
        let sql = |report: &Report| match &scope {
            Some(scope) => report.sql_for(dialect, scope, &settings),
            None => Ok(report.sql(dialect)),
        };
        let texts: mkt_connect::Result<Vec<String>> = reports.iter().map(sql).collect();
        return Ok(Answer::text(texts?.join("\n")));
    }
    let warehouse = warehouse::to_read(&arguments.warehouse).await?;
    let scope = scope(warehouse.as_ref(), arguments).await?;
    let (mut answers, spinner) = (Vec::new(), progress::spinner(""));
    for report in reports {
        spinner.set_message(report.title(arguments.lang));
        let table = report.run_with(warehouse.as_ref(), &scope, &settings).await?;
        answers.push(Answered { name: report.name(), report, table });
    }
    spinner.finish_and_clear();
    if let Some(path) = &arguments.page {
        file::replace(path, page(&answers, &scope, &settings, arguments.lang).as_bytes())?;
    }
    if let Some(folder) = &arguments.csv {
        file::make_folder(folder)?;
        for Answered { report, table, .. } in &answers {
            file::replace(&folder.join(format!("{report}.csv")), &file::csv(table)?)?;
        }
    }
    match (arguments.json, answers.as_slice()) {
        (true, [one]) if arguments.report != "all" => Answer::json(one),
        (true, all) => Answer::json(&all),
        (false, all) => {
            let texts: Vec<String> = all.iter().map(|one| one.text(arguments, &scope, &settings)).collect();
            Ok(Answer::text(texts.join("\n")))
        }
    }
}

/// The part of the warehouse that is asked about: what the options say, else all that is there.
async fn scope(warehouse: &dyn Warehouse, arguments: &Arguments) -> Step<Scope> {
    let site = arguments.site.as_deref();
    if let Some(site) = site {
        let known = sites(warehouse).await?;
        if !known.iter().any(|one| one == site) {
            return Err(format!("unknown site {site:?}: expected {}", known.join(", ")).into());
        }
    }
    let zone = match arguments.zone {
        Some(zone) => zone,
        None => match site_zone(warehouse, site).await {
            Err(error) if error.kind() == ErrorKind::Input => {
                return Err(format!("{}; say --zone", mkt_connect::sentence(&error)).into());
            }
            found => found?.unwrap_or(chrono_tz::UTC),
        },
    };
    let held = match (arguments.from, arguments.to) {
        (Some(from), Some(to)) => Some((from, to)),
        _ => days_held(warehouse, site, zone).await?,
    };
    let (first, last) = held.ok_or("the warehouse holds neither sessions nor events")?;
    arguments.scope(zone, arguments.from.unwrap_or(first), arguments.to.unwrap_or(last))
}

/// What a report answered; as JSON `{"report", "columns", "rows"}`.
#[derive(Serialize)]
struct Answered {
    #[serde(rename = "report")]
    name: &'static str,
    #[serde(skip)]
    report: Report,
    #[serde(flatten)]
    table: Table,
}

impl Answered {
    fn text(&self, arguments: &Arguments, scope: &Scope, settings: &Settings) -> String {
        let lang = arguments.lang;
        let mut text = format!("== {}: {}\n", self.report, self.report.title(lang));
        let definition = lang.pick(self.report.describe(), self.report.explain(lang));
        for line in wrapped(definition, 77) {
            text += &format!("   {line}\n");
        }
        for (name, value) in self.report.assumptions(scope, settings, lang) {
            text += &format!("   {name}: {value}\n");
        }
        if self.table.is_empty() {
            return text + lang.pick("   no rows\n", "   aucune ligne\n");
        }
        for line in self.table.to_string().lines().take(arguments.rows + 1) {
            text += &format!("   {line}\n");
        }
        match self.table.rows().saturating_sub(arguments.rows) {
            0 => text,
            more => {
                text + &lang
                    .pick(format!("   … and {more} more rows\n"), format!("   … et {more} autres lignes\n"))
            }
        }
    }
}

fn page(answers: &[Answered], scope: &Scope, settings: &Settings, lang: Lang) -> String {
    let zone = scope.zone().parse().unwrap_or(chrono_tz::UTC);
    let (first, last) = (lang.day(scope.first_day()), lang.day(scope.last_day()));
    let (title, period) = match lang {
        Lang::Fr => {
            ("Analyse d'audience", format!("du {first} au {last}, jours et heures de {}", scope.zone()))
        }
        _ => ("Web analytics", format!("{first} to {last}, days and hours of {}", scope.zone())),
    };
    let begun = Page::new(title, lang).subtitle(period);
    let sections = answers.iter().fold(begun, |page, Answered { report, table, .. }| {
        report.section(page, table, &report.assumptions(scope, settings, lang), zone, lang)
    });
    sections.footer(lang.pick("Made by sql_analytics.", "Produit par sql_analytics.")).render()
}
