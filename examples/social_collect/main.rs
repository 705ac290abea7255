//! Collects posts and how they are received from a network, into a CSV file or a warehouse:
//! `META_TOKEN=… cargo run --release --example social_collect -- --network instagram --account 17841400000000000
//! --warehouse sqlite:shop.db`.
//!
//! Posts are kept once, observations are added by every run, so that growth can be seen.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command-line program")]

mod arguments;
mod file;
mod warehouse;

use arguments::{Arguments, Into as To, Network};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use mkt_connect::{ErrorKind, Secret, sentence};
use mkt_social::source::bluesky::{BlueskyBuilder, BlueskySource};
use mkt_social::source::graph::{GraphBuilder, GraphSource};
use mkt_social::source::mastodon::{MastodonBuilder, MastodonSource};
use mkt_social::{Reception, Request, SocialSource};
use serde::Serialize;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use warehouse::Kept;

pub(crate) type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a run did.
#[derive(Debug, Serialize)]
struct Told {
    network: &'static str,
    /// Since when posts were asked for; null for all.
    since: Option<DateTime<Utc>>,
    posts: usize,
    observations: usize,
    quarantined: u64,
    outside: u64,
    duplicates: u64,
    /// Whether the source was read to its end.
    complete: bool,
    /// Where it was not: when to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

/// The account has used its calls: what was read is kept, and the rest is there later.
const COME_BACK: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("social_collect: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn source(arguments: &Arguments) -> Step<Box<dyn SocialSource>> {
    let account = arguments.account.as_str();
    let (base_url, insecure) = (arguments.base_url.as_deref(), arguments.allow_http.as_deref());
    Ok(match arguments.network {
        Network::Facebook => Box::new(graph(arguments, GraphSource::facebook_page)?),
        Network::Instagram => Box::new(graph(arguments, GraphSource::instagram)?),
        Network::Bluesky => {
            let builder =
                base_url.into_iter().fold(BlueskySource::app_view(account), BlueskyBuilder::base_url);
            Box::new(insecure.into_iter().fold(builder, BlueskyBuilder::allow_insecure_host).build()?)
        }
        Network::Mastodon => {
            let server = base_url.ok_or("--base-url says which Mastodon server: https://mastodon.social")?;
            let builder = MastodonSource::builder(server, account);
            let token = Secret::from_env("MASTODON_TOKEN");
            let builder = token.into_iter().fold(builder, MastodonBuilder::token);
            Box::new(insecure.into_iter().fold(builder, MastodonBuilder::allow_insecure_host).build()?)
        }
    })
}

fn graph(arguments: &Arguments, build: impl Fn(String, Secret) -> GraphBuilder) -> Step<GraphSource> {
    let token = match (Secret::from_env("META_TOKEN"), arguments.plan) {
        (Some(token), _) => token,
        // A plan makes no call, and needs no token.
        (None, true) => Secret::new("none"),
        (None, false) => return Err("META_TOKEN is not set: it holds the access token".into()),
    };
    let builder = build(arguments.account.clone(), token);
    let secret = Secret::from_env("META_APP_SECRET");
    let builder = secret.into_iter().fold(builder, GraphBuilder::app_secret);
    let builder = arguments.base_url.iter().fold(builder, GraphBuilder::base_url);
    let builder = arguments.allow_http.iter().fold(builder, GraphBuilder::allow_insecure_host);
    Ok(builder.version(&arguments.api_version).calls_per_hour(arguments.calls_per_hour).build()?)
}

async fn run(arguments: &Arguments) -> Step<ExitCode> {
    let source = source(arguments)?;
    if arguments.plan {
        println!("{}", serde_json::to_string(&source.plan(&Request::all().page_size(100)))?);
        return Ok(ExitCode::SUCCESS);
    }
    let kept = match arguments.into() {
        To::Warehouse(url) => Some(Kept::open(url, arguments, source.name()).await?),
        To::File(_) => None,
    };
    let reread = TimeDelta::days(i64::from(arguments.reread));
    let since = match (arguments.since, &kept) {
        (Some(since), _) => Some(since),
        (None, Some(kept)) => kept.last_complete().await?.map(|last| last - reread),
        (None, None) => None,
    };
    let request = Request { since, ..Request::all().page_size(100) };
    let (read, cut) = read(&*source, &request).await?;
    match (&kept, arguments.into()) {
        (Some(kept), _) => kept.add(&read, cut.is_none(), Utc::now()).await?,
        (None, To::File(path)) => file::write(path, &read)?,
        (None, To::Warehouse(_)) => {}
    }
    let told = Told {
        network: source.name(),
        since,
        posts: read.posts.len(),
        observations: read.observations.len(),
        quarantined: read.tally.quarantined,
        outside: read.tally.outside,
        duplicates: read.tally.duplicates,
        complete: cut.is_none(),
        retry_after_seconds: cut.map(|wait| wait.as_secs()),
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&told)?);
    } else {
        println!("{} posts, {} set aside, {} outside the period", told.posts, told.quarantined, told.outside);
    }
    let Some(wait) = cut else { return Ok(ExitCode::SUCCESS) };
    eprintln!(
        "social_collect: {} asks to slow down; what was read is kept, come back in {} minutes",
        told.network,
        wait.as_secs().div_ceil(60)
    );
    Ok(ExitCode::from(COME_BACK))
}

/// Reads to the end, or until the account has used its calls: then with the time to come back.
async fn read(source: &dyn SocialSource, request: &Request) -> Step<(Reception, Option<Duration>)> {
    let mut all = Reception::default();
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
