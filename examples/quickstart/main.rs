//! The whole marketing loop on one machine: `cargo run --release --example quickstart`.
//!
//! Each step is one function, here or in a file beside this one, and uses the crates as your own program would.

mod arguments;
mod emails;
mod load;
mod page;
mod predict;
mod summary;

use arguments::Arguments;
use chrono::{DateTime, NaiveDate, Utc};
use clap::Parser;
use mkt_connect::chart::{Chart, Lang};
use mkt_examples::progress::Steps;
use mkt_examples::{Answer, Context, Program, Step, file};
use mkt_social::best_time::{BestHours, Question, best_hours};
use mkt_social::csv::Csv;
use mkt_social::{Outcome, ReadSheet, Request, SocialSourceExt};
use mkt_warehouse::report::{self, AbandonedCart, Arpu, CartOptions, ChannelConversion, CohortMonth, Day};
use mkt_warehouse::report::{HourConversion, HourOptions, Scope};
use mkt_warehouse::{ColumnType, Query, Sqlite, Warehouse};
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
    arguments::check(&data)?;
    let mut steps = Steps::new(7);
    file::make_private_folder(out)?;
    let database = out.join("mkt.sqlite");
    let in_database = || format!("cannot use {}", database.display());
    let warehouse = Arc::new(Sqlite::open(&database).await?);

    let loaded =
        load::load(arguments, &data, Arc::clone(&warehouse), &mut steps).await.context(in_database)?;
    steps.begin("answer the four questions");
    let answers = answer(warehouse.as_ref(), arguments).await.context(in_database)?;
    steps.done(&format!("{} sessions, {} events", answers.sessions, answers.events));
    steps.begin("read social posts");
    let social = social(&data.join("social_posts.csv"), arguments, answers.now).await?;
    steps.done(&social.sentence);
    steps.begin("predict who converts");
    let model = predict::predict(&data.join("user_behavior.csv"), &out.join("model.mkt"), arguments.seed)?;
    steps.done(&model.sentence());
    steps.begin("write emails");
    let emails = emails::write(arguments, &data, &answers.carts.rows, answers.now).await?;
    steps.done(&emails.sentence());
    steps.begin("show");
    let path = out.join("report.html");
    let page = page::render(arguments, &loaded, &answers, &social, &model, &emails);
    let redrawn = file::replace(&path, page.as_bytes())?;
    steps.done(&path.display().to_string());
    warehouse.close().await;

    let changed = loaded.changed() || model.changed || emails.accepted > 0 || redrawn;
    let all =
        summary::All { arguments, loaded, answers, social, model, emails, changed, seconds: steps.seconds() };
    drop(steps);
    Answer::of(arguments.json, &all.json(), |_| all.text())
}

/// What the warehouse answered.
struct Answers {
    from: NaiveDate,
    now: DateTime<Utc>,
    sessions: i64,
    events: i64,
    conversion: report::Answer<ChannelConversion>,
    arpu: report::Answer<Arpu>,
    hours: report::Answer<HourConversion>,
    cohorts: report::Answer<CohortMonth>,
    days: report::Answer<Day>,
    carts: report::Answer<AbandonedCart>,
}

/// Asks about everything that was loaded. The last instant of the data is the clock: due emails do not depend on the day of
/// the run. Hours need 30 sessions to be ranked: one sale in one visit is not the best hour of the day.
async fn answer(warehouse: &Sqlite, arguments: &Arguments) -> Step<Answers> {
    let query = Query::new(
        "select min(start_time) as first, max(end_time) as last, sum(is_session) as sessions, sum(1 - is_session) as events \
         from (select start_time, end_time, 1 as is_session from sessions \
         union all select timestamp, timestamp, 0 from events) spans",
    );
    let query = query.column("first", ColumnType::Timestamp).column("last", ColumnType::Timestamp);
    let held = query.column("sessions", ColumnType::Int).column("events", ColumnType::Int);
    let held = warehouse.query(&held).await?;
    let (first, now): (DateTime<Utc>, DateTime<Utc>) = (held.read(0, "first")?, held.read(0, "last")?);
    let day = |at: DateTime<Utc>| at.with_timezone(&arguments.zone).date_naive();
    let scope = Scope::days(arguments.zone.name(), day(first), day(now).succ_opt().unwrap_or(day(now)))?;
    Ok(Answers {
        from: day(first),
        now,
        sessions: held.read(0, "sessions")?,
        events: held.read(0, "events")?,
        conversion: report::conversion_by_channel(warehouse, &scope).await?,
        arpu: report::arpu(warehouse, &scope).await?,
        hours: report::top_hours(warehouse, &scope, HourOptions { hours: 5, minimum: 30 }).await?,
        cohorts: report::cohort_retention(warehouse, &scope).await?,
        days: report::daily_series(warehouse, &scope).await?,
        carts: report::abandoned_carts(
            warehouse,
            &scope,
            CartOptions { idle: Duration::from_secs(3600), now: Some(now) },
        )
        .await?,
    })
}

/// How the posts were received, and whether the hour matters.
struct Social {
    read: ReadSheet,
    hours: BestHours,
    sentence: String,
    charts: Vec<Chart>,
}

async fn social(path: &Path, arguments: &Arguments, read_at: DateTime<Utc>) -> Step<Social> {
    let cannot = || format!("cannot use {}", path.display());
    let read = Csv::open(path, read_at).read_sheet(&Request::all()).await.context(cannot)?;
    let (posts, outcome) = (read.sheet.measured(), Outcome::EngagementByReach);
    let question = Question::new(arguments.zone, outcome).seed(arguments.seed);
    let hours = best_hours(&posts, &question).context(cannot)?;
    let weeks = mkt_social::trend::trend(&posts, outcome, arguments.zone, 28);
    use mkt_social::chart::{hour_chart, trend_chart, verdict_sentence};
    let charts = vec![trend_chart(&weeks, Lang::En).into(), hour_chart(&hours, Lang::En).into()];
    Ok(Social { sentence: verdict_sentence(&hours, Lang::En), read, hours, charts })
}
