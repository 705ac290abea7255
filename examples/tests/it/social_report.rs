//! `social_report`, run as its users run it.

use crate::built::example;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(options: &[&str]) -> Output {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/social_posts.csv");
    Command::new(example("social_report")).arg("--posts").arg(data).args(options).output().unwrap()
}

#[test]
fn the_planted_best_hour_is_found_and_the_rates_say_how_they_were_averaged() {
    let output = run(&["--json", "--read-at", "2026-11-26T00:00:00Z"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let truth = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/truth.json");
    let truth: Value = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
    let hours = &told["best_hours"];
    assert_eq!(hours["verdict"], "clear");
    assert_eq!(hours["hours"][0]["hour"], truth["social"]["best_hour"]);
    assert_eq!(told["posts"], truth["social"]["posts"]);
    for name in ["by_reach", "by_impressions", "by_followers"] {
        let rate = &told["engagement_rate"][name];
        let (mean, ratio) =
            (rate["mean_of_ratios"].as_f64().unwrap(), rate["ratio_of_sums"].as_f64().unwrap());
        assert!((0.0..0.2).contains(&mean) && (0.0..0.2).contains(&ratio), "{name}: {rate}");
        assert_eq!(
            rate["n"].as_u64().unwrap() + rate["n_missing"].as_u64().unwrap(),
            told["posts"].as_u64().unwrap()
        );
    }
    // Computed by hand from the file: the sum of reach over the posts that tell it.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/social_posts.csv");
    let mut rows = csv::Reader::from_path(data).unwrap();
    let reach: Vec<f64> = rows.records().filter_map(|row| row.unwrap()[9].parse().ok()).collect();
    let mean = reach.iter().sum::<f64>() / reach.len() as f64;
    assert!((told["average_reach"].as_f64().unwrap() - mean).abs() < 1e-9 * mean);
}

#[test]
fn the_page_stands_alone_and_speaks_french() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["--lang", "fr", "--out", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Portée moyenne") && text.contains("jamais essayé"), "{text}");
    let page = fs::read_to_string(folder.path().join("social_report.html")).unwrap();
    assert!(page.contains("Meilleures heures de publication") && page.matches("<svg").count() >= 5);
    // Nothing is fetched: the only address is the name of SVG.
    assert_eq!(page.matches("://").count(), page.matches("http://www.w3.org/2000/svg").count());
    for name in ["trend", "hours", "week", "types", "spread", "networks"] {
        let svg = fs::read_to_string(folder.path().join(format!("{name}.svg"))).unwrap();
        assert!(svg.contains("<title>") && svg.contains("<desc>"), "{name}");
    }
}

#[test]
fn charts_are_written_as_bitmaps_too_where_the_build_can() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&["--png", "--out", folder.path().to_str().unwrap()]);
    if !cfg!(feature = "png") {
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains("--features png"), "{told}");
        return;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["trend", "hours", "week", "types", "networks"] {
        let picture = |file: String| {
            let bytes = fs::read(folder.path().join(file)).unwrap();
            assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000, "{name}: {} bytes", bytes.len());
            bytes
        };
        assert_ne!(picture(format!("{name}.png")), picture(format!("{name}_dark.png")), "{name}");
    }
}

#[test]
fn a_file_that_is_not_there_is_said_in_one_line() {
    let output = Command::new(example("social_report")).args(["--posts", "nowhere.csv"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.lines().count() == 1, "{told}");
    assert!(told.starts_with("social_report: nowhere.csv"), "{told}");
}

/// A file of ambiguous dates: exit code 3 with the option; with the option it is read.
#[test]
fn rows_that_are_all_quarantined_exit_with_3_and_name_the_option() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mkt-social/tests/cases/us_dates_le12.csv");
    let run = |options: &[&str]| {
        Command::new(example("social_report")).arg("--posts").arg(&file).args(options).output().unwrap()
    };
    let output = run(&["--json"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--time-format day-first or month-first"));
    let output = run(&["--json", "--time-format", "month-first", "--map", "Shares=ignored"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["posts"]), (Some(0), &29.into()));
    assert_eq!(answer["findings"]["interactions"], serde_json::json!(["Likes", "Comments"]));
    assert_eq!(answer["findings"]["not_counted"], serde_json::json!(["Shares"]));
    let text = String::from_utf8(run(&["--day-first"]).stdout).unwrap();
    assert!(text.contains("counted as interactions: Likes, Comments, Shares"), "{text}");
}
