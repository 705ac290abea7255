//! The SQLite and PostgreSQL sides of `sql`.

use mkt_connect::sql::{Step, is_unique_violation, migrator};
use mkt_connect::{Error, ErrorKind};

const STEPS: [Step; 2] = [
    Step { version: 1, description: "people", sql: "create table people (name varchar(5) primary key)" },
    Step { version: 2, description: "age", sql: "alter table people add column age integer" },
];

/// What must hold of an error on a second row of the same key.
fn is_second_row(error: &Error) {
    assert!(is_unique_violation(error), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Input);
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("Zoé"), "an error must not quote values: {shown}");
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use mkt_connect::sql::sqlite;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
    use std::path::Path;

    async fn open(path: &Path) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        sqlite::open(&SqlitePoolOptions::new().max_connections(1), &options).await.unwrap()
    }

    #[tokio::test]
    async fn second_row_of_a_key_is_a_unique_violation_by_code() {
        let folder = tempfile::tempdir().unwrap();
        let pool = open(&folder.path().join("a.db")).await;
        sqlite::migrate("test", &pool, &migrator("test_migrations", STEPS)).await.unwrap();
        sqlx::query("insert into people (name) values ('Zoé')").execute(&pool).await.unwrap();
        let cause = sqlx::query("insert into people (name) values ('Zoé')").execute(&pool).await.unwrap_err();
        let error = sqlite::error("test", "insert", cause);
        assert_eq!(error.code(), Some("1555"));
        is_second_row(&error);
    }

    #[tokio::test]
    async fn migrations_run_once_from_many_processes_and_newer_tables_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let runs = (0..8).map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let pool = open(&path).await;
                sqlite::migrate("test", &pool, &migrator("test_migrations", STEPS)).await
            })
        });
        for run in runs.collect::<Vec<_>>() {
            run.await.unwrap().unwrap();
        }
        let pool = open(&path).await;
        let older = migrator("test_migrations", STEPS.into_iter().take(1));
        let error = sqlite::migrate("test", &pool, &older).await.unwrap_err();
        assert_eq!(error.detail(), Some("the tables were written by a newer version of this library"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn private_file_and_its_log_are_readable_by_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        sqlite::create_private(&path).unwrap();
        let pool = open(&path).await;
        sqlite::migrate("test", &pool, &migrator("test_migrations", STEPS)).await.unwrap();
        for name in ["a.db", "a.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        sqlite::create_private(&path).unwrap();
        assert!(sqlite::create_private(&folder.path().join("missing/a.db")).is_err());
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use mkt_connect::sql::postgres::{self, SessionLock};

    /// A schema of its own on the server of `MKT_TEST_POSTGRES`.
    async fn pool(schema: &str) -> Option<sqlx::PgPool> {
        let Ok(url) = std::env::var("MKT_TEST_POSTGRES") else {
            eprintln!("skipped: MKT_TEST_POSTGRES is not set");
            return None;
        };
        let owner = postgres::connect("test", &url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "drop schema if exists {schema} cascade; create schema {schema}"
        )))
        .execute(&owner)
        .await
        .unwrap();
        let join = if url.contains('?') { '&' } else { '?' };
        Some(
            postgres::connect("test", &format!("{url}{join}options=-csearch_path%3D{schema}")).await.unwrap(),
        )
    }

    #[tokio::test]
    async fn second_row_of_a_key_is_a_unique_violation_by_code() {
        let Some(pool) = pool("mkt_connect_sql_unique").await else { return };
        postgres::migrate("test", &pool, 1, &migrator("test_migrations", STEPS)).await.unwrap();
        sqlx::query("insert into people (name) values ('Zoé')").execute(&pool).await.unwrap();
        let cause = sqlx::query("insert into people (name) values ('Zoé')").execute(&pool).await.unwrap_err();
        let error = postgres::error("test", "insert", &cause);
        assert_eq!(error.code(), Some("23505"));
        is_second_row(&error);
    }

    #[tokio::test]
    async fn session_lock_has_one_holder_at_a_time() {
        let Some(pool) = pool("mkt_connect_sql_lock").await else { return };
        let take = || SessionLock::try_lock("test", &pool, |_| 0x6d6b_7400_7465_7374);
        let held = take().await.unwrap().unwrap();
        assert!(take().await.unwrap().is_none());
        held.release().await.unwrap();
        assert!(take().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn invalid_url_is_a_config_error_without_the_url() {
        let error = postgres::connect("test", "postgres://user:hunter2@:notaport/x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
