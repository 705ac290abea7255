//! What the pictures must say.

use chrono_tz::Europe::Paris;
use mkt_connect::chart::{Bar, Bars, Format, Lang};
use mkt_social::best_time::{Question, Verdict, best_hours};
use mkt_social::calendar::calendar;
use mkt_social::chart::{calendar_chart, group_chart, hour_chart, trend_chart, verdict_sentence};
use mkt_social::engagement::GroupBy;
use mkt_social::trend::trend;
use mkt_social::{Metric, Outcome};

use super::best_time::{Noise, Planted, planted_world};

#[test]
fn hour_chart_shows_denominator_zone_and_verdict() {
    let world = planted_world(400, Planted { hour: 18, lift: 2.0 }, Noise(0.2), 3);
    let hours =
        best_hours(&world.sheet().measured(), &Question::new(Paris, Outcome::EngagementByReach)).unwrap();
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
fn without_evidence_no_bar_is_highlighted() {
    let world = planted_world(200, Planted { hour: 18, lift: 1.0 }, Noise(0.5), 1);
    let hours =
        best_hours(&world.sheet().measured(), &Question::new(Paris, Outcome::EngagementByReach)).unwrap();
    assert_eq!(hours.verdict, Verdict::NoEvidence, "seed 1 is no false alarm");
    assert!(verdict_sentence(&hours, Lang::En).starts_with("No evidence that the hour matters"));
    // Bars that do not stand out are faint.
    let strong = "fill=\"#8293A6\"";
    assert!(!hour_chart(&hours, Lang::En).svg().contains(strong));
}

#[test]
fn trend_chart_shows_posts_line_and_band() {
    let world = planted_world(200, Planted { hour: 18, lift: 1.0 }, Noise(0.3), 5);
    let trend = trend(&world.sheet().measured(), Outcome::Reach, Paris, 14);
    let svg = trend_chart(&trend, Lang::En).svg();
    assert!(svg.contains("<title>Reach over time</title>"));
    assert!(svg.contains("mean of 14 days") && svg.contains("<polygon") && svg.contains("<circle"));
    let known =
        world.sheet().measured().iter().filter(|post| post.value(Metric::Reach).known().is_some()).count();
    assert!(svg.contains(&format!("{known} posts, 0 without a value")));
}

#[test]
fn calendar_chart_counts_posts_in_the_zone() {
    let mut world = super::posts::World::default();
    // Sunday 23:30 in UTC is Monday 00:30 in Paris.
    for (index, (time, reach)) in [
        ("2026-03-01T23:30:00Z", Some(100)),
        ("2026-03-08T23:10:00Z", Some(300)),
        ("2026-03-03T11:00:00Z", Some(50)),
        ("2026-03-04T11:00:00Z", None),
    ]
    .into_iter()
    .enumerate()
    {
        let post = super::posts::post(index, "facebook", "photo", false, super::posts::at(time));
        world.add(post, &[(Metric::Reach, reach)]);
    }
    let week = calendar(&world.sheet().measured(), Outcome::Reach, Paris);
    assert_eq!((week.cells[0][0].n, week.cells[0][0].mean), (2, Some(200.0)));
    assert_eq!((week.cells[1][12].n, week.cells[1][12].mean), (1, Some(50.0)));
    assert_eq!((week.n_missing, week.cells.iter().flatten().map(|cell| cell.n).sum::<usize>()), (1, 3));
    let svg = calendar_chart(&week, Lang::En).svg();
    assert!(svg.contains("<title>Reach by weekday and hour (Europe/Paris)</title>"));
    assert!(calendar_chart(&week, Lang::Fr).svg().contains("dim."));
}

#[test]
fn group_below_five_posts_has_no_interval() {
    let mut world = super::posts::World::default();
    for index in 0..9 {
        let kind = if index < 4 { "reel" } else { "photo" };
        let post =
            super::posts::post(index, "facebook", kind, false, super::posts::at("2026-03-01T12:00:00Z"));
        world.add(post, &[(Metric::Reach, Some(100 + index as u64))]);
    }
    let bars = group_chart(&world.sheet().measured(), GroupBy::Kind, Outcome::Reach, Lang::En);
    // The mean of 104 to 108, and 1.96 times its standard error of 0.7071.
    let photo =
        Bar::new("photo", Some(106.0)).count(5).interval(104.614_070_707_109_8, 107.385_929_292_890_2);
    let expected = Bars::new("Reach by type")
        .format(Format::Integer)
        .subtitle("mean and its 95 % interval")
        .bars([photo, Bar::new("reel", Some(101.5)).count(4)])
        .horizontal();
    assert_eq!(bars.svg(), expected.svg());
}
