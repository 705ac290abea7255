//! What the pictures must say.

use chrono_tz::Europe::Paris;
use mkt_connect::chart::Lang;
use mkt_social::best_time::{Question, Verdict, best_hours};
use mkt_social::charts::{hour_chart, trend_chart, verdict_sentence};
use mkt_social::trend::trend;
use mkt_social::{Metric, Outcome};

use super::best_time::{Noise, Planted, planted_world};

#[test]
fn the_hour_chart_names_its_denominator_zone_and_verdict() {
    let world = planted_world(400, Planted { hour: 18, lift: 2.0 }, Noise(0.2), 3);
    let hours = best_hours(&world.measured(), &Question::new(Paris, Outcome::EngagementByReach)).unwrap();
    assert_eq!(hours.verdict, Verdict::Clear);
    let english = hour_chart(&hours, Lang::En).svg();
    assert!(english.contains("<title>Engagement rate by reach by hour (Europe/Paris)</title>"));
    assert!(english.contains("Clear: 18:00 does better than other hours (p = 0.0005)."));
    assert!(english.contains("24 bars, 15 with a value. Highest: 18,"), "hours never tried have no value");
    let french = hour_chart(&hours, Lang::Fr).svg();
    assert!(french.contains("<title>Taux d&#39;engagement sur la portée par heure (Europe/Paris)</title>"));
    assert!(french.contains("Net : 18 h fait mieux que les autres heures (p = 0,0005)."));
}

#[test]
fn without_evidence_no_bar_stands_out() {
    let world = planted_world(200, Planted { hour: 18, lift: 1.0 }, Noise(0.5), 1);
    let hours = best_hours(&world.measured(), &Question::new(Paris, Outcome::EngagementByReach)).unwrap();
    assert_eq!(hours.verdict, Verdict::NoEvidence, "seed 1 is no false alarm");
    assert!(verdict_sentence(&hours, Lang::En).starts_with("No evidence that the hour matters"));
    // Bars that do not stand out are faint.
    let strong = "fill=\"#A9BACB\"";
    assert!(!hour_chart(&hours, Lang::En).svg().contains(strong));
}

#[test]
fn the_trend_chart_shows_posts_line_and_band() {
    let world = planted_world(200, Planted { hour: 18, lift: 1.0 }, Noise(0.3), 5);
    let trend = trend(&world.measured(), Outcome::Reach, Paris, 14);
    let svg = trend_chart(&trend, Lang::En).svg();
    assert!(svg.contains("<title>Reach over time</title>"));
    assert!(svg.contains("mean of 14 days") && svg.contains("<polygon") && svg.contains("<circle"));
    let known = world.measured().iter().filter(|post| post.value(Metric::Reach).known().is_some()).count();
    assert!(svg.contains(&format!("{known} posts, 0 without a value")));
}
