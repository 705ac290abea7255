//! Reading posts from CSV into columns, and measuring them: `cargo bench --bench social`.

#![allow(clippy::expect_used, reason = "a bench without its data has nothing to measure")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use mkt_social::best_time::{Question, best_hours};
use mkt_social::csv::Csv;
use mkt_social::engagement::{ByReach, engagement_rate};
use mkt_social::trend::trend;
use mkt_social::{Outcome, Request, Sheet, SocialSourceExt};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::runtime::{Builder, Runtime};

const POSTS: u32 = 50_000;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_default()
}

/// Two years of posts on two networks.
fn text() -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut text =
        String::from("post_id,platform,published_at,type,text,likes,comments,shares,saves,reach,paid\n");
    let first = instant("2024-01-01T00:00:00Z");
    for id in 0..POSTS {
        let at = first + TimeDelta::seconds(random.random_range(0..2 * 365 * 86_400));
        let network = ["facebook", "instagram"][random.random_range(0..2)];
        let kind = ["photo", "reel", "video", "link"][random.random_range(0..4)];
        let reach: u32 = random.random_range(500..20_000);
        let likes = reach / random.random_range(15..60);
        let at = at.format("%Y-%m-%dT%H:%M:%SZ");
        let _ = writeln!(
            text,
            "p{id},{network},{at},{kind},Publication number {id},{likes},{},{},{},{reach},{}",
            likes / 10,
            likes / 12,
            likes / 15,
            random.random::<f64>() < 0.1,
        );
    }
    text
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn source() -> Csv {
    Csv::from_bytes(text(), instant("2026-11-01T00:00:00Z"))
}

fn read(source: &Csv, runtime: &Runtime, sheet: Sheet) -> Sheet {
    let read = runtime.block_on(source.read_into(&Request::all(), sheet));
    read.expect("posts that can be read").sheet
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .throughput(Throughput::Elements(POSTS.into()))
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    group
}

fn reading(criterion: &mut Criterion) {
    let (source, runtime) = (source(), runtime());
    let mut group = group(criterion, "social/read");
    group.bench_function("columns", |bench| {
        bench.iter(|| black_box(read(&source, &runtime, Sheet::without_details())));
    });
    group.bench_function("columns with texts", |bench| {
        bench.iter(|| black_box(read(&source, &runtime, Sheet::new())));
    });
    group.bench_function("pages of posts", |bench| {
        bench.iter(|| black_box(runtime.block_on(source.read_all(&Request::all())).is_ok()));
    });
    group.finish();
}

fn measuring(criterion: &mut Criterion) {
    let sheet = read(&source(), &runtime(), Sheet::without_details());
    let posts = sheet.measured();
    let zone = chrono_tz::Europe::Paris;
    let mut group = group(criterion, "social/measure");
    group.bench_function("engagement rate", |bench| {
        bench.iter(|| black_box(engagement_rate::<ByReach>(&posts)));
    });
    group.bench_function("trend", |bench| {
        bench.iter(|| black_box(trend(&posts, Outcome::EngagementByReach, zone, 28)));
    });
    group.bench_function("best hours", |bench| {
        bench
            .iter(|| black_box(best_hours(&posts, &Question::new(zone, Outcome::EngagementByReach)).is_ok()));
    });
    group.finish();
}

criterion_group!(benches, reading, measuring);
criterion_main!(benches);
