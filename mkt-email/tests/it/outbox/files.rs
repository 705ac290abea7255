//! What concerns files only: other tables in them, links, locks, threads.

use super::*;

#[tokio::test]
async fn other_tables_and_migrations_can_share_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shared.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let other = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for statement in [
        "CREATE TABLE events (id INTEGER)",
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
            checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
        "INSERT INTO _sqlx_migrations VALUES (1, 'theirs', '2026-01-01', 1, x'00', 0)",
    ] {
        sqlx::query(statement).execute(&other).await.unwrap();
    }
    Outbox::open(&path).await.unwrap().close().await;
    Outbox::open(&path).await.unwrap().close().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .fetch_all(&other)
    .await
    .unwrap();
    assert!(
        tables
            .iter()
            .all(|name| ["_sqlx_migrations", "events"].contains(&name.as_str()) || name.starts_with("mail_"))
    );
    assert!(tables.contains(&"mail_migrations".to_owned()), "{tables:?}");
}

#[test]
fn output_shows_no_address() {
    let to = address("canary@example.org");
    let email = transactional("test", &to);
    let shown =
        format!("{email:?} {email:#?} {:?} {:?}", consent(&to), suppression(&to, SuppressionScope::All));
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!format!("{:?}", ManualClock::skipping(noon())).is_empty());
}

/// Each waits for a lock that another holds; on one thread that must not be the end. The thread is watched from
/// outside: had it stopped, no timeout on it would ring.
#[test]
fn runs_and_logs_on_one_thread_do_not_deadlock() {
    let (ended, watch) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(crowd_one_thread());
        ended.send(()).unwrap();
    });
    watch.recv_timeout(Duration::from_secs(60)).expect("the runs wait for each other, or failed");
}

async fn crowd_one_thread() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(directory.path().join("mail.db")).await.unwrap();
    let emails: Vec<_> = (0..40).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let (provider, clock, options) = (forgetful(), clock(), RunOptions::default());
    let log = directory.path().join("send.ndjson");
    for _ in 0..20 {
        let run = || outbox.run(&provider, &clock, &options);
        let (a, b, c) = tokio::join!(run(), run(), run());
        for ended in [a, b, c] {
            ended.unwrap();
        }
        let (a, b) = tokio::join!(outbox.write_send_log(&log), outbox.write_send_log(&log));
        a.and(b).unwrap();
    }
    assert_eq!(provider.delivered().len(), 40);
    assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_file_can_be_opened_concurrently() {
    for _ in 0..15 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mail.db");
        let mut openers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let path = path.clone();
            openers.spawn(async move { Outbox::open(path).await.unwrap().counts(None).await.unwrap() });
        }
        assert_eq!(openers.join_all().await, [Counts::default(); 6]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn file_opened_by_a_link_has_the_same_lock() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().canonicalize().unwrap().join(name);
    Outbox::open(path("mail.db")).await.unwrap().close().await;
    std::os::unix::fs::symlink(path("mail.db"), path("link.db")).unwrap();
    let outbox = Outbox::open(path("link.db")).await.unwrap();
    outbox.run(&Memory::new(), &clock(), &RunOptions::default()).await.unwrap();
    assert!(path("mail.db.workers").exists() && !path("link.db.workers").exists());
}

/// A file written before messages were kept apart.
#[tokio::test]
async fn file_of_the_first_version_is_migrated() {
    let place = Engine::Sqlite.place().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file()).create_if_missing(true);
    let old = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let mut migrator = sqlx::migrate::Migrator::with_migrations(vec![sqlx::migrate::Migration::new(
        1,
        "outbox".into(),
        sqlx::migrate::MigrationType::Simple,
        sqlx::SqlSafeStr::into_sql_str(include_str!("../../../src/outbox/schema/sqlite_1.sql")),
        false,
    )]);
    migrator.dangerous_set_table_name("mail_migrations");
    migrator.run(&old).await.unwrap();
    for (number, state) in [(0, "pending"), (1, "accepted"), (2, "pending")] {
        let id = DedupKey::for_address("test", &reader(number)).id().to_string();
        let payload = serde_json::to_string(&message(&reader(number))).unwrap();
        sqlx::query(
            "INSERT INTO mail_outbox (id, campaign, contact, entity, purpose, address_key, recipient, payload, state,
                                      not_before, enqueued_at, updated_at)
             VALUES ($1, 'test', $2, '', 'transactional', $3, $2, $4, $5, 0, 0, 0)",
        )
        .bind(id)
        .bind(reader(number).as_str())
        .bind(reader(number).key())
        .bind(payload)
        .bind(state)
        .execute(&old)
        .await
        .unwrap();
    }
    old.close().await;
    let (outbox, provider) = (place.open().await, Memory::new());
    assert_eq!(counts(&outbox).await, Counts { recipients: 3, sent: 1, pending: 2, ..Counts::default() });
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(reached(&provider), ["reader0@example.org", "reader2@example.org"]);
}

#[tokio::test]
async fn invalid_url_is_an_error_that_does_not_repeat_it() {
    for url in ["", "mysql://root:secret@host/db", "postgres://mkt:secret@host:notaport/db", "secret"] {
        let error = Outbox::connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn new_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Engine::Sqlite.place().await;
    let outbox = place.open().await;
    fill(&outbox, 1).await;
    for ending in ["", "-wal", "-shm"] {
        let mut name = place.file().into_os_string();
        name.push(ending);
        let mode = std::fs::metadata(&name).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name:?}");
    }
    outbox.close().await;
    // What its owner has let others read stays so.
    let shared = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(place.file(), shared).unwrap();
    place.open().await.close().await;
    assert_eq!(std::fs::metadata(place.file()).unwrap().permissions().mode() & 0o777, 0o640);
}

/// Each connection of a pool would have an empty database of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_path_is_one_outbox() {
    let outbox = Outbox::connect("sqlite::memory:").await.unwrap();
    fill(&outbox, 3).await;
    let look = || outbox.counts(None);
    let (a, b, c, d) = tokio::join!(look(), look(), look(), look());
    assert!([a, b, c, d].into_iter().all(|counts| counts.unwrap().recipients == 3));
    assert!(!std::path::Path::new(":memory:").exists());
}
