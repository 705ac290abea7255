//! Charts of attribution, uplift, budgets and lifetimes. `MKT_TEST_CHARTS` names a folder to look at them in.

use mkt_connect::chart::Lang;
use mkt_ml::{
    attribution::{Bootstrap, Game, Model, Outcome, Paths, Tally},
    budget::{CurveOptions, ReturnCurve},
    chart,
    uplift::Trial,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

fn keep(name: &str, svg: &str) {
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
    if let Some(folder) = std::env::var_os("MKT_TEST_CHARTS") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(name), svg).unwrap();
    }
}

#[test]
fn credits_and_paths_are_drawn_with_all_names() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let names = ["search", "email", "direct", "social", "display", "<b>&"];
    let mut paths = Paths::new();
    for _ in 0..2000 {
        let length = random.random_range(1..5);
        let path: Vec<&str> = (0..length)
            .map(|_| names[random.random_range(0..names.len()) * random.random_range(0..2)])
            .collect();
        let sold = random.random_bool(0.1 * f64::from(length));
        let outcome = if sold { Outcome::converted(1.0).value(20.0) } else { Outcome::lost(1.0) };
        paths.add(path, outcome).unwrap();
    }
    let models = [Model::Last, Model::Linear, Model::Markov { order: 1 }, Model::Shapley(Game::Conversions)];
    let mut tally = Tally::of(models).unwrap();
    tally.add(&paths).unwrap();
    let answers = tally.credits().unwrap();
    let intervals = Bootstrap::new(40, 1).intervals(&tally, &paths).unwrap();
    for lang in [Lang::En, Lang::Fr] {
        let svg = chart::credits(&answers, &intervals, lang).svg();
        assert!(svg.contains("markov") && svg.contains("search") && svg.contains("&lt;b&gt;&amp;"));
        keep(&format!("credits_{lang}.svg"), &svg);
        let svg = chart::path_flow(&paths, 3, lang).svg();
        assert!(svg.contains("conversion") && svg.contains("search"));
        keep(&format!("paths_{lang}.svg"), &svg);
    }
    // Nothing to draw is said, not drawn.
    assert!(chart::credits(&[], &[], Lang::En).svg().contains("There is no value to draw."));
    assert!(chart::path_flow(&Paths::new(), 3, Lang::En).svg().contains("There is no value to draw."));
}

#[test]
fn more_models_than_colours_are_all_drawn() {
    let mut paths = Paths::new();
    paths.add(["search", "email"], Outcome::converted(3.0)).unwrap();
    paths.add(["email"], Outcome::lost(2.0)).unwrap();
    let orders = (1..=6).map(|order| Model::Markov { order });
    let mut tally = Tally::of(orders.chain([Model::Last, Model::Shapley(Game::Conversions)])).unwrap();
    tally.add(&paths).unwrap();
    let answers = tally.credits().unwrap();
    let svg = chart::credits(&answers, &[], Lang::En).svg();
    assert_eq!(answers.len(), 8);
    for name in ["last", "shapley", "search"] {
        assert!(svg.lines().any(|line| line.trim() == name), "{name}");
    }
    keep("credits_of_eight_models.svg", &svg);
}

#[test]
fn qini_deciles_and_return_curves_are_drawn_with_their_bands() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let scores: Vec<f64> = (0..3000).map(|_| random.random()).collect();
    let treated: Vec<bool> = scores.iter().map(|_| random.random_bool(0.5)).collect();
    let chance = |score: f64, treated: bool| 0.1 + if treated { 0.2 * score } else { 0.0 };
    let yes: Vec<bool> =
        scores.iter().zip(&treated).map(|(s, t)| random.random_bool(chance(*s, *t))).collect();
    let trial = Trial::new(&treated, &yes).unwrap();
    let band = trial.qini_band(&scores, 60, 4).unwrap();
    let svg = chart::qini("planted", &band, Lang::En).svg();
    assert!(svg.contains("by chance") && svg.contains("95 % of resampled people"));
    keep("qini.svg", &svg);
    keep("deciles.svg", &chart::uplift_deciles(&trial.deciles(&scores).unwrap(), Lang::Fr).svg());

    let mut curve = |top: f64, half: f64| {
        let spend: Vec<f64> = (0..120).map(|day| f64::from(day / 9 * 37 % 11) * 20.0).collect();
        let revenue: Vec<f64> =
            spend.iter().map(|s| 200.0 + top * s / (s + half) + 60.0 * random.random::<f64>()).collect();
        ReturnCurve::fit(&spend, &revenue, &CurveOptions::default().replicates(40)).unwrap()
    };
    let (search, social) = (curve(900.0, 120.0), curve(400.0, 60.0));
    let svg = chart::returns(&[("search", &search), ("social", &social)], Lang::En).svg();
    assert!(svg.contains("search: next unit") && svg.contains("spend a day"));
    keep("returns.svg", &svg);
}
