//! Forgetting a person.

use super::*;

on_each_engine!(
    erased_person_is_gone_and_still_suppressed,
    erasing_keeps_attachments_of_others,
    erased_person_is_removed_from_the_send_log,
);

fn canary() -> EmailAddress {
    address("Canary.Person@example.org")
}

/// Everything that the tables hold, as text.
async fn dump(place: &crate::engines::Place) -> String {
    if place.url.starts_with("sqlite:") {
        let file = place.file();
        let mut text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        for more in ["-wal", "-shm"] {
            let mut name = file.clone().into_os_string();
            name.push(more);
            text += &String::from_utf8_lossy(&std::fs::read(name).unwrap_or_default());
        }
        return text;
    }
    #[cfg(feature = "postgres")]
    {
        use sqlx::AssertSqlSafe;
        let pool = sqlx::PgPool::connect(&place.url).await.unwrap();
        let mut text = String::new();
        for table in ["outbox", "messages", "blobs", "suppressions", "consents", "log", "accounts"] {
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM mail_{table} t")))
                    .fetch_all(&pool)
                    .await
                    .unwrap();
            text += &rows.join("\n");
        }
        text
    }
    #[cfg(not(feature = "postgres"))]
    unreachable!()
}

async fn erased_person_is_gone_and_still_suppressed(engine: Engine) {
    let place = engine.place().await;
    let (outbox, provider) = (place.open().await, forgetful());
    fill(&outbox, 3).await;
    outbox.record_consents(&[consent(&canary())]).await.unwrap();
    outbox.enqueue(&[transactional("sent", &canary())], noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    provider.script(&canary(), Script::LoseAnswer);
    outbox.enqueue(&[transactional("lost", &canary())], noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    outbox
        .enqueue(&[transactional("waits", &canary()), marketing("offer", &canary())], noon())
        .await
        .unwrap();
    outbox.suppress(&[suppression(&canary(), SuppressionScope::Marketing)]).await.unwrap();
    let calls = provider.calls();
    assert!(dump(&place).await.to_ascii_lowercase().contains("canary.person"));

    let erased = outbox.erase(&canary(), noon()).await.unwrap();
    assert_eq!((erased.emails, erased.cancelled, erased.suppressions), (4, 2, 1));
    let expected = Counts { recipients: 7, sent: 4, unknown: 1, cancelled: 2, ..Counts::default() };
    assert_eq!(counts(&outbox).await, expected);
    let held = dump(&place).await.to_ascii_lowercase();
    assert!(!held.contains("canary"), "the address is still there");
    outbox.run(&Memory::new(), &clock(), &RunOptions::default()).await.unwrap();

    // Imported again, the person is remembered as mailed and as not to be mailed.
    let again =
        [transactional("sent", &canary()), marketing("offer", &canary()), marketing("new", &canary())];
    let answers = outbox.enqueue(&again, noon()).await.unwrap();
    assert!(matches!(answers[0], Enqueued::AlreadyThere(_, State::Accepted)), "{answers:?}");
    assert!(matches!(answers[1], Enqueued::AlreadyThere(_, State::Cancelled)), "{answers:?}");
    assert!(matches!(answers[2], Enqueued::Suppressed(..)), "{answers:?}");
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(provider.calls(), calls);
}

async fn erasing_keeps_attachments_of_others(engine: Engine) {
    let place = engine.place().await;
    let (outbox, provider) = (place.open().await, Memory::new());
    let with = |to: &EmailAddress, content: &str| {
        let file =
            Attachment::new("a.txt".parse().unwrap(), "text/plain", content.as_bytes().to_vec()).unwrap();
        let builder = mkt_email::Message::builder(
            "news@example.com".parse().unwrap(),
            to.clone().into(),
            "Hello".parse().unwrap(),
        );
        let message = builder.text("Hello").attach(file).build().unwrap();
        NewEmail::transactional(DedupKey::new("files", content).about(to.normalised()), message)
    };
    let emails =
        [with(&canary(), "for canary only"), with(&canary(), "for all"), with(&reader(1), "for all")];
    outbox.enqueue(&emails, noon()).await.unwrap();
    outbox.erase(&canary(), noon()).await.unwrap();
    assert!(!dump(&place).await.contains("for canary only"));
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let delivered = provider.delivered();
    assert_eq!((delivered.len(), counts(&outbox).await.cancelled), (1, 2));
    assert_eq!(delivered[0].message.attachments()[0].content().as_ref(), b"for all");
}

async fn erased_person_is_removed_from_the_send_log(engine: Engine) {
    let (outbox, provider) = (engine.with(2).await, Memory::new());
    outbox.enqueue(&[transactional("test", &canary())], noon()).await.unwrap();
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("send.ndjson");
    outbox.write_send_log(&log).await.unwrap();
    assert!(std::fs::read_to_string(&log).unwrap().contains("Canary"));
    outbox.erase(&canary(), noon()).await.unwrap();
    assert_eq!(outbox.erase_from_send_log(&log, &canary()).await.unwrap(), 1);
    assert_eq!(outbox.erase_from_send_log(&log, &canary()).await.unwrap(), 0);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(!text.to_ascii_lowercase().contains("canary") && text.contains("reader1@"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains(r#""recipient":null"#)).count(), 1);
    // It is still the log of this outbox, and goes on where it was.
    fill(&outbox, 3).await;
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(outbox.write_send_log(&log).await.unwrap(), 1);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 4);
}

/// A report that is being read keeps the write-ahead log, and in it the person.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erase_fails_while_the_log_is_in_use_and_can_be_repeated() {
    let place = Engine::Sqlite.place().await;
    let outbox = place.open().await;
    outbox.enqueue(&[transactional("test", &canary())], noon()).await.unwrap();
    let pool = sqlx::SqlitePool::connect(&place.url).await.unwrap();
    let mut reader = pool.begin().await.unwrap();
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM mail_outbox").fetch_one(&mut *reader).await.unwrap();
    assert_eq!(rows, 1);

    let error = outbox.erase(&canary(), noon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("another connection reads"), "{error}");
    assert_eq!(counts(&outbox).await.cancelled, 1);
    assert!(dump(&place).await.to_lowercase().contains("canary.person"), "nothing was left to be erased");

    drop(reader);
    pool.close().await;
    outbox.erase(&canary(), noon()).await.unwrap();
    assert!(!dump(&place).await.to_lowercase().contains("canary.person"));
}
