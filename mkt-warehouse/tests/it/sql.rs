//! The rendered reports under `sql/`.

use mkt_warehouse::Dialect;
use mkt_warehouse::report::Report;
use std::path::PathBuf;

#[test]
fn the_files_under_sql_are_what_the_code_renders() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut expected = Vec::new();
    for dialect in Dialect::ALL {
        for report in Report::ALL {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql").join(dialect.as_str());
            let path = folder.join(format!("{}.sql", report.name()));
            let sql = report.sql(dialect);
            let unexpanded = sql.match_indices('@').any(|(at, _)| {
                sql[at + 1..]
                    .trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_')
                    .starts_with('(')
            });
            let open = sql.lines().any(|line| !line.starts_with("--") && line.contains(['{', '}']));
            assert!(!unexpanded && !open, "{dialect} {}: something was not expanded", report.name());
            if bless {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &sql).unwrap();
            }
            let held = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                held == sql,
                "{} is not what the code renders; run the tests with BLESS=1",
                path.display()
            );
            expected.push(path);
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql");
    for folder in std::fs::read_dir(root).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()) {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            assert!(expected.contains(&path), "{} belongs to no report", path.display());
        }
    }
}

/// GoogleSQL's reference: a set operation says `all` or `distinct`, and an outer join needs an equation between fields of
/// both sides. Neither BigQuery nor Snowflake is at hand to say so.
#[test]
fn what_bigquery_refuses_is_not_written() {
    for report in Report::ALL {
        let sql = report.sql(Dialect::BigQuery);
        let words: Vec<&str> = sql.split_whitespace().collect();
        for pair in words.windows(2).filter(|pair| pair[0] == "union") {
            assert!(["all", "distinct"].contains(&pair[1]), "{}: union {}", report.name(), pair[1]);
        }
        assert!(!sql.contains("on 1 = 1") && !sql.contains("on true"), "{}", report.name());
        assert!(!words.contains(&"limit"), "{}: Snowflake takes constants only", report.name());
    }
}
