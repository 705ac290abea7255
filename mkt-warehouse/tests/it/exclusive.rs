//! Locks of names over processes: refused while another process lives, free once it is killed.

use mkt_warehouse::{Sqlite, Warehouse, open};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the child process does: take the lock, say so with a file, and hold it until it is killed.
#[test]
fn child_that_holds_a_lock_until_it_is_killed() {
    let Ok(url) = std::env::var("MKT_TEST_LOCK_URL") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let warehouse = open(&url).await.unwrap();
        let held = warehouse.exclusive("etl").await.unwrap().unwrap();
        std::fs::write(std::env::var("MKT_TEST_LOCK_SIGN").unwrap(), held.name()).unwrap();
        std::future::pending::<()>().await;
    });
}

/// A process that is killed, whatever becomes of the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

async fn a_killed_holder(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("held");
    let warehouse = open(url).await.unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "exclusive::child_that_holds_a_lock_until_it_is_killed", "--nocapture"])
        .env("MKT_TEST_LOCK_URL", url)
        .env("MKT_TEST_LOCK_SIGN", &sign)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    until("the child took no lock", async || sign.exists()).await;
    assert!(warehouse.exclusive("etl").await.unwrap().is_none(), "two processes hold one lock");
    assert!(warehouse.exclusive("other").await.unwrap().is_some());
    assert!(child.0.try_wait().unwrap().is_none(), "the child ended before it was killed");
    child.0.kill().unwrap();
    let took =
        until("the lock outlived its process", async || warehouse.exclusive("etl").await.unwrap().is_some())
            .await;
    println!("free {took:?} after SIGKILL");
}

#[tokio::test]
async fn a_lock_in_sqlite_ends_with_its_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    a_killed_holder(&format!("sqlite:{}", folder.path().join("w.db").display())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_lock_in_postgres_ends_with_its_killed_process() {
    let Some(url) = super::engines::postgres_url().await else { return };
    a_killed_holder(&url).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn two_schemas_of_a_database_are_two_warehouses() {
    let (Some(one), Some(two)) = (super::engines::postgres().await, super::engines::postgres().await) else {
        return;
    };
    let held = one.exclusive("etl").await.unwrap();
    assert!(held.is_some());
    assert!(one.exclusive("etl").await.unwrap().is_none());
    assert!(two.exclusive("etl").await.unwrap().is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_by_another_way_has_the_same_locks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.db");
    let direct = Sqlite::open(&path).await.unwrap();
    std::os::unix::fs::symlink(&path, folder.path().join("link.db")).unwrap();
    let linked = Sqlite::open(folder.path().join("link.db")).await.unwrap();
    let held = direct.exclusive("etl").await.unwrap();
    assert!(held.is_some());
    assert!(linked.exclusive("etl").await.unwrap().is_none());
}

#[tokio::test]
async fn databases_in_memory_do_not_share_locks_and_clones_do() {
    let (one, two) = (Sqlite::in_memory().await.unwrap(), Sqlite::in_memory().await.unwrap());
    let held = one.exclusive("etl").await.unwrap();
    assert!(held.is_some());
    assert!(one.clone().exclusive("etl").await.unwrap().is_none());
    assert!(two.exclusive("etl").await.unwrap().is_some());
}
