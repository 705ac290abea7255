//! Access logs from outside: formats, escapes, robots, visits, loads.

mod facts;
mod formats;
mod loads;
mod million;

use crate::support::all;
use chrono_tz::Europe::Paris;
use mkt_connect::{Secret, Stop};
use mkt_etl::access_log::{AccessLog, AccessLogBuilder, Load, Loaded};
use mkt_warehouse::Sqlite;
use mkt_warehouse::model::{DimensionMetric, Event, Session};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
pub(crate) const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";

/// Files in a folder, and a warehouse in memory.
pub(crate) struct Bench {
    folder: TempDir,
    pub(crate) warehouse: Sqlite,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), warehouse: Sqlite::in_memory().await.unwrap() }
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) async fn load(&self, builder: AccessLogBuilder) -> Loaded {
        self.try_load(builder).await.unwrap()
    }

    pub(crate) async fn try_load(&self, builder: AccessLogBuilder) -> mkt_connect::Result<Loaded> {
        let loaded = Load::new(builder.build()?, self.warehouse.clone()).run(&Stop::new()).await?;
        assert_eq!(loaded.read, loaded.loaded + loaded.bots + loaded.quarantined, "{loaded:?}");
        Ok(loaded)
    }

    /// Loads the content of one file.
    pub(crate) async fn log(&self, content: impl AsRef<[u8]>) -> Loaded {
        self.load(log().file(self.file("access.log", content))).await
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = all(&self.warehouse).await;
        events.sort_by_key(|event| (event.timestamp, event.seq));
        events
    }

    pub(crate) async fn sessions(&self) -> Vec<Session> {
        let mut sessions: Vec<Session> = all(&self.warehouse).await;
        sessions.sort_by_key(|session| session.start_time);
        sessions
    }

    /// A report by the value of its one dimension.
    pub(crate) async fn numbers(&self, report: &str) -> BTreeMap<String, String> {
        let rows: Vec<DimensionMetric> = all(&self.warehouse).await;
        rows.into_iter()
            .filter(|row| row.report == report)
            .map(|row| {
                let value = row
                    .dimensions
                    .0
                    .as_object()
                    .unwrap()
                    .values()
                    .next()
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned();
                (value, row.value.unwrap().0.normalize().to_string())
            })
            .collect()
    }

    pub(crate) async fn urls(&self) -> Vec<String> {
        self.events().await.iter().map(url).collect()
    }

    /// Reason and raw text of the lines that were set aside.
    pub(crate) async fn quarantine(&self) -> Vec<(i64, String, String)> {
        let rows: Vec<mkt_etl::ledger::QuarantineRow> = all(&self.warehouse).await;
        let mut rows: Vec<_> =
            rows.into_iter().map(|row| (row.line.unwrap(), row.reason.clone(), row.raw.clone())).collect();
        rows.sort();
        rows
    }
}

pub(crate) fn url(event: &Event) -> String {
    event.properties.0["url"].as_str().unwrap().to_owned()
}

pub(crate) fn log() -> AccessLogBuilder {
    AccessLog::builder("shop", Paris, Secret::new("canary-of-the-secret"))
}

/// A line in combined format.
pub(crate) fn line(address: &str, time: &str, target: &str, referrer: &str, agent: &str) -> String {
    format!("{address} - - [{time}] \"GET {target} HTTP/1.1\" 200 512 \"{referrer}\" \"{agent}\"\n")
}

/// A page of Firefox from one address, on 2 May 2026 in Paris.
pub(crate) fn page(clock: &str, target: &str) -> String {
    line("192.0.2.1", &format!("02/May/2026:{clock} +0200"), target, "-", FIREFOX)
}
