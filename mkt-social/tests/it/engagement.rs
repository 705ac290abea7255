//! Rates and averages against sums done by hand.

use mkt_social::engagement::{
    ByFollowers, ByImpressions, ByReach, GroupBy, average_reach, engagement_rate, groups, spread,
};
use mkt_social::{Metric, Outcome, interactions};

use super::posts::{World, at, post};

use Metric::{Comments, Followers, Impressions, Likes, Reach, Saves, Shares};

/// Three usable posts (rates 10 %, 5 %, 1 %), one without reach, one seen by nobody, one without saves.
fn world() -> World {
    let mut world = World::default();
    type Row = (&'static str, bool, [Option<u64>; 4], Option<u64>);
    let rows: [Row; 6] = [
        ("photo", false, [Some(80), Some(10), Some(5), Some(5)], Some(1000)),
        ("reel", false, [Some(10), Some(0), Some(0), Some(0)], Some(200)),
        ("photo", true, [Some(70), Some(10), Some(10), Some(10)], Some(10_000)),
        ("photo", false, [Some(9), Some(1), Some(0), Some(0)], None),
        ("photo", false, [Some(1), Some(0), Some(0), Some(0)], Some(0)),
        ("reel", false, [Some(50), Some(1), Some(1), None], Some(100)),
    ];
    for (id, (kind, paid, [likes, comments, shares, saves], reach)) in rows.into_iter().enumerate() {
        let post = post(id, "instagram", kind, paid, at("2026-03-01T10:00:00Z"));
        let impressions = reach.map(|reach| reach * 2);
        let values = [
            (Likes, likes),
            (Comments, comments),
            (Shares, shares),
            (Saves, saves),
            (Reach, reach),
            (Impressions, impressions),
            (Followers, Some(4000)),
        ];
        world.add(post, &values);
    }
    world
}

fn close(value: Option<f64>, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() < 1e-12, "{value} is not {expected}");
}

#[test]
fn mean_of_ratios_ratio_of_sums_and_median_differ() {
    let world = world();
    let rate = engagement_rate::<ByReach>(&world.sheet().measured());
    close(rate.mean_of_ratios, (0.10 + 0.05 + 0.01) / 3.0);
    close(rate.ratio_of_sums, 210.0 / 11_200.0);
    close(rate.median_of_ratios, 0.05);
    assert_eq!((rate.n, rate.n_missing), (3, 3));
    assert_eq!(rate.counted, [Likes, Comments, Shares, Saves]);
}

#[test]
fn each_denominator_has_its_label_and_value() {
    let world = world();
    let sheet = world.sheet();
    let posts = sheet.measured();
    let by_impressions = engagement_rate::<ByImpressions>(&posts);
    close(by_impressions.ratio_of_sums, 210.0 / 22_400.0);
    assert_eq!(by_impressions.label, "Engagement rate by impressions");
    // Followers are known for every post; only the one without saves has no numerator.
    let by_followers = engagement_rate::<ByFollowers>(&posts);
    close(by_followers.ratio_of_sums, (100.0 + 10.0 + 100.0 + 10.0 + 1.0) / 20_000.0);
    assert_eq!((by_followers.n, by_followers.n_missing), (5, 1));
    assert_eq!(by_followers.label, "Engagement rate by followers");
}

#[test]
fn average_reach_counts_zero_but_not_missing() {
    let world = world();
    let average = average_reach(&world.sheet().measured());
    close(average.mean, (1000.0 + 200.0 + 10_000.0 + 0.0 + 100.0) / 5.0);
    close(average.median, 200.0);
    assert_eq!((average.n, average.n_missing), (5, 1));
}

#[test]
fn median_of_an_even_count_is_the_midpoint() {
    let world = world();
    let sheet = world.sheet();
    let posts: Vec<_> = sheet.measured().into_iter().take(2).collect();
    close(average_reach(&posts).median, 600.0);
}

#[test]
fn groups_contain_every_post_once() {
    let world = world();
    let sheet = world.sheet();
    let posts = sheet.measured();
    for (by, expected) in [
        (GroupBy::Kind, vec![("photo", 4), ("reel", 2)]),
        (GroupBy::Paid, vec![("organic", 5), ("paid", 1)]),
        (GroupBy::Network, vec![("instagram", 6)]),
    ] {
        let groups = groups(&posts, by);
        let sizes: Vec<(&str, usize)> =
            groups.iter().map(|(name, posts)| (name.as_str(), posts.len())).collect();
        assert_eq!(sizes, expected);
    }
}

#[test]
fn unsupported_interaction_is_skipped_but_a_blank_makes_the_sum_unknown() {
    let mut world = World::default();
    let instant = at("2026-03-01T10:00:00Z");
    world.add(post(1, "facebook", "photo", false, instant), &[(Likes, Some(3)), (Comments, Some(2))]);
    world.add(post(2, "facebook", "photo", false, instant), &[(Likes, Some(3)), (Comments, None)]);
    world.add(post(3, "facebook", "photo", false, instant), &[(Reach, Some(10))]);
    let sums: Vec<Option<u64>> = world.sheet().measured().iter().map(interactions).collect();
    assert_eq!(sums, [Some(5), None, None]);
}

#[test]
fn no_posts_have_no_average() {
    let rate = engagement_rate::<ByReach>(&[]);
    assert_eq!((rate.mean_of_ratios, rate.ratio_of_sums, rate.median_of_ratios), (None, None, None));
    assert_eq!(average_reach(&[]).mean, None);
}

#[test]
fn newest_observation_of_a_post_counts() {
    let mut world = World::default();
    let instant = at("2026-03-01T10:00:00Z");
    let post = post(1, "facebook", "photo", false, instant);
    world.add(post.clone(), &[(Reach, Some(10))]);
    for (days, reach) in [(60, 30), (45, 20)] {
        let mut later = super::posts::observed(&post, &[(Reach, Some(reach))]);
        later.observed_at = instant + chrono::TimeDelta::days(days);
        world.observations.push(later);
    }
    assert_eq!(Outcome::Reach.of(&world.sheet().measured()[0]), Some(30.0));
}

#[test]
fn posts_are_grouped_by_hashtag_and_text_length() {
    let texts = [
        Some("#Thé vert #promo".to_owned()),
        Some("le #thé, encore le #THÉ".to_owned()),
        Some("rien".to_owned()),
        None,
        Some("é".repeat(80)),
        Some("é".repeat(81)),
        Some("é".repeat(281)),
    ];
    let mut world = World::default();
    for (index, text) in texts.into_iter().enumerate() {
        let mut post = post(index, "facebook", "photo", false, at("2026-03-01T12:00:00Z"));
        post.text = text;
        world.add(post, &[(Metric::Reach, Some(1))]);
    }
    let sizes = |by| -> Vec<(String, usize)> {
        groups(&world.sheet().measured(), by).into_iter().map(|(name, posts)| (name, posts.len())).collect()
    };
    let named = |pairs: &[(&str, usize)]| -> Vec<(String, usize)> {
        pairs.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    };
    assert_eq!(sizes(GroupBy::Hashtag), named(&[("none", 5), ("promo", 1), ("thé", 2)]));
    assert_eq!(sizes(GroupBy::Length), named(&[("0", 1), ("1–80", 4), ("81–160", 1), ("281 and more", 1)]));
}

#[test]
fn the_spread_of_a_group_has_the_quantiles_of_numpy() {
    let mut world = World::default();
    for (id, reach) in [3, 8, 1, 20, 100, 7, 7, 12].into_iter().map(Some).chain([None]).enumerate() {
        world
            .add(post(id, "facebook", "photo", false, at("2026-03-01T12:00:00Z")), &[(Metric::Reach, reach)]);
    }
    world.add(post(90, "facebook", "reel", false, at("2026-03-01T12:00:00Z")), &[(Metric::Reach, Some(5))]);
    world.add(post(91, "facebook", "story", false, at("2026-03-01T12:00:00Z")), &[(Metric::Reach, None)]);
    let sheet = world.sheet();
    let spreads = spread(&sheet.measured(), GroupBy::Kind, Outcome::Reach);
    let told: Vec<(&str, usize, usize)> =
        spreads.iter().map(|spread| (spread.group.as_str(), spread.n, spread.n_missing)).collect();
    assert_eq!(told, [("photo", 8, 1), ("reel", 1, 0), ("story", 0, 1)]);
    // numpy.quantile([3, 8, 1, 20, 100, 7, 7, 12], [.05, .25, .5, .75, .95])
    let expected = [1.7, 6.0, 7.5, 14.0, 72.0];
    for (got, expected) in spreads[0].quantiles.unwrap().into_iter().zip(expected) {
        close(Some(got), expected);
    }
    assert_eq!((spreads[1].quantiles, spreads[2].quantiles), (Some([5.0; 5]), None));
}
