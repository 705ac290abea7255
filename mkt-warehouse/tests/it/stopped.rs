//! A PostgreSQL server of the test's own: stopped in mid-load as by a power cut, and with a full disk.
//!
//! Needs the server's programs (`initdb`, `pg_ctl`, `postgres`), as root also `runuser` and a user `postgres` or
//! `nobody`, since PostgreSQL refuses root. Where they are missing, the tests say that they were skipped.

use super::killed::{SLICES, clean, content, load_all, number, random, torn, whole};
use super::rows::at;
use mkt_connect::ErrorKind;
use mkt_warehouse::{Batch, ColumnType, Postgres, Query, Value, Warehouse, model};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

struct Server {
    programs: PathBuf,
    /// The user that runs it, where that is not ours.
    user: Option<String>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// A fresh cluster, started; nothing where it cannot be made.
    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            println!("skipped: PostgreSQL's server programs are not installed");
            return None;
        };
        let root = text(&Command::new("id").arg("-u").output().unwrap()).trim() == "0";
        let user = ["postgres", "nobody"]
            .into_iter()
            .find(|user| Command::new("id").arg(user).output().is_ok_and(|output| output.status.success()));
        let user = match (root, user) {
            (false, _) => None,
            (true, Some(user)) if Command::new("runuser").arg("--version").output().is_ok() => {
                Some(user.to_owned())
            }
            (true, _) => {
                println!("skipped: PostgreSQL refuses root, and there is no other user to run it");
                return None;
            }
        };
        let folder = tempfile::Builder::new().prefix("mkt-postgres").tempdir().unwrap();
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs, user, folder, port };
        server.own(server.folder.path());
        let data = server.data();
        let made =
            server.run("initdb", &["-D", &data, "-U", "mkt", "-A", "trust", "-E", "UTF8", "--locale=C"]);
        if !made.status.success() {
            println!("skipped: initdb failed: {}", text(&made));
            return None;
        }
        server.up();
        Some(server)
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// Gives a folder to the server's user.
    fn own(&self, folder: &Path) {
        if let Some(user) = &self.user {
            assert!(Command::new("chown").arg(user).arg(folder).status().unwrap().success());
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = match &self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).current_dir("/").output().unwrap()
    }

    fn up(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=32MB -p {}",
            self.port
        );
        let log = self.folder.path().join("log").display().to_string();
        let started = self.run("pg_ctl", &["-D", &self.data(), "-w", "-l", &log, "-o", &options, "start"]);
        assert!(started.status.success(), "{} {:?}", text(&started), std::fs::read_to_string(&log));
    }

    /// As a power cut for the processes: nothing is written any more, and the next start recovers from the log.
    fn down(&self) {
        let stopped = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
        assert!(stopped.status.success(), "{}", text(&stopped));
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://mkt@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn programs() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.extend(std::env::split_paths(&path));
    folders
        .into_iter()
        .find(|folder| ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file()))
}

/// `MKT_TEST_STOPS` (default 3) and `MKT_TEST_SEED` choose how often and when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stopped_in_mid_load_has_every_answered_load_and_no_part_of_another() {
    let Some(server) = Server::start() else { return };
    let (stops, mut seed) = (number("MKT_TEST_STOPS", 3), number("MKT_TEST_SEED", 7));
    let warehouse = Postgres::connect(&server.url("postgres")).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    // Made beforehand, so that the server is at work nearly all the time. Two contents of each slice take turns.
    let contents: Arc<Vec<[Batch; 2]>> =
        Arc::new((0..=SLICES).map(|slice| [content(slice, 2), content(slice, 3)]).collect());
    let now = at("2026-11-01T00:00:00Z");
    let begin = Instant::now();
    load_all(&warehouse, 1).await;
    // All slices at least once, on this machine.
    let takes = begin.elapsed().as_millis().max(100) as u64;
    let (mut loads, mut failed, mut slowest) = (0, 0, Duration::ZERO);
    for stop in 0..stops {
        let over = Arc::new(AtomicBool::new(false));
        let loader = {
            let (warehouse, contents, over) = (warehouse.clone(), Arc::clone(&contents), Arc::clone(&over));
            tokio::spawn(async move {
                // What each slice was last answered to hold.
                let mut answered: Vec<Option<usize>> = vec![None; contents.len()];
                for round in 0.. {
                    for (slice, batches) in contents.iter().enumerate() {
                        let turn = (round + stop as usize) % 2;
                        let done = warehouse.load(&batches[turn], now).await;
                        if done.is_ok() {
                            answered[slice] = Some(turn);
                        }
                        if over.load(Ordering::Acquire) {
                            return (answered, slice, turn, done.err(), round * contents.len() + slice);
                        }
                        done.unwrap();
                    }
                }
                unreachable!("rounds do not end")
            })
        };
        tokio::time::sleep(Duration::from_millis(random(&mut seed, takes))).await;
        over.store(true, Ordering::Release);
        server.down();
        let began = Instant::now();
        server.up();
        // A load that was between two transactions finds the server again by itself.
        let (answered, last, turn, error, done) = loader.await.unwrap();
        loads += done;
        if let Some(error) = error {
            assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
            failed += 1;
        }
        assert_eq!(torn(&warehouse).await.unwrap().0, 0, "stop {stop}");
        slowest = slowest.max(began.elapsed());
        for (slice, answered) in answered.iter().enumerate() {
            if slice == last {
                // It may be there or not; asked again, it is.
                warehouse.load(&contents[slice][turn], now).await.unwrap();
            } else if let Some(answered) = answered {
                let receipt = warehouse.load(&contents[slice][*answered], now).await.unwrap();
                assert!(receipt.replayed, "stop {stop}: slice {slice} lost what was answered");
            }
        }
    }
    load_all(&warehouse, 1_000).await;
    assert!(whole(&warehouse).await == clean(1_000).await, "the tables are not those of a clean run");
    println!(
        "{stops} stops, {failed} in mid-load, {loads} loads, 0 torn, 0 lost; slowest start and answer {slowest:?}"
    );
}

/// A full disk is a small file system in memory, which only root can make.
#[tokio::test]
async fn a_full_disk_of_the_server_is_an_error_and_changes_nothing() {
    /// Unmounts it, whatever happens.
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        }
    }
    let Some(server) = Server::start() else { return };
    let place = server.folder.path().join("small");
    std::fs::create_dir(&place).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&place).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: no small file system can be mounted here");
        return;
    }
    let mounted = Mounted(place.clone());
    server.own(&place);
    let admin = Postgres::connect(&server.url("postgres")).await.unwrap();
    for sql in [
        format!("create tablespace small location '{}'", place.display()),
        "create database small tablespace small".to_owned(),
    ] {
        admin.query(&Query::new(sql)).await.unwrap();
    }
    let warehouse = Postgres::connect(&server.url("small")).await.unwrap();
    warehouse.migrate(&model::SCHEMA).await.unwrap();
    let now = at("2026-11-01T00:00:00Z");
    for slice in 0..2 {
        warehouse.load(&content(slice, 2), now).await.unwrap();
    }
    let before = whole(&warehouse).await;
    let key = content(0, 2).key().clone();
    let many = (0..100_000)
        .map(|n| super::rows::event(&format!("u{n}"), model::EventType::GOAL, "2026-10-25T10:00:00Z"));
    let error = warehouse.load(&Batch::new(key).replace(many), now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("disk is full"), "{error}");
    assert!(whole(&warehouse).await == before, "a load that found no room changed something");
    let larger = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&place).status().unwrap();
    assert!(larger.success());
    assert_eq!(
        warehouse.load(&content(0, 4), now).await.unwrap().revision,
        2,
        "it works again when there is room"
    );
    let sessions =
        Query::new("select count(*) from pg_stat_activity where state like 'idle in transaction%'")
            .column("sessions", ColumnType::Int);
    assert_eq!(admin.query(&sessions).await.unwrap().row(0), [Value::Int(0)]);
    warehouse.close().await;
    admin.close().await;
    drop(server);
    drop(mounted);
}
