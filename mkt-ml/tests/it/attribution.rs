//! Credits against closed forms and sums done by hand; independence of rows, names, threads and days.

use std::{num::NonZeroUsize, time::Duration};

use mkt_ml::attribution::{
    AttributionError, Bootstrap, Credits, Game, Model, Outcome, Paths, Repeats, Tally, combinations,
};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

const MARKOV: Model = Model::Markov { order: 1 };
const RATE: Model = Model::Shapley(Game::Rate { permutations: 200, seed: 5 });
const SHAPLEY: Model = Model::Shapley(Game::Conversions);

type Row = (&'static str, Outcome);

fn paths(rows: &[Row]) -> Paths {
    let mut paths = Paths::new();
    for (path, outcome) in rows {
        paths.add_text(path, *outcome).unwrap();
    }
    paths
}

fn credits(paths: &Paths, model: Model) -> Credits {
    let mut tally = Tally::of([model]).unwrap();
    tally.add(paths).unwrap();
    tally.credits().unwrap().remove(0)
}

fn sales(count: f64) -> Outcome {
    Outcome::converted(count)
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} where {expected} is right");
}

#[track_caller]
fn gives(credits: &Credits, expected: &[(&str, f64)]) {
    for (channel, conversions) in expected {
        close(credits.channel(channel).unwrap().conversions, *conversions);
    }
    let sum: f64 = credits.channels.iter().map(|credit| credit.conversions).sum();
    close(sum + credits.unattributed, credits.conversions);
}

/// The table of the issue: `a > b` sold once for 10; `a` once for 20, lost once; `b` lost twice.
fn small() -> Vec<Row> {
    vec![
        ("a > b", sales(1.0).value(10.0)),
        ("a", sales(1.0).value(20.0).nulls(1.0)),
        ("b", Outcome::lost(2.0)),
    ]
}

#[test]
fn markov_of_three_paths_is_the_closed_form() {
    let found = credits(&paths(&small()), MARKOV);
    close(found.probability.unwrap(), 2.0 / 5.0);
    gives(&found, &[("a", 8.0 / 7.0), ("b", 6.0 / 7.0)]);
    close(found.channel("a").unwrap().removal_effect.unwrap(), 2.0 / 3.0);
    close(found.channel("b").unwrap().removal_effect.unwrap(), 1.0 / 2.0);
    close(found.channel("a").unwrap().value.unwrap(), 21.0);
    close(found.channel("b").unwrap().value.unwrap(), 9.0);
}

#[test]
fn markov_channel_that_only_loses_gets_nothing_and_changes_nobody() {
    let mut rows = small();
    rows.push(("c", Outcome::lost(5.0)));
    let found = credits(&paths(&rows), MARKOV);
    gives(&found, &[("a", 8.0 / 7.0), ("b", 6.0 / 7.0), ("c", 0.0)]);
}

#[test]
fn markov_without_losses_and_over_a_loop() {
    let found = credits(&paths(&[("a > b", sales(1.0)), ("a", sales(1.0))]), MARKOV);
    gives(&found, &[("a", 4.0 / 3.0), ("b", 2.0 / 3.0)]);
    let found = credits(&paths(&[("a > b > a > c", sales(1.0))]), MARKOV);
    gives(&found, &[("a", 2.0 / 5.0), ("b", 1.0 / 5.0), ("c", 2.0 / 5.0)]);
}

#[test]
fn markov_of_search_and_mail_is_as_computed_by_hand() {
    let rows = [("GA", sales(2.0).nulls(1.0)), ("Mail", sales(1.0)), ("GA > Mail", sales(1.0))];
    let found = credits(&paths(&rows), MARKOV);
    close(found.probability.unwrap(), 0.8);
    close(found.channel("GA").unwrap().removal_effect.unwrap(), 0.75);
    close(found.channel("Mail").unwrap().removal_effect.unwrap(), 0.5);
    gives(&found, &[("GA", 2.4), ("Mail", 1.6)]);
}

#[test]
fn rules_share_a_path_as_their_definitions_say() {
    let day = |days: u64| Duration::from_secs(days * 86_400);
    let mut timed = Paths::new();
    let touches = [("a", day(14)), ("b", day(7)), ("a", day(7)), ("c", day(0)), ("direct", day(0))];
    timed.add_timed(touches, sales(1.0).value(31.0)).unwrap();
    let model = |model| credits(&timed, model);
    gives(&model(Model::First), &[("a", 1.0), ("direct", 0.0)]);
    gives(&model(Model::Last), &[("direct", 1.0)]);
    gives(&model(Model::LastNonDirect), &[("c", 1.0), ("direct", 0.0)]);
    gives(&model(Model::Linear), &[("a", 0.4), ("b", 0.2), ("c", 0.2), ("direct", 0.2)]);
    gives(&model(Model::U_SHAPED), &[("a", 0.4 + 0.2 / 3.0), ("b", 0.2 / 3.0), ("direct", 0.4)]);
    // a, b and the middle a, c, direct: the touch at 5 ÷ 2 is the middle one.
    gives(&model(Model::W_SHAPED), &[("a", 0.6), ("b", 0.05), ("c", 0.05), ("direct", 0.3)]);
    // 1/4, 1/2, 1/2, 1, 1: the sum is 13/4.
    let decay = model(Model::TIME_DECAY);
    gives(&decay, &[("a", 3.0 / 13.0), ("b", 2.0 / 13.0), ("c", 4.0 / 13.0), ("direct", 4.0 / 13.0)]);
    close(decay.channel("c").unwrap().value.unwrap(), 31.0 * 4.0 / 13.0);
    // 1/16, 1/8, 1/4, 1/2, 1: the sum is 31/16.
    let steps = model(Model::StepDecay { half_life: 1.0 });
    gives(&steps, &[("a", 5.0 / 31.0), ("b", 2.0 / 31.0), ("c", 8.0 / 31.0), ("direct", 16.0 / 31.0)]);

    let short = paths(&[("a > b", sales(1.0)), ("c", sales(1.0)), ("direct > direct", sales(1.0))]);
    let half = [("a", 0.5), ("b", 0.5), ("c", 1.0), ("direct", 1.0)];
    for model in [Model::U_SHAPED, Model::W_SHAPED, Model::Linear] {
        gives(&credits(&short, model), &half);
    }
    gives(&credits(&short, Model::LastNonDirect), &[("a", 0.0), ("b", 1.0), ("direct", 1.0)]);
}

#[test]
fn shapley_is_the_textbook_value() {
    // Conversions shared by the distinct channels of each path: 3 of a+b, 1 of a, 2 of b+c.
    let rows = [("a > b > a", sales(3.0)), ("a", sales(1.0).nulls(9.0)), ("c > b", sales(2.0).nulls(4.0))];
    let found = paths(&rows);
    gives(&credits(&found, SHAPLEY), &[("a", 2.5), ("b", 2.5), ("c", 1.0)]);
    // Rates of coalitions: a 1/10, b 0, c 0, ab 4/13, ac 1/10, bc 1/3, abc 6/19; all 19 paths times the mean contribution.
    let v = |s: &str| match s {
        "a" | "ac" => 0.1,
        "ab" => 4.0 / 13.0,
        "bc" => 1.0 / 3.0,
        "abc" => 6.0 / 19.0,
        _ => 0.0,
    };
    let phi = |i: &str, j: &str, k: &str, ij: &str, ik: &str, jk: &str| {
        19.0 * (v(i) / 3.0 + (v(ij) - v(j)) / 6.0 + (v(ik) - v(k)) / 6.0 + (v("abc") - v(jk)) / 3.0)
    };
    gives(
        &credits(&found, RATE),
        &[
            ("a", phi("a", "b", "c", "ab", "ac", "bc")),
            ("b", phi("b", "a", "c", "ab", "bc", "ac")),
            ("c", phi("c", "a", "b", "ac", "bc", "ab")),
        ],
    );
}

/// Random paths over `channels` channels named by `name`.
fn random(
    seed: u64,
    channels: usize,
    rows: usize,
    name: impl Fn(usize) -> String,
) -> Vec<(Vec<String>, Outcome)> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..rows)
        .map(|_| {
            let path =
                (0..random.random_range(1..7)).map(|_| name(random.random_range(0..channels))).collect();
            let outcome = if random.random_bool(0.4) {
                sales(f64::from(random.random_range(1..4_u8)) / 2.0)
                    .value(f64::from(random.random_range(1..900_u16)) / 100.0)
            } else {
                Outcome::lost(1.0)
            };
            (path, outcome)
        })
        .collect()
}

fn of_rows(rows: &[(Vec<String>, Outcome)]) -> Paths {
    let mut paths = Paths::new();
    for (path, outcome) in rows {
        paths.add(path, *outcome).unwrap();
    }
    paths
}

fn all() -> Vec<Model> {
    vec![
        Model::First,
        Model::Last,
        Model::LastNonDirect,
        Model::Linear,
        Model::StepDecay { half_life: 2.0 },
        Model::U_SHAPED,
        Model::W_SHAPED,
        MARKOV,
        Model::Markov { order: 3 },
        SHAPLEY,
        RATE,
    ]
}

fn answers(paths: &Paths) -> Vec<Credits> {
    let mut tally = Tally::of(all()).unwrap();
    tally.add(paths).unwrap();
    tally.credits().unwrap()
}

#[test]
fn credits_add_up_to_conversions_and_values_under_every_model() {
    for seed in 0..20 {
        let rows = random(seed, 3 + seed as usize % 9, 200, |at| format!("channel {at}"));
        let conversions: f64 = rows.iter().filter(|row| row.1 != Outcome::lost(1.0)).count() as f64;
        for credits in answers(&of_rows(&rows)) {
            assert!(credits.conversions >= conversions / 2.0);
            let sum: f64 = credits.channels.iter().map(|credit| credit.conversions).sum();
            close(sum / credits.conversions, 1.0);
            let value: f64 = credits.channels.iter().map(|credit| credit.value.unwrap()).sum();
            close(value / credits.value.unwrap(), 1.0);
        }
    }
}

#[test]
fn no_bit_depends_on_the_order_of_rows_on_days_or_on_names() {
    for channels in [5, 23] {
        let mut rows = random(11, channels, 400, |at| format!("{at:03}"));
        let found = answers(&of_rows(&rows));
        let mut shuffle = Xoshiro256PlusPlus::seed_from_u64(3);
        rows.shuffle(&mut shuffle);
        assert_eq!(answers(&of_rows(&rows)), found, "rows in another order");

        // Days: merged as tallies, as paths, and through their saved text.
        let mut by_day = Tally::of(all()).unwrap();
        let mut merged = Paths::new();
        for day in rows.chunks(57) {
            by_day.add(&of_rows(day)).unwrap();
            let text = serde_json::to_string(&by_day).unwrap();
            by_day = serde_json::from_str(&text).unwrap();
            merged.merge(&of_rows(day)).unwrap();
        }
        assert_eq!(by_day.credits().unwrap(), found, "a day at a time");
        let merged: Paths = serde_json::from_str(&serde_json::to_string(&merged).unwrap()).unwrap();
        assert_eq!(answers(&merged), found, "merged paths");

        // Names that sort the other way round.
        let renamed: Vec<_> = rows
            .iter()
            .map(|(path, outcome)| {
                (
                    path.iter().map(|name| format!("x{}", 999 - name.parse::<usize>().unwrap())).collect(),
                    *outcome,
                )
            })
            .collect();
        for (renamed, found) in answers(&of_rows(&renamed)).iter().zip(&found) {
            for credit in &found.channels {
                let name = format!("x{}", 999 - credit.channel.parse::<usize>().unwrap());
                let other = renamed.channel(&name).unwrap();
                assert_eq!(other.conversions.to_bits(), credit.conversions.to_bits(), "{}", found.model);
                assert_eq!(
                    other.value.unwrap().to_bits(),
                    credit.value.unwrap().to_bits(),
                    "{}",
                    found.model
                );
            }
        }
    }
}

#[test]
fn repeats_change_no_effect_at_order_one_and_can_be_dropped() {
    let rows = random(4, 3, 300, |at| format!("{at}"));
    let kept = of_rows(&rows);
    let mut collapsed = Tally::builder([MARKOV, Model::Linear]).repeats(Repeats::Collapse).build().unwrap();
    collapsed.add(&kept).unwrap();
    let collapsed = collapsed.credits().unwrap();
    for credit in &credits(&kept, MARKOV).channels {
        let other = collapsed[0].channel(&credit.channel).unwrap();
        close(other.removal_effect.unwrap(), credit.removal_effect.unwrap());
    }
    let twice = paths(&[("a > a > a > b", sales(1.0))]);
    gives(&credits(&twice, Model::Linear), &[("a", 0.75), ("b", 0.25)]);
    let mut tally = Tally::builder([Model::Linear]).repeats(Repeats::Collapse).build().unwrap();
    tally.add(&twice).unwrap();
    gives(&tally.credits().unwrap()[0], &[("a", 0.5), ("b", 0.5)]);
}

/// The probability of a conversion from the start of a chain over the last `order` channels, `removed` being a loss:
/// by following all paths of so many steps.
fn followed(rows: &[(Vec<String>, Outcome)], order: usize, removed: Option<&str>) -> f64 {
    use std::collections::BTreeMap;
    type Counts = (f64, f64, BTreeMap<String, f64>);
    let mut states: BTreeMap<Vec<String>, Counts> = BTreeMap::new();
    let key = |path: &[String]| path[path.len().saturating_sub(order)..].to_vec();
    for (path, outcome) in rows {
        let converted = *outcome != Outcome::lost(1.0);
        for at in 0..=path.len() {
            let state = states.entry(key(&path[..at])).or_default();
            match path.get(at) {
                Some(next) => *state.2.entry(next.clone()).or_default() += 1.0,
                None if converted => state.0 += 1.0,
                None => state.1 += 1.0,
            }
        }
    }
    let mut mass: BTreeMap<Vec<String>, f64> = BTreeMap::from([(Vec::new(), 1.0)]);
    let mut converted = 0.0;
    for _ in 0..130 {
        let mut next: BTreeMap<Vec<String>, f64> = BTreeMap::new();
        for (state, mass) in &mass {
            let (sales, losses, steps) = &states[state];
            let all = sales + losses + steps.values().sum::<f64>();
            converted += mass * sales / all;
            for (channel, count) in steps {
                if Some(channel.as_str()) != removed {
                    let mut path = state.clone();
                    path.push(channel.clone());
                    *next.entry(key(&path)).or_default() += mass * count / all;
                }
            }
        }
        mass = next;
    }
    converted
}

#[test]
fn markov_of_any_order_equals_following_its_paths() {
    let rows: Vec<_> = random(8, 4, 500, |at| format!("{at}"))
        .into_iter()
        .map(|(path, outcome)| (path, if outcome == Outcome::lost(1.0) { outcome } else { sales(1.0) }))
        .collect();
    let paths = of_rows(&rows);
    for order in 1..=4 {
        let found = credits(&paths, Model::Markov { order });
        let probability = followed(&rows, order, None);
        assert!((found.probability.unwrap() - probability).abs() < 1e-12);
        for credit in &found.channels {
            let effect = 1.0 - followed(&rows, order, Some(&credit.channel)) / probability;
            assert!((credit.removal_effect.unwrap() - effect).abs() < 1e-11, "order {order}: {credit:?}");
        }
    }
}

#[test]
fn chains_of_many_states_are_solved_as_small_ones_are() {
    // Nine channels at order 3 have more states than are solved by elimination.
    let rows: Vec<_> = random(9, 9, 1500, |at| format!("{at}"))
        .into_iter()
        .map(|(path, outcome)| (path, if outcome == Outcome::lost(1.0) { outcome } else { sales(1.0) }))
        .collect();
    let found = credits(&of_rows(&rows), Model::Markov { order: 3 });
    let all = followed(&rows, 3, None);
    for name in ["0", "8"] {
        let effect = 1.0 - followed(&rows, 3, Some(name)) / all;
        assert!((found.channel(name).unwrap().removal_effect.unwrap() - effect).abs() < 1e-11);
    }
}

#[test]
fn sampled_shapley_is_within_its_error_of_the_exact_one() {
    // Twenty channels are exact; a twenty-first that does nothing makes it sample.
    let rows = random(21, 20, 600, |at| format!("{at:02}"));
    let exact = credits(&of_rows(&rows), RATE);
    assert!(exact.channels.iter().all(|credit| credit.std_error.is_none()) && exact.notes.is_empty());
    let mut more = of_rows(&rows);
    more.add(["silent"], Outcome::lost(0.000_001)).unwrap();
    let sampled = credits(&more, Model::Shapley(Game::Rate { permutations: 3000, seed: 9 }));
    assert!(sampled.notes[0].starts_with("sampled: 3000 orders of 21 channels"), "{:?}", sampled.notes);
    let mut squares = 0.0;
    for credit in &exact.channels {
        let other = sampled.channel(&credit.channel).unwrap();
        let error = other.std_error.unwrap();
        assert!(error > 0.0 && error < 0.1 * exact.conversions);
        squares += ((other.conversions - credit.conversions) / error).powi(2);
    }
    // Twenty squares of standard normal numbers: above 45 once in a thousand seeds.
    assert!(squares < 45.0, "{squares}");
}

#[test]
fn bootstrap_intervals_are_those_of_the_seed_and_hold_the_known_spread() {
    let mut paths = Paths::new();
    paths.add(["a"], sales(400.0).value(4000.0)).unwrap();
    paths.add(["b"], sales(100.0).value(500.0).nulls(900.0)).unwrap();
    let tally = Tally::of([Model::Last]).unwrap();
    let bootstrap = Bootstrap::new(2000, 17);
    let found = bootstrap.intervals(&tally, &paths).unwrap();
    // Poisson: 400 ± 1.96 × 20, 100 ± 1.96 × 10.
    for (interval, expected, slack) in
        [(&found[0][0], [360.8, 439.2], 4.0), (&found[0][1], [80.4, 119.6], 2.5)]
    {
        for (end, expected) in interval.conversions.iter().zip(expected) {
            assert!((end - expected).abs() < slack, "{interval:?}");
        }
    }
    assert!((found[0][0].value.unwrap()[0] - 10.0 * found[0][0].conversions[0]).abs() < 1e-6);
    for threads in [1, 3] {
        let bootstrap = bootstrap.clone().threads(NonZeroUsize::new(threads));
        assert_eq!(bootstrap.intervals(&tally, &paths).unwrap(), found, "{threads} threads");
    }
    let other = Bootstrap::new(2000, 18).intervals(&tally, &paths).unwrap();
    assert_ne!(other, found, "another seed");
}

#[test]
fn hostile_paths_are_answered_or_refused() {
    // An empty path's sale goes to nobody; a name that looks like a state of the chain is a channel.
    let odd = paths(&[
        ("", sales(2.0).value(8.0)),
        ("(start) > (conversion)", sales(1.0).value(3.0)),
        ("(null)", Outcome::lost(1.0)),
    ]);
    for (model, null) in [(Model::Linear, 0.0), (SHAPLEY, 0.0), (MARKOV, 0.0), (RATE, -1.0 / 3.0)] {
        let found = credits(&odd, model);
        assert_eq!((found.conversions, found.unattributed, found.unattributed_value), (3.0, 2.0, Some(8.0)));
        let other = (1.0 - null) / 2.0;
        gives(&found, &[("(start)", other), ("(conversion)", other), ("(null)", null)]);
    }
    // 10,000 steps between two channels: a step in 10,000 leaves.
    let long = ["a", "b"].repeat(5000);
    let mut paths = Paths::new();
    paths.add(long, sales(1.0)).unwrap();
    for order in [1, 3] {
        gives(&credits(&paths, Model::Markov { order }), &[("a", 0.5), ("b", 0.5)]);
    }
    gives(
        &credits(&paths, Model::W_SHAPED),
        &[("a", 0.3 + 0.1 * 4998.0 / 9997.0 + 0.3 - 0.0), ("b", 0.3 + 0.1 * 4999.0 / 9997.0)],
    );
    // 5,000 channels, each in one path with the next.
    let mut many = Paths::new();
    for at in 0..5000 {
        many.add([format!("{at}"), format!("{}", (at + 1) % 5000)], sales(1.0)).unwrap();
    }
    let mut tally = Tally::of([MARKOV, SHAPLEY, Model::Linear]).unwrap();
    tally.add(&many).unwrap();
    for credits in tally.credits().unwrap() {
        gives(&credits, &[("0", 1.0), ("2500", 1.0), ("4999", 1.0)]);
    }
    // No conversion at all, and nothing at all.
    let lost = credits(&self::paths(&[("a > b", Outcome::lost(3.0))]), MARKOV);
    assert_eq!(
        (lost.conversions, lost.probability, lost.channel("a").unwrap().removal_effect),
        (0.0, Some(0.0), None)
    );
    for model in all() {
        assert!(credits(&Paths::new(), model).channels.is_empty());
    }
}

#[test]
fn a_missing_value_is_not_zero() {
    let found = credits(&paths(&[("a", sales(1.0).value(10.0)), ("b", sales(3.0))]), Model::Last);
    assert_eq!((found.value, found.unvalued), (Some(10.0), 3.0));
    assert_eq!(found.notes, ["3 conversions have no value and are in none"]);
    let none = credits(&paths(&[("a", sales(1.0))]), MARKOV);
    assert_eq!((none.value, none.channel("a").unwrap().value), (None, None));
    // A refund larger than all sales cannot be shared by effects.
    let rows = [("a", sales(1.0).value(-50.0)), ("b", sales(1.0).value(20.0))];
    let refunds = credits(&paths(&rows), MARKOV);
    assert_eq!(refunds.channel("b").unwrap().value, None);
    assert_eq!(refunds.notes, ["values are not shared: refunds make their removal effects negative"]);
}

#[test]
fn what_is_no_outcome_is_refused_and_leaves_no_trace() {
    let mut paths = Paths::new();
    for (outcome, text) in [
        (sales(-1.0), "the number of conversions is -1: expected 0, or a number from 0.000001 to 10^12"),
        (sales(f64::NAN), "the number of conversions is NaN: expected 0, or a number from 0.000001 to 10^12"),
        (
            sales(1e-9),
            "the number of conversions is 0.000000001: expected 0, or a number from 0.000001 to 10^12",
        ),
        (
            Outcome::lost(f64::INFINITY),
            "the number of nulls is inf: expected 0, or a number from 0.000001 to 10^12",
        ),
        (sales(1.0).value(f64::NAN), "the value is NaN: expected a finite number of at most 10^12"),
        (Outcome::lost(1.0).value(5.0), "a value of 5 without a conversion"),
    ] {
        assert_eq!(paths.add(["a"], outcome).unwrap_err().to_string(), text);
    }
    assert_eq!(
        paths.add_text("a >  > b", sales(1.0)).unwrap_err(),
        AttributionError::EmptyChannel { position: 2 }
    );
    assert!(paths.add(std::iter::repeat_n("a", 100_001), sales(1.0)).is_err());
    assert_eq!((paths.rows(), paths.distinct()), (0, 0));
    assert!(credits(&paths, MARKOV).channels.is_empty());

    paths.add(["a"], sales(1.0)).unwrap();
    assert_eq!(
        paths.add_timed([("a", Duration::ZERO)], sales(1.0)).unwrap_err(),
        AttributionError::MixedTimes
    );
    let mut decay = Tally::of([Model::TIME_DECAY]).unwrap();
    let refused = decay.add(&paths).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "time_decay (half-life 7 days) needs the times of touches, which these paths do not have"
    );
    assert_eq!(Tally::of([MARKOV]).unwrap().merge(&decay).unwrap_err(), AttributionError::Incompatible);
    for model in [
        Model::Markov { order: 0 },
        Model::Markov { order: 9 },
        Model::Position { first: 0.7, last: 0.7 },
        Model::StepDecay { half_life: 0.0 },
        Model::TimeDecay { half_life: Duration::ZERO },
    ] {
        assert!(matches!(Tally::of([model]), Err(AttributionError::Parameter { .. })));
    }
    for damage in [
        r#"{"version":1,"channels":["a"],"timed":false,"rows":1,"paths":[[[7],[],1,0,0,0]]}"#,
        r#"{"version":1,"channels":["a","a"],"timed":false,"rows":1,"paths":[]}"#,
        r#"{"version":2,"channels":[],"timed":null,"rows":0,"paths":[]}"#,
    ] {
        assert!(serde_json::from_str::<Paths>(damage).is_err(), "{damage}");
    }
}

#[test]
fn the_best_combination_is_one_that_many_took() {
    let rows = [
        ("email > search", sales(60.0).nulls(240.0)),
        ("search > email > search", sales(40.0).nulls(160.0)),
        ("email", sales(40.0).nulls(360.0)),
        ("sms", sales(2.0).nulls(1.0)),
        ("", sales(9.0)),
    ];
    let best = combinations(paths(&rows).channel_sets(), 1.0);
    assert_eq!(best[0].channels, ["email", "search"]);
    assert_eq!((best[0].paths, best[0].conversions, best[0].rate), (500.0, 100.0, 0.2));
    // Wilson's interval of 100 in 500, R's prop.test without correction: .1673, .2373.
    assert!((best[0].low - 0.1673).abs() < 5e-4 && (best[0].high - 0.2373).abs() < 5e-4);
    assert!(best[0].low_of_all < best[0].low && best[0].high_of_all > best[0].high);
    assert_eq!(best.len(), 3, "the empty path is no combination");
    assert_eq!(combinations(paths(&rows).channel_sets(), 10.0).len(), 2);
}
