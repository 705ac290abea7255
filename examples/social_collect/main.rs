//! Collects posts and their metrics from a network, into a CSV file or a warehouse:
//! `META_TOKEN=… cargo run --release --example social_collect -- --network instagram --account 17841400000000000
//! --warehouse sqlite:shop.db`.

mod arguments;

use arguments::{Arguments, Network};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use mkt_connect::{ErrorKind, Secret};
use mkt_etl::social::PostLoader;
use mkt_examples::{Answer, Program, Step, say, warehouse};
use mkt_social::bluesky::{Bluesky, BlueskyBuilder};
use mkt_social::graph::{Graph, GraphBuilder};
use mkt_social::mastodon::{Mastodon, MastodonBuilder};
use mkt_social::{ReadPosts, Request, SocialSource, csv};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// The account is at its rate limit: what was read is stored, the rest can be read later.
const RATE_LIMITED: u8 = 3;

/// The result of a run, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Summary {
    network: &'static str,
    since: Option<DateTime<Utc>>,
    posts: usize,
    observations: usize,
    quarantined: u64,
    outside: u64,
    duplicates: u64,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    notes: Vec<String>,
}

impl Summary {
    fn text(&self) -> String {
        let Self { posts, quarantined, outside, notes, .. } = self;
        let notes: String = notes.iter().map(|note| format!("\n  {note}")).collect();
        format!("{posts} posts, {quarantined} quarantined, {outside} outside the period{notes}")
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("social_collect").run(run(arguments))
}

async fn run(arguments: Arguments) -> Step<Answer> {
    let source = source(&arguments)?;
    if arguments.plan {
        return Answer::json(&source.plan(&Request::all().page_size(100)));
    }
    let loader = match &arguments.warehouse {
        Some(url) => {
            let site = arguments.site.as_ref().unwrap_or(&arguments.account);
            let loader = PostLoader::open(
                warehouse::to_load(url, arguments.init).await?,
                source.name(),
                &arguments.account,
            );
            Some(loader.await?.site(site).zone(arguments.zone))
        }
        None => None,
    };
    let since = match (arguments.since, &loader) {
        (Some(since), _) => Some(since),
        (None, Some(loader)) => {
            let last = loader.last_complete().await?;
            last.map(|last| last - TimeDelta::days(i64::from(arguments.reread)))
        }
        (None, None) => None,
    };
    let (mut read, wait) = read(&*source, &Request::all().page_size(100).since(since)).await?;
    match (&loader, &arguments.out) {
        (Some(loader), _) => loader.load(&read, wait.is_none(), Utc::now()).await?,
        (None, Some(path)) => csv::write(path, &read)?,
        (None, None) => {}
    }
    let summary = Summary {
        network: source.name(),
        since,
        posts: read.posts.len(),
        observations: read.observations.len(),
        quarantined: read.tally.quarantined,
        outside: read.tally.outside,
        duplicates: read.tally.duplicates,
        complete: wait.is_none(),
        retry_after_seconds: wait.map(|wait| wait.as_secs()),
        notes: std::mem::take(&mut read.notes),
    };
    let answer = Answer::of(arguments.json, &summary, Summary::text)?;
    let Some(wait) = wait else { return Ok(answer) };
    let (network, minutes) = (summary.network, wait.as_secs().div_ceil(60));
    say(format_args!(
        "social_collect: rate limit of {network} reached; what was read is stored, come back in {minutes} minutes"
    ));
    Ok(answer.code(RATE_LIMITED))
}

/// Reads to the end, or to the rate limit: then with the time to wait.
async fn read(source: &dyn SocialSource, request: &Request) -> Step<(ReadPosts, Option<Duration>)> {
    let mut all = ReadPosts::default();
    let mut pages = source.open(request).await?;
    loop {
        match pages.next_page().await {
            Ok(None) => return Ok((all, None)),
            Ok(Some(page)) => all.add(page),
            Err(error) if error.kind() == ErrorKind::RateLimited => {
                return Ok((all, Some(error.retry_after().unwrap_or(Duration::from_secs(3600)))));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn source(arguments: &Arguments) -> Step<Box<dyn SocialSource>> {
    let Arguments { account, base_url, allow_http, .. } = arguments;
    Ok(match arguments.network {
        Network::Facebook => Box::new(graph(arguments, Graph::facebook_page)?),
        Network::Instagram => Box::new(graph(arguments, Graph::instagram)?),
        Network::Bluesky => {
            let builder = base_url.iter().fold(Bluesky::app_view(account), BlueskyBuilder::base_url);
            Box::new(allow_http.iter().fold(builder, BlueskyBuilder::allow_insecure_host).build()?)
        }
        Network::Mastodon => {
            let server = base_url
                .as_ref()
                .ok_or("--base-url is missing: the Mastodon server, https://mastodon.social")?;
            let token = Secret::from_env("MASTODON_TOKEN");
            let builder = token.into_iter().fold(Mastodon::builder(server, account), MastodonBuilder::token);
            Box::new(allow_http.iter().fold(builder, MastodonBuilder::allow_insecure_host).build()?)
        }
    })
}

fn graph(arguments: &Arguments, build: impl Fn(String, Secret) -> GraphBuilder) -> Step<Graph> {
    let token = match (Secret::from_env("META_TOKEN"), arguments.plan) {
        (Some(token), _) => token,
        // A plan makes no call, and needs no token.
        (None, true) => Secret::new("none"),
        (None, false) => return Err("META_TOKEN is not set: the access token".into()),
    };
    let builder = build(arguments.account.clone(), token);
    let builder = Secret::from_env("META_APP_SECRET").into_iter().fold(builder, GraphBuilder::app_secret);
    let builder = arguments.base_url.iter().fold(builder, GraphBuilder::base_url);
    let builder = arguments.allow_http.iter().fold(builder, GraphBuilder::allow_insecure_host);
    Ok(builder.version(&arguments.api_version).calls_per_hour(arguments.calls_per_hour).build()?)
}
