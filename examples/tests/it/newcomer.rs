//! Files of tools that nobody named: the error of the first try leads to the options of the second.

use crate::built::example;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// Payments as a payment tool exports them: one failed.
const PAYMENTS: &str = "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,Customer ID,Customer Email\n\
    ch_1,2026-11-02 10:15:00,34.75,0.00,eur,Paid,cus_1,anna@shop.example\n\
    ch_2,2026-11-02 18:40:12,12.00,0.00,eur,Failed,cus_2,ben@shop.example\n\
    ch_3,2026-11-03 09:05:00,82.50,0.00,eur,Paid,cus_2,ben@shop.example\n";

fn run(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    Command::new(example(name)).args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn payments_are_read_with_the_options_that_the_first_error_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("payments.csv"), PAYMENTS).unwrap();
    let load = |more: &[&str]| {
        let begin = ["--warehouse", "sqlite:shop.db", "--events", "payments.csv", "--json"];
        run(folder.path(), "load_events", &[&begin, more].concat())
    };
    let refused = load(&[]);
    assert_eq!(refused.status.code(), Some(1));
    let error = said(&refused);
    for option in [
        "--map \"Created date (UTC)=timestamp\"",
        "--event-type TYPE",
        "--default-channel CHANNEL",
        "payments.csv",
    ] {
        assert!(error.contains(option), "{option}: {error}");
    }
    assert_eq!(error.matches("payments.csv").count(), 1, "{error}");
    let loaded = load(&[
        "--map",
        "Created date (UTC)=timestamp",
        "--map",
        "Amount=revenue",
        "--map",
        "id=event_id",
        "--event-type",
        "purchase",
        "--default-channel",
        "other",
        "--only",
        "Status=paid",
    ]);
    let told: Value = serde_json::from_slice(&loaded.stdout).unwrap();
    assert_eq!((&told["read"], &told["loaded"], &told["quarantined"]), (&3.into(), &2.into(), &1.into()));
    let asked =
        run(folder.path(), "sql_analytics", &["--warehouse", "sqlite:shop.db", "--report", "arpu", "--json"]);
    let answer: Value = serde_json::from_slice(&asked.stdout).unwrap();
    // 34.75 + 82.50; nobody visited, so there is no average.
    assert_eq!(answer["rows"][0][1], 117.25);
    assert_eq!(answer["rows"][0][3], Value::Null);
}

#[test]
fn text_in_french_has_no_code_names_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/");
    let (events, sessions) = (format!("{data}events.csv"), format!("{data}sessions.csv"));
    let options = ["--warehouse", "sqlite:shop.db", "--zone", "Europe/Paris", "--events", &events];
    let loaded = run(folder.path(), "load_events", &[&options[..], &["--sessions", &sessions]].concat());
    assert!(loaded.status.success(), "{}", said(&loaded));
    let asked = run(folder.path(), "sql_analytics", &["--warehouse", "sqlite:shop.db", "--lang", "fr"]);
    let text = String::from_utf8(asked.stdout).unwrap();
    assert!(text.contains("Taux de conversion") && text.contains("recherche naturelle"), "{text}");
    let json = run(folder.path(), "sql_analytics", &["--warehouse", "sqlite:shop.db", "--json"]);
    let answers: Value = serde_json::from_slice(&json.stdout).unwrap();
    let columns = answers.as_array().unwrap().iter().flat_map(|answer| answer["columns"].as_array().unwrap());
    for code in columns.map(|column| column.as_str().unwrap()).filter(|name| name.contains('_')) {
        let is_there = text.split_whitespace().any(|word| word == code);
        assert!(!is_there, "{code}: {text}");
    }
    for english in ["more rows", "Converted", "no campaign", "as of"] {
        assert!(!text.contains(english), "{english}: {text}");
    }
}
