//! The engines that the outbox's suite runs on.

use crate::help::{noon, reader, transactional};
use mkt_email::Outbox;

/// Where an outbox can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    #[cfg_attr(not(feature = "postgres"), expect(dead_code))]
    Postgres,
}

/// Runs the tests named on every engine: each is an `async fn(Engine)`.
macro_rules! on_each_engine {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::engines::Engine::Sqlite).await;
            })+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if $crate::engines::postgres_is_there() {
                    super::$name($crate::engines::Engine::Postgres).await;
                }
            })+
        }
    };
}
pub(crate) use on_each_engine;

/// Whether `MKT_TEST_POSTGRES` names a server. On CI it must.
#[cfg_attr(not(feature = "postgres"), expect(dead_code))]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn postgres_is_there() -> bool {
    if std::env::var_os("MKT_TEST_POSTGRES").is_some() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "MKT_TEST_POSTGRES is not set, and this is CI");
    println!("skipped: MKT_TEST_POSTGRES is not set");
    false
}

/// A fresh place for an outbox, which several can open.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) url: String,
}

impl Place {
    pub(crate) async fn open(&self) -> Outbox {
        Outbox::connect(&self.url).await.unwrap()
    }

    /// The file, where it is one.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.url.strip_prefix("sqlite:").expect("a file").into()
    }

    /// Changes tables behind the outbox's back, or looks at one number.
    pub(crate) async fn execute(&self, statement: &'static str) {
        if self.url.starts_with("sqlite:") {
            let pool = sqlx::SqlitePool::connect(&self.url).await.unwrap();
            sqlx::query(statement).execute(&pool).await.unwrap();
            pool.close().await;
        } else {
            #[cfg(feature = "postgres")]
            {
                let pool = sqlx::PgPool::connect(&self.url).await.unwrap();
                sqlx::query(statement).execute(&pool).await.unwrap();
                pool.close().await;
            }
        }
    }
}

impl Engine {
    /// A file in a folder of its own, or a schema of its own on the server that `MKT_TEST_POSTGRES` names.
    pub(crate) async fn place(self) -> Place {
        match self {
            Self::Sqlite => {
                let folder = tempfile::tempdir().unwrap().keep();
                Place { url: format!("sqlite:{}", folder.join("mail.db").display()) }
            }
            Self::Postgres => Place { url: fresh_schema().await },
        }
    }

    /// An empty outbox.
    pub(crate) async fn outbox(self) -> Outbox {
        self.place().await.open().await
    }

    /// An outbox that holds `count` transactional emails.
    pub(crate) async fn with(self, count: usize) -> Outbox {
        let outbox = self.outbox().await;
        fill(&outbox, count).await;
        outbox
    }
}

/// Enqueues `count` transactional emails of the campaign `test`.
pub(crate) async fn fill(outbox: &Outbox, count: usize) {
    let emails: Vec<_> = (0..count).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
}

#[cfg(feature = "postgres")]
async fn fresh_schema() -> String {
    use sqlx::{AssertSqlSafe, Connection};
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("MKT_TEST_POSTGRES").expect("asked before");
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let schema = format!("t{}_{}_{nanos}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut admin = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}options[search_path]={schema}")
}

#[cfg(not(feature = "postgres"))]
async fn fresh_schema() -> String {
    unreachable!("the engine is there with its feature only")
}
