use super::*;
use chrono_tz::Europe::Paris;

fn hit(time: &str) -> Hit {
    Hit::new(time.parse().unwrap(), Paris)
}

fn visits(hits: &[Hit], rules: Rules) -> usize {
    sessionise(hits, &rules).into_iter().max().map_or(0, |last| last + 1)
}

/// One visitor's log with a case for every rule; the numbers are counted by hand from the vendors' pages.
fn log() -> Vec<Hit> {
    vec![
        // Exactly 30 minutes apart: one visit for Matomo and AT Internet, two for GA4.
        hit("2026-05-01T08:00:00Z"),
        hit("2026-05-01T08:30:00Z"),
        // A campaign 10 minutes later: another visit for Matomo only; the same campaign again is not.
        hit("2026-05-01T08:40:00Z").campaign(Some(7)),
        hit("2026-05-01T08:50:00Z").campaign(Some(7)),
        // Midnight in Paris is 22:00 UTC: another visit for Matomo only.
        hit("2026-05-01T21:55:00Z"),
        hit("2026-05-01T22:05:00Z"),
        // 30 minutes and a second: another visit for everybody.
        hit("2026-05-01T22:35:01Z"),
    ]
}

#[test]
fn presets_count_one_log_by_their_own_rules() {
    assert_eq!(visits(&log(), Rules::at_internet()), 3);
    assert_eq!(visits(&log(), Rules::ga4()), 4);
    assert_eq!(visits(&log(), Rules::matomo()), 5);
    assert_eq!(sessionise(&log(), &Rules::matomo()), [0, 0, 1, 1, 2, 3, 4]);
}

#[test]
fn options_change_one_rule_each() {
    let rules = Rules::default();
    assert_eq!(visits(&log(), rules.midnight(true)), 4);
    assert_eq!(visits(&log(), rules.campaign_change(true)), 4);
    assert_eq!(visits(&log(), rules.timeout(TimeDelta::minutes(5))), 7);
    let referred = [hit("2026-05-01T08:00:00Z"), hit("2026-05-01T08:01:00Z").referrer(Some(1))];
    assert_eq!(visits(&referred, rules), 1);
    assert_eq!(visits(&referred, rules.referrer_change(true)), 2);
}

#[test]
fn the_order_of_lines_does_not_matter() {
    let (forward, mut backward) = (log(), log());
    backward.reverse();
    let mut numbers = sessionise(&backward, &Rules::matomo());
    numbers.reverse();
    assert_eq!(numbers, sessionise(&forward, &Rules::matomo()));
}

#[test]
fn clock_changes_cut_no_visit_and_hide_no_gap() {
    // Spring in Paris: 01:50 and 03:10 on the wall are 20 minutes apart.
    let spring = [hit("2026-03-29T00:50:00Z"), hit("2026-03-29T01:10:00Z")];
    assert_eq!(visits(&spring, Rules::default()), 1);
    // Autumn: 02:55 and 02:05 on the wall are 10 minutes apart; 02:10 and 02:20 are an hour and ten.
    let autumn = [hit("2026-10-25T00:55:00Z"), hit("2026-10-25T01:05:00Z")];
    assert_eq!(visits(&autumn, Rules::default()), 1);
    let apart = [hit("2026-10-25T00:10:00Z"), hit("2026-10-25T01:20:00Z")];
    assert_eq!(visits(&apart, Rules::default()), 2);
}

#[test]
fn rules_are_named() {
    assert_eq!("at-internet".parse(), Ok(Rules::at_internet()));
    assert_eq!("Matomo".parse(), Ok(Rules::matomo()));
    assert_eq!(Rules::matomo().to_string(), "30 minutes, midnight, campaign change");
    assert!("urchin".parse::<Rules>().is_err());
}
