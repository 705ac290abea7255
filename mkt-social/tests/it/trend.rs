//! Rolling means against sums done by hand.

use chrono_tz::Europe::Paris;
use mkt_social::trend::trend;
use mkt_social::{Metric, Outcome};

use super::posts::{World, at, post};

fn world(posts: &[(&str, Option<u64>)]) -> World {
    let mut world = World::default();
    for (id, (instant, reach)) in posts.iter().enumerate() {
        world.add(post(id, "instagram", "photo", false, at(instant)), &[(Metric::Reach, *reach)]);
    }
    world
}

#[test]
fn window_rolls_over_local_days() {
    let world = world(&[
        ("2026-03-01T10:00:00Z", Some(10)),
        // 23:30 UTC is the next day in Paris.
        ("2026-03-01T23:30:00Z", Some(20)),
        ("2026-03-03T10:00:00Z", Some(60)),
        ("2026-03-03T11:00:00Z", None),
        ("2026-03-05T10:00:00Z", Some(6)),
    ]);
    let trend = trend(&world.sheet().measured(), Outcome::Reach, Paris, 2);
    let means: Vec<(String, Option<f64>, usize)> =
        trend.rolling.iter().map(|window| (window.day.to_string(), window.mean, window.n)).collect();
    assert_eq!(
        means,
        [
            ("2026-03-01".to_owned(), Some(10.0), 1),
            ("2026-03-02".to_owned(), Some(15.0), 2),
            ("2026-03-03".to_owned(), Some(40.0), 2),
            ("2026-03-04".to_owned(), Some(60.0), 1),
            ("2026-03-05".to_owned(), Some(6.0), 1),
        ]
    );
    assert_eq!((trend.posts.len(), trend.n_missing), (4, 1));
}

#[test]
fn long_gap_is_one_entry() {
    let world = world(&[("1995-03-01T10:00:00Z", Some(10)), ("2150-03-01T10:00:00Z", Some(20))]);
    let trend = trend(&world.sheet().measured(), Outcome::Reach, Paris, 3);
    let means: Vec<Option<f64>> = trend.rolling.iter().map(|window| window.mean).collect();
    assert_eq!(means, [Some(10.0), Some(10.0), Some(10.0), None, Some(20.0)]);
}

#[test]
fn interval_is_1_96_standard_errors_from_five_posts_up() {
    let posts: Vec<(&str, Option<u64>)> =
        [2, 4, 6, 8, 10].map(|reach| ("2026-03-01T10:00:00Z", Some(reach))).to_vec();
    let five = world(&posts);
    let trend_of =
        |world: &World| trend(&world.sheet().measured(), Outcome::Reach, Paris, 7).rolling[0].clone();
    // Mean 6, sample variance 10, standard error sqrt(10 / 5).
    let (low, high) = trend_of(&five).interval.unwrap();
    let half = 1.96 * 2.0_f64.sqrt();
    assert!((low - (6.0 - half)).abs() < 1e-12 && (high - (6.0 + half)).abs() < 1e-12);
    assert_eq!(trend_of(&world(&posts[..4])).interval, None);
}

#[test]
fn no_posts_have_an_empty_trend() {
    assert!(trend(&[], Outcome::Reach, Paris, 7).rolling.is_empty());
}
