//! Connections to PostgreSQL that are lost at the worst moment: around `commit`, and in mid-load.

use super::engines::postgres_url;
use super::killed::{clean, content, load_all, number, random, torn, whole};
use super::rows::at;
use mkt_connect::{Delivery, ErrorKind};
use mkt_warehouse::{ColumnType, Postgres, Query, Value, Warehouse, model};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// `commit` never reaches the server.
    Before,
    /// The server commits, and its answer never reaches the client.
    After,
}

/// A way to the server that is cut at the first `commit`. Gives the URL that goes through it.
async fn proxied(url: &str, cut: Cut) -> String {
    let (head, rest) = url.split_once('@').unwrap();
    let (host, tail) = rest.split_once('/').unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = host.to_owned();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&host).await.unwrap();
            tokio::spawn(forward(client, server, cut));
        }
    });
    let mark = if tail.contains('?') { '&' } else { '?' };
    format!("{head}@127.0.0.1:{port}/{tail}{mark}sslmode=disable")
}

async fn forward(mut client: TcpStream, mut server: TcpStream, cut: Cut) {
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(read @ 1..) = read else { return };
                // The message Query, length 11, "commit".
                let commits = up[..read].windows(12).any(|bytes| bytes == b"Q\0\0\0\x0bcommit\0");
                if commits && cut == Cut::Before {
                    return;
                }
                if server.write_all(&up[..read]).await.is_err() {
                    return;
                }
                if commits {
                    // Its answer is read here, and goes no further.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_settled_by_the_ledger() {
    for (cut, there) in [(Cut::Before, false), (Cut::After, true)] {
        let Some(url) = postgres_url().await else { return };
        let direct = Postgres::connect(&url).await.unwrap();
        direct.migrate(&model::SCHEMA).await.unwrap();
        let through = Postgres::connect(&proxied(&url, cut).await).await.unwrap();
        let (batch, now) = (content(0, 2), at("2026-11-01T00:00:00Z"));
        let error = through.load(&batch, now).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (ErrorKind::Storage, Delivery::Unknown),
            "{cut:?}: {error}"
        );
        assert_eq!(torn(&direct).await.unwrap(), (0, i64::from(there)), "{cut:?}");
        let receipt = direct.load(&batch, now).await.unwrap();
        assert_eq!((receipt.replayed, receipt.revision), (there, 1), "{cut:?}");
        assert_eq!(torn(&direct).await.unwrap(), (0, 1), "{cut:?}");
    }
}

/// `MKT_TEST_TERMINATIONS` (default 10) and `MKT_TEST_SEED` choose how often and when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_are_ended_in_mid_load_lose_and_double_nothing() {
    let Some(url) = postgres_url().await else { return };
    let (terminations, mut seed) = (number("MKT_TEST_TERMINATIONS", 10), number("MKT_TEST_SEED", 7));
    let name = url.rsplit('=').next().unwrap().to_owned();
    let loader = Postgres::connect(&format!("{url}&application_name={name}")).await.unwrap();
    let other = Postgres::connect(&url).await.unwrap();
    other.migrate(&model::SCHEMA).await.unwrap();
    let end = Query::new(
        "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity \
         where application_name = :1 and state <> 'idle') ended",
    )
    .bind(Value::Text(name))
    .column("ended", ColumnType::Int);
    let (mut failed, mut round, mut takes) = (0, 0, Duration::from_millis(50));
    while failed < terminations {
        round += 1;
        assert!(round < 100 * terminations, "only {failed} of {round} loads were ended");
        let batch = content(round % 3, round);
        let loading = {
            let (loader, batch) = (loader.clone(), batch.clone());
            tokio::spawn(async move { loader.load(&batch, at("2026-11-01T00:00:00Z")).await })
        };
        // Anywhere within what a load takes on this machine.
        let wait = random(&mut seed, takes.as_micros().max(1) as u64);
        tokio::time::sleep(Duration::from_micros(wait)).await;
        other.query(&end).await.unwrap();
        match loading.await.unwrap() {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
                failed += 1;
            }
        }
        assert_eq!(torn(&other).await.unwrap().0, 0, "round {round}");
        let next = content(round % 3, round + 1_000);
        let begin = Instant::now();
        loader.load(&next, at("2026-11-01T00:00:00Z")).await.unwrap();
        takes = begin.elapsed();
    }
    load_all(&loader, 1_000_000).await;
    assert!(whole(&other).await == clean(1_000_000).await, "the tables are not those of a clean run");
    println!("{failed} loads ended of {round}, 0 torn");
}
