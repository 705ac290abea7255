//! The whole marketing loop on one machine: `cargo run --release --example quickstart`.
//!
//! Each step is one function, here or in `mkt_examples`, and uses the crates as your own program would.

mod arguments;

use arguments::Arguments;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use clap::Parser;
use mkt_connect::Currency;
use mkt_connect::chart::Lang;
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::{Window, csv::CsvSource};
use mkt_examples::loading::Loads;
use mkt_examples::overview::{self, Answers, Emails, Overview, predict};
use mkt_examples::progress::Steps;
use mkt_examples::warehouse::Held;
use mkt_examples::{Answer, Context, Program, Step, file};
use mkt_social::best_time::Question;
use mkt_social::{Outcome, Request, SocialSourceExt, csv::Csv, report::Report as Social};
use mkt_warehouse::Sqlite;
use mkt_warehouse::report::{self, CartOptions, Coverage, HourOptions, Scope};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("quickstart").run(run(&arguments))
}

async fn run(arguments: &Arguments) -> Step<Answer> {
    let (data, out) = (arguments.data(), arguments.out.as_path());
    file::require_texts(&data, &arguments::FILES)?;
    let mut steps = Steps::new(7);
    file::make_private_folder(out)?;
    let database = out.join("mkt.sqlite");
    let in_database = || format!("cannot use {}", database.display());
    let warehouse = Arc::new(Sqlite::open(&database).await?);

    let loaded = load(arguments, &data, &warehouse, &mut steps).await.context(in_database)?;
    steps.begin("answer the four questions");
    let answers = answer(&warehouse, arguments).await.context(in_database)?;
    steps.done(&format!("{} sessions, {} events", answers.held.sessions, answers.held.events));

    steps.begin("read social posts");
    let posts = data.join("social_posts.csv");
    let cannot = || format!("cannot use {}", posts.display());
    let read = Csv::open(&posts, answers.held.last).read_sheet(&Request::all()).await.context(cannot)?;
    let question = Question::new(arguments.zone, Outcome::EngagementByReach).seed(arguments.seed);
    let social = Social::of(&read, &question);
    let hours = social.hours.as_ref().map_err(ToString::to_string).context(cannot)?;
    steps.done(&social.verdict(Lang::En));

    steps.begin("predict who converts");
    let model = predict(&data.join("user_behavior.csv"), &out.join("model.mkt"), arguments.seed)?;
    steps.done(&model.sentence());
    steps.begin("write emails");
    let emails = match arguments.sender() {
        Some(sender) => overview::write(&data, out, sender, &answers.carts.rows, answers.held.last).await?,
        None => Emails::default(),
    };
    steps.done(&emails.sentence());
    steps.begin("show");
    let path = out.join("report.html");
    let all = Overview { out, loaded, answers, social: &social, hours, model, emails };
    let redrawn = file::replace(&path, all.page(arguments.zone).as_bytes())?;
    steps.done(&path.display().to_string());
    warehouse.close().await;

    let changed = all.loaded.changed() || all.model.changed || all.emails.accepted > 0 || redrawn;
    let seconds = steps.seconds();
    Answer::of(arguments.json, &all.json(changed, seconds), |_| all.text(changed, seconds))
}

/// Reads the site's files and, for the demo, two windows of a recorded Matomo: a server on loopback that answers as a real
/// Matomo 5.0.2 did. For yours, replace `recorded.source()` by `Matomo::builder("https://…").token(…).site(1)`.
async fn load(a: &Arguments, data: &Path, warehouse: &Arc<Sqlite>, steps: &mut Steps) -> Step<Loads> {
    let site = CsvSource::builder(&a.site, a.zone)
        .sessions(data.join("sessions.csv"))
        .events(data.join("events.csv"))
        .customers(data.join("customers.csv"))
        .costs(data.join("costs.csv"))
        .currency(Currency::EUR)
        .build()?;
    let days = site.days().await?;
    let days = days.ok_or_else(|| format!("{}: no row in sessions.csv and events.csv", data.display()))?;
    let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap_or_default();
    let march = ("matomo_march", Window::days(day(3, 27), day(3, 31)));
    let windows = [march, ("matomo_october", Window::days(day(10, 24), day(10, 26)))];
    // The clock stands where the data ends: what is final does not depend on the day of the run.
    let recorded = windows.iter().filter(|_| a.recording()).map(|(_, window)| window.until);
    let midnight = recorded.fold(days.until, NaiveDate::max).and_time(NaiveTime::MIN);
    let now = midnight.and_local_timezone(a.zone).earliest();
    let now: DateTime<Utc> = now.ok_or("the data ends at an hour that does not exist")?.to_utc();

    let (mut matomo, mut shop) = (Loads::default(), Loads::default());
    steps.begin("read the visits of site 1 from Matomo, and load them");
    if a.recording() {
        let recorded = RecordedMatomo::start().await?;
        for (name, window) in windows {
            matomo.run(name, recorded.source().build()?, window, warehouse, now, steps).await?;
        }
        steps.done(&matomo.sentence());
    } else {
        steps.done("left out: --data reads your files and nothing else");
    }
    steps.begin("read the site's files, and load them");
    shop.run("shop", site, days, warehouse, now, steps).await?;
    steps.done(&shop.sentence());
    let (first, last) = (days.from.year().min(2026), days.until.year().max(2026));
    report::load_zone(warehouse.as_ref(), a.zone.name(), first, last, now).await?;
    matomo.extend(shop);
    Ok(matomo)
}

/// Asks about everything that was loaded. The last instant of the data is the clock: due emails do not depend on the day of
/// the run. Hours need 30 sessions to be ranked: one sale in one visit is not the best hour of the day.
async fn answer(warehouse: &Sqlite, arguments: &Arguments) -> Step<Answers> {
    let held = Held::by(warehouse).await?;
    let day = |at: DateTime<Utc>| at.with_timezone(&arguments.zone).date_naive();
    let (from, last) = (day(held.first), day(held.last));
    let scope = Scope::days(arguments.zone.name(), from, last.succ_opt().unwrap_or(last))?;
    let left = CartOptions { idle: Duration::from_secs(3600), now: Some(held.last) };
    Ok(Answers {
        from,
        held,
        conversion: report::conversion_by_channel(warehouse, &scope).await?,
        arpu: report::arpu(warehouse, &scope).await?,
        hours: report::top_hours(warehouse, &scope, HourOptions { hours: 5, minimum: 30 }).await?,
        cohorts: report::cohort_retention(warehouse, &scope).await?,
        days: report::daily_series(warehouse, &scope).await?,
        coverage: Coverage::of(warehouse, &scope).await?,
        carts: report::abandoned_carts(warehouse, &scope, left).await?,
    })
}
