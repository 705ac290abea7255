//! `attribution`, `uplift` and `customer_value` as programs: the oracle's numbers, and how they refuse.

use crate::built::example;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Output};

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(example(name)).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} where {expected} is right");
}

#[test]
fn credits_of_a_file_are_those_computed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paths.csv");
    fs::write(&path, "path,conversions,value,nulls\na > b,1,10,0\na,1,20,1\nb,0,0,2\nb,x,,1\n").unwrap();
    let path = path.to_str().unwrap();
    let found = json(&run("attribution", &["--paths", path, "--model", "markov", "--json"]));
    assert_eq!(found["model"], "markov");
    close(&found["credits"]["a"], 8.0 / 7.0);
    close(&found["values"]["a"], 21.0);
    close(&found["values"]["b"], 9.0);
    close(&found["removal_effects"]["a"], 2.0 / 3.0);
    assert_eq!(found["read"]["quarantined"], 1);

    let all = json(&run("attribution", &["--paths", path, "--model", "all", "--json"]));
    let models: Vec<&str> =
        all.as_array().unwrap().iter().map(|one| one["model"].as_str().unwrap()).collect();
    assert_eq!(models.len(), 10, "time_decay needs times: {models:?}");
    for one in all.as_array().unwrap() {
        let sum: f64 =
            one["credits"].as_object().unwrap().values().map(|value| value.as_f64().unwrap()).sum();
        close(&one["conversions"], sum);
    }

    // Two halves, counted one after the other into a state, are the whole.
    let state = folder.path().join("state.json");
    let (one, other) = (folder.path().join("1.csv"), folder.path().join("2.csv"));
    fs::write(&one, "path,conversions,value,nulls\na > b,1,10,0\n").unwrap();
    fs::write(&other, "path,conversions,value,nulls\na,1,20,1\nb,0,0,2\n").unwrap();
    let mut last = Value::Null;
    for half in [&one, &other] {
        let arguments = ["--paths", half.to_str().unwrap(), "--model", "markov", "--json", "--state"];
        last = json(&run("attribution", &[&arguments[..], &[state.to_str().unwrap()]].concat()));
    }
    assert_eq!((&last["credits"], &last["values"]), (&found["credits"], &found["values"]));

    let charts = folder.path().join("charts");
    let output = run(
        "attribution",
        &[
            "--paths",
            path,
            "--model",
            "last,markov",
            "--bootstrap",
            "50",
            "--charts",
            charts.to_str().unwrap(),
        ],
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("4 rows, 1 set aside, 3 distinct paths") && text.contains("removal effect 0.6667"),
        "{text}"
    );
    assert!(fs::read_to_string(charts.join("credits.svg")).unwrap().contains("markov"));
    assert!(fs::read_to_string(charts.join("paths.svg")).unwrap().contains("touch 1"));

    let refused = run("attribution", &["--paths", path, "--model", "time_decay"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("needs the times of touches"));
}

/// A number from 0 to `most` − 1, the same in every run.
fn draw(state: &mut u32, most: u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) % most
}

#[test]
fn uplift_of_a_planted_campaign_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("campaign.csv");
    let mut csv = "id,age,plan,mailed,bought\n".to_owned();
    let mut state = 7;
    for id in 0..6000 {
        let (age, plan, mailed) = (18 + draw(&mut state, 60), draw(&mut state, 3), draw(&mut state, 2));
        let moved = if mailed == 1 && age < 40 { 25 } else { 0 };
        let bought = u32::from(draw(&mut state, 100) < 15 + moved);
        writeln!(csv, "{id},{age},p{plan},{mailed},{bought}").unwrap();
    }
    fs::write(&path, csv).unwrap();
    let path = path.to_str().unwrap();
    let common =
        ["--data", path, "--treatment", "mailed", "--outcome", "bought", "--without", "id", "--trees", "30"];
    let found = json(&run("uplift", &[&common[..], &["--planned", "0.5", "--json"]].concat()));
    assert_eq!(found["people"], 6000);
    let difference = found["effect"]["difference"].as_f64().unwrap();
    assert!((difference - 0.25 * 22.0 / 60.0).abs() < 0.03, "{difference}");
    assert!(found["split"]["p_value"].as_f64().unwrap() > 0.001);
    let methods = found["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 4);
    for judged in methods {
        assert!(judged["qini"].as_f64().unwrap() > 0.03, "{judged}");
    }
    let charts = folder.path().join("charts");
    let drawn = run(
        "uplift",
        &[&common[..], &["--method", "uplift_forest", "--charts", charts.to_str().unwrap()]].concat(),
    );
    assert!(drawn.status.success() && charts.join("qini_uplift_forest.svg").is_file());

    let needed = json(&run("uplift", &["--power", "0.9", "--rate", "0.5", "--uplift", "0.25", "--json"]));
    assert_eq!(needed["people"], 154);
    assert!(!run("uplift", &["--data", path, "--treatment", "age", "--outcome", "bought"]).status.success());
}

#[test]
fn customers_of_a_file_are_valued_and_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.csv");
    let mut csv = "customer;date;value\n".to_owned();
    let mut state = 11;
    let mut orders = Vec::new();
    for customer in 0..900 {
        let (mut day, pace) = (draw(&mut state, 90), 10 + draw(&mut state, 60));
        let spends = 10 + draw(&mut state, 40);
        while day < 300 {
            orders.push((day, customer, spends + draw(&mut state, 20)));
            day += 1 + draw(&mut state, 2 * pace);
            if draw(&mut state, 5) == 0 {
                break;
            }
        }
    }
    for (day, customer, value) in orders {
        let date = chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + chrono::Days::new(u64::from(day));
        writeln!(csv, "c{customer};{date};{value}").unwrap();
    }
    csv.push_str("c1;someday;5\n");
    fs::write(&path, csv).unwrap();
    let path = path.to_str().unwrap();
    let found =
        json(&run("customer_value", &["--data", path, "--hold-out", "10", "--horizon", "26", "--json"]));
    assert_eq!((found["quarantined"].as_u64(), found["unit"].as_str()), (Some(1), Some("week")));
    assert_eq!(found["parameters"].as_array().unwrap().len(), 4);
    assert!(found["expected_value"].as_f64().unwrap() > 0.0);
    let held = &found["hold_out"];
    let (expected, came) = (held["expected"].as_f64().unwrap(), held["found"].as_f64().unwrap());
    assert!((expected / came - 1.0).abs() < 0.35, "{expected} foretold, {came} came");
    assert!(held["mean_error"].as_f64().unwrap() < held["mean_error_of_rate"].as_f64().unwrap());
    let buyers = found["buyers"].as_array().unwrap();
    assert_eq!(buyers.len() as u64, found["customers"].as_u64().unwrap());
    let text =
        String::from_utf8(run("customer_value", &["--data", path, "--model", "mbg_nbd"]).stdout).unwrap();
    assert!(text.contains("MBG/NBD, times in units of a week") && text.contains("set aside"), "{text}");
    let missing = run("customer_value", &["--data", "nowhere.csv"]);
    assert!(
        !missing.status.success()
            && String::from_utf8_lossy(&missing.stderr).contains("cannot read nowhere.csv")
    );
}
