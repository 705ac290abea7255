//! A source of access logs of web servers: visits and page views of people, and numbers of everything else.
//!
//! | format | read |
//! |---|---|
//! | nginx, Apache | `combined`, `common`, both with the host before them (`vhost`), JSON with the usual names of fields |
//! | Caddy | its JSON |
//! | HAProxy | `option httplog`, captured headers by their shape |
//! | IIS, CloudFront | W3C extended, by its `#Fields` line |
//! | Amazon ELB, ALB | their logs |
//!
//! Each file's format is found by its first lines and said in [`FileFindings`]; [`AccessLogBuilder::format`] declares it.
//! Plain text, gzip (all members) and Zstandard (all frames) are told by their first bytes. Files may come in any order:
//! lines are ordered by their instants. A file that is a copy of another, or its beginning, is read once.
//!
//! The one stream, [`REQUESTS`], fills `events`, `sessions` and `dimension_metrics`, a slice a day of the site's zone.
//!
//! - **Every well-formed line is loaded or a robot's.** What becomes of a person's line is the dimension `becomes` of the
//!   report `requests`: `page_view` and `download` are events, `asset`, `piece`, `redirect`, `failure` and `other` are
//!   numbers. A robot's line is a number of the report `bots`, by the rule that fired.
//! - **A line that does not fit is quarantined** with file, line, offset, bytes (IP addresses replaced) and reason: a cut
//!   line, an invalid time, JSON with nginx's default escapes. One bad line costs one line; its day is that of the line
//!   before it.
//! - **Times** carry their own offset; those without one (HAProxy) are of [`AccessLogBuilder::times_in`].
//! - **Robots**: an absent agent (`-`, empty), browsers that programs drive, HTTP libraries, link previews, the list of
//!   crawler-user-agents (MIT, `data/crawlers.txt`), and agents that name themselves or give an address. Phones (CUBOT) and
//!   apps (LinkedIn's) are people. Where the format has no agent, nobody is taken for a robot, and that is said.
//! - **A visitor** is a hash of address, agent and a salt of the day on which the visit began; no address and no name of a
//!   user is stored. The secret behind the salt is the caller's: the same secret gives the same rows.
//! - **Visits** follow [`Rules`]; a visit is of the day of its first page. Its channel is that of its
//!   first page ([`Origin`](crate::channel::Origin)), the rule that fired stands in `channel_detail`.
//! - **Own hosts** are those of the lines and of [`AccessLogBuilder::host`]; where the lines name none, the host that the
//!   pages refer to, which is said.
//! - **Memory** does not grow with the log: what waits lies in temporary files (page views only, without addresses). A slice
//!   is held whole while it is loaded. No line may be longer than 1 MiB.
//! - Two files that overlap without one being the beginning of the other are counted twice where they do.
//!
//! | server | URL of an event |
//! |---|---|
//! | tells the host | `https://host/path?query`: the scheme is in few logs, and taken to be https |
//! | does not | `/path?query`, or with the declared host before it |

mod agents;
mod balancer;
mod becomes;
mod builder;
mod clf;
mod escape;
mod files;
mod findings;
mod format;
mod haproxy;
mod index;
mod json;
mod load;
mod own;
mod request;
mod slice;
mod spill;
mod stream;
mod time;
mod visitor;
mod visits;
mod w3c;

pub use builder::AccessLogBuilder;
pub use findings::FileFindings;
pub use format::{Format, InvalidFormat};
pub use load::{Load, Loaded};

use crate::sessions::Rules;
use crate::source::{
    AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Page, SiteFacts, Stream, Totals, Window,
    plan_by_grain,
};
use async_trait::async_trait;
use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::StreamExt;
use futures_util::stream as streams;
use futures_util::stream::BoxStream;
use index::Index;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::{SliceKey, id};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// The name in the `source` column.
const SERVICE: &str = "access_log";

/// The one stream.
pub const REQUESTS: &str = "requests";

/// What reading needs to know.
#[derive(Debug, Clone)]
struct Settings {
    site: String,
    zone: Tz,
    times_in: Tz,
    format: Option<Format>,
    rules: Rules,
    hosts: Vec<String>,
    work_folder: Option<PathBuf>,
    keys: visitor::Keys,
}

/// Access logs of one site. Start with [`AccessLog::builder`]. Clones share what was read.
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    files: Vec<PathBuf>,
    index: Mutex<Option<Arc<Index>>>,
}

/// An error of the file system, with the file it speaks of.
fn failed(path: &Path, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::Unsupported
        | std::io::ErrorKind::UnexpectedEof
        | std::io::ErrorKind::InvalidInput => ErrorKind::Input,
        _ => ErrorKind::Storage,
    };
    let detail = match cause.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            format!("{} ends too early: a compressed file that is not whole", path.display())
        }
        _ => path.display().to_string(),
    };
    Error::new(kind, SERVICE, "read a log").with_detail(detail).with_source(cause)
}

/// Runs file work on a thread where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::new(ErrorKind::Other, SERVICE, "read a log").with_source(cause))?
}

impl Inner {
    fn facts(&self) -> SiteFacts {
        SiteFacts::new(&self.settings.site, self.settings.zone)
    }

    /// What the files hold as they are now; read again when one has changed. Blocks.
    fn index(&self) -> Result<Arc<Index>> {
        let stamps = self.files.iter().map(|path| files::Stamp::of(path)).collect::<Result<Vec<_>>>()?;
        // Held while the files are read: whoever else needs the index would read them too.
        let mut held = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = held.as_ref().filter(|index| index.stamps == stamps) {
            return Ok(Arc::clone(index));
        }
        *held = None;
        let index = Arc::new(Index::build(&self.files, &self.settings)?);
        *held = Some(Arc::clone(&index));
        Ok(index)
    }

    fn day_of(&self, slice: &SliceKey) -> Result<NaiveDate> {
        if slice.source == SERVICE && slice.stream == REQUESTS && slice.site == self.settings.site {
            return Ok(slice.from);
        }
        Err(Error::new(ErrorKind::Input, SERVICE, "read a slice")
            .with_detail(format!("{slice} is no slice of this source")))
    }

    fn version(&self, day: NaiveDate) -> Result<String> {
        let (index, settings) = (self.index()?, &self.settings);
        let parts = format!(
            "{:?} {:?} {:x} {}",
            settings.rules,
            settings.hosts,
            settings.keys.fingerprint(),
            index.signature(day)
        );
        Ok(format!(
            "{:016x}",
            id::stable_hash(&["access log", settings.zone.name(), settings.times_in.name(), &parts])
        ))
    }
}

impl AccessLog {
    /// Every day of which lines are in the files, in the site's zone. Reads the files, unless they were read before.
    ///
    /// # Errors
    /// Of the files: `NotFound`, `Input` for one of no known format or compression, `Storage`.
    pub async fn days(&self) -> Result<BTreeSet<NaiveDate>> {
        let inner = Arc::clone(&self.0);
        blocking(move || Ok(inner.index()?.days.keys().copied().collect())).await
    }

    /// What was found out about each file. Reads the files, unless they were read before.
    ///
    /// # Errors
    /// As [`days`](Self::days).
    pub async fn findings(&self) -> Result<Vec<FileFindings>> {
        let inner = Arc::clone(&self.0);
        blocking(move || Ok(inner.index()?.files.clone())).await
    }

    /// The host that was taken for the site's own because its pages refer to it, and how many requests name it as their
    /// referrer; `None` where hosts are known.
    ///
    /// # Errors
    /// As [`days`](Self::days).
    pub async fn found_host(&self) -> Result<Option<(String, u64)>> {
        let inner = Arc::clone(&self.0);
        blocking(move || Ok(inner.index()?.own.found.clone())).await
    }
}

#[async_trait]
impl AnalyticsSource for AccessLog {
    fn capabilities(&self) -> Capabilities {
        let fills: &'static [Kind] = &[Kind::Sessions, Kind::Events, Kind::Dimensions];
        let stream = Stream::new(REQUESTS, Grain::Day, fills, Finality::Immediate);
        Capabilities::new(SERVICE, vec![stream]).control_totals(true)
    }

    /// Opens every file and finds its format.
    async fn check(&self) -> Result<Checked> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            files::sample(&inner.files, inner.settings.format, inner.settings.times_in)?;
            Ok(Checked::new(vec![inner.facts()]))
        })
        .await
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        Ok(vec![self.0.facts()])
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        if site != self.0.settings.site {
            return Err(
                Error::new(ErrorKind::Input, SERVICE, "plan").with_detail(format!("unknown site {site:?}"))
            );
        }
        plan_by_grain(&self.capabilities(), stream, site, window)
    }

    async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
        let day = self.0.day_of(slice)?;
        let inner = Arc::clone(&self.0);
        blocking(move || inner.version(day).map(Some)).await
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let day = match self.0.day_of(slice) {
            Ok(day) => day,
            Err(error) => return streams::iter([Err(error)]).boxed(),
        };
        let inner = Arc::clone(&self.0);
        // Two pages ahead, no more.
        let (send, receive) = mpsc::channel(2);
        let start = async move {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = inner.pages(day, &send) {
                    let _ = send.blocking_send(Err(error));
                }
            });
            receive
        };
        streams::once(start)
            .flat_map(|receive| {
                streams::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) })
            })
            .boxed()
    }

    /// The events, visits and records that the reading of the files counted.
    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        let day = self.0.day_of(slice)?;
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let index = inner.index()?;
            let held = index.days.get(&day).cloned().unwrap_or_default();
            let totals = Totals::new().with("events", held.events).with("visits", held.sessions);
            Ok(Some(totals.with("records", held.events + held.rejected)))
        })
        .await
    }
}
