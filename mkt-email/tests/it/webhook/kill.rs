//! A server that is killed under load: every event that was answered 200 is there.

use super::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

const FOLDER: &str = "MKT_CRASH_WEBHOOK";

/// Not a test of its own: what is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let outbox = Outbox::open(folder.join("mail.db")).await.unwrap();
    let server = WebhookServer::builder(outbox).brevo(brevo()).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(folder.join("address.new"), listener.local_addr().unwrap().to_string()).unwrap();
    std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
    server.serve(listener, &Stop::new()).await.unwrap();
}

fn start(folder: &Path) -> Child {
    let _ = std::fs::remove_file(folder.join("address"));
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "webhook::kill::serve_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn address(folder: &Path) -> String {
    for _ in 0..600 {
        if let Ok(address) = std::fs::read_to_string(folder.join("address")) {
            return address;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server did not start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_answered_before_a_kill_is_there() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (kills, seed) = (number("MKT_TEST_KILLS", 3), number("MKT_TEST_SEED", 1));
    let mut random = SplitMix64::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let answered: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut sent = 0_u64;
    for _ in 0..kills {
        let mut child = start(folder.path());
        let address = address(folder.path()).await;
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..8 {
            sent += 1_000_000;
            let (address, answered, from) = (address.clone(), Arc::clone(&answered), sent);
            senders.spawn(async move {
                let bearer = format!("Bearer {TOKEN}");
                for number in from.. {
                    let id = format!("{number}@x");
                    let body = format!(
                        r#"[{{"event":"delivered","email":"r@example.org","ts_epoch":1604933654000,"message-id":"<{id}>"}}]"#
                    );
                    let headers = [("authorization", bearer.as_str()), JSON];
                    match call(&address, "POST", "/webhooks/brevo", &headers, body.as_bytes()).await {
                        Ok(answer) if answer.status == 200 => drop(answered.lock().unwrap().insert(id)),
                        Ok(_) => {}
                        Err(_) => break,
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
        child.kill().unwrap();
        child.wait().unwrap();
        senders.join_all().await;
    }
    let outbox = Outbox::open(folder.path().join("mail.db")).await.unwrap();
    let (mut place, mut there) = (0, HashSet::new());
    loop {
        let page = outbox.events_after(place, 10_000).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        place = page.next;
        there.extend(page.events.into_iter().filter_map(|stored| stored.event.message_id));
    }
    let answered = answered.lock().unwrap();
    let lost: Vec<_> = answered.difference(&there).collect();
    assert!(lost.is_empty(), "{} of {} are lost, seed {seed}", lost.len(), answered.len());
    assert!(answered.len() as u64 > kills, "too little was answered: {}", answered.len());
}
