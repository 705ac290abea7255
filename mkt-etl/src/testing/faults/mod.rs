//! The faults of [`AnalyticsSource`], executed: what a source over HTTP makes of an other side that fails, in some
//! forty ways, in every stream, at the first request and at the last.
//!
//! Give [`check_all`] a good server and a way to make the source against an address; a [`FaultProxy`] stands between
//! them. Each cell of the result is a fault, a stream and a moment, with what was found:
//!
//! - the **right data**: as without the fault, since the source tried again or was not impressed;
//! - **refused** by an error of a kind that fits, or **flagged**: other rows, of which the source's own control totals
//!   or its quarantine say that they are not all;
//! - **violated**: other data without a word, an error of a kind that misleads, a panic, a hang (longer than the
//!   deadline and a second), a secret in an error, a page or a `Debug`, a request to where a redirect led; and, with a
//!   [`Pipeline`](crate::Pipeline) over it, rows of a slice that is neither the old nor the new one, a ledger that says complete when it
//!   is not, or another result than the healthy one once the fault is over.
//!
//! ```
//! use mkt_connect::http::retry::Policy;
//! use mkt_etl::testing::{RecordedMatomo, faults};
//! use mkt_etl::matomo::Matomo;
//! use mkt_etl::Window;
//! use mkt_warehouse::{Sqlite, Warehouse};
//! use std::sync::Arc;
//! use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = RecordedMatomo::start().await?;
//! let day = "2026-03-28".parse()?;
//! let subject = faults::Subject::new(&server.server().authority(), "1", Window::days(day, day), |url, host| {
//!     let matomo = Matomo::builder(url)
//!         .allow_insecure_host(host)
//!         .token(RecordedMatomo::TOKEN)
//!         .site(1)
//!         .retry(Policy::once())
//!         .http(|client| client.total_timeout(Duration::from_millis(500)));
//!     Ok(Arc::new(matomo.build()?))
//! })
//! .secret(RecordedMatomo::TOKEN)
//! .deadline(Duration::from_secs(2));
//! let cells = faults::check(&subject, &[faults::Fault::Truncated, faults::Fault::HtmlPage]).await?;
//! assert!(cells.iter().all(|cell| !cell.is_violated()), "{cells:#?}");
//! # Ok(())
//! # }
//! ```

mod fault;
mod proxy;
mod reading;

pub use fault::Fault;
pub use proxy::FaultProxy;

use crate::source::{AnalyticsSource, Window};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::{SliceKey, Warehouse};
use reading::{Reading, read};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Make = dyn Fn(&str, &str) -> Result<Arc<dyn AnalyticsSource>> + Send + Sync;

/// A source over HTTP, a good server for it, and a site and a window in which it has something to tell.
pub struct Subject {
    server: String,
    site: String,
    window: Window,
    make: Box<Make>,
    secrets: Vec<String>,
    deadline: Duration,
    in_turn: bool,
}

impl Subject {
    /// A subject. `server` is the host and port of the good server; `make` makes the source for a base URL, which is
    /// plain http at the host and port that are its second argument. The source must see at least one slice of each
    /// stream in the window that is not empty; pages smaller than a slice let more faults show.
    #[must_use]
    pub fn new(
        server: &str,
        site: &str,
        window: Window,
        make: impl Fn(&str, &str) -> Result<Arc<dyn AnalyticsSource>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            server: server.to_owned(),
            site: site.to_owned(),
            window,
            make: Box::new(make),
            secrets: Vec::new(),
            deadline: Duration::from_secs(60),
            in_turn: false,
        }
    }

    /// A text that must nowhere be seen. Give each form in which the source sends it.
    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// How long reading a slice may take at most, by the source's own time-outs and repeats. Default: a minute. Make
    /// the source impatient, or the suite takes long.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Streams and moments take turns: each fault strikes once, instead of in every stream at every moment.
    #[must_use]
    pub fn in_turn(mut self) -> Self {
        self.in_turn = true;
        self
    }

    /// The cells of these faults: (stream, fault, moment).
    fn cells<'a>(
        &self,
        streams: &'a [Healthy],
        faults: &[Fault],
        moments: &[Moment],
    ) -> Vec<(&'a Healthy, Fault, Moment)> {
        if streams.is_empty() || moments.is_empty() {
            return Vec::new();
        }
        let mut cells = Vec::new();
        for (number, fault) in faults.iter().enumerate() {
            if self.in_turn {
                let moment = moments[number / streams.len() % moments.len()];
                cells.push((&streams[number % streams.len()], *fault, moment));
            } else {
                let of = |stream| moments.iter().map(move |moment| (stream, *fault, *moment));
                cells.extend(streams.iter().flat_map(of));
            }
        }
        cells
    }

    fn shows_a_secret(&self, shown: &str) -> bool {
        self.secrets.iter().any(|secret| shown.contains(secret.as_str()))
    }

    /// A proxy before the good server, and the source before the proxy, which has looked at its site.
    async fn connected(&self) -> Result<(FaultProxy, Arc<dyn AnalyticsSource>)> {
        let proxy = FaultProxy::start(&self.server).await.map_err(|cause| {
            Error::new(ErrorKind::Unavailable, "faults", "start a proxy").with_source(cause)
        })?;
        let source = (self.make)(&proxy.url(), &proxy.authority())?;
        source.check().await?;
        Ok((proxy, source))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("site", &self.site)
            .field("window", &self.window)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Which requests of a slice a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Moment {
    /// The first one only: whoever tries again gets the right answer.
    First,
    /// The last one only: pages were read before.
    Last,
    /// All of them.
    Always,
}

/// What a cell shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The data are right.
    Right,
    /// An error of this kind.
    Refused(ErrorKind),
    /// Other rows, and the source says that they are not all; how.
    Flagged(String),
    /// The contract is broken; what was seen.
    Violated(String),
}

/// A fault in a stream at a moment, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The fault.
    pub fault: Fault,
    /// The stream.
    pub stream: String,
    /// When it struck.
    pub moment: Moment,
    /// Whether a pipeline stood over the source.
    pub in_pipeline: bool,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

impl Cell {
    /// Whether the contract is broken.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        matches!(self.verdict, Verdict::Violated(_))
    }
}

/// Cells that are looked at side by side: much of their time is waiting.
const AT_ONCE: usize = 4;

/// Every fault, in every stream, at every moment.
///
/// # Errors
/// When the source does not read without a fault: nothing can be said then.
pub async fn check_all(subject: &Subject) -> Result<Vec<Cell>> {
    check(subject, Fault::ALL).await
}

/// These faults, in every stream, at every moment.
///
/// # Errors
/// As [`check_all`].
pub async fn check(subject: &Subject, faults: &[Fault]) -> Result<Vec<Cell>> {
    let streams = healthy(subject).await?;
    let cells = subject.cells(&streams, faults, &[Moment::First, Moment::Last, Moment::Always]);
    let all = stream::iter(cells)
        .map(|(healthy, fault, moment)| {
            Box::pin(async move {
                let began = Instant::now();
                let seen = AssertUnwindSafe(one(subject, healthy, fault, moment)).catch_unwind().await;
                let verdict = seen.unwrap_or_else(|_| Verdict::Violated("it panics".to_owned()));
                Cell {
                    fault,
                    stream: healthy.slice.stream.clone(),
                    moment,
                    in_pipeline: false,
                    verdict,
                    took: began.elapsed(),
                }
            })
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    Ok(all)
}

/// What a stream gives without a fault.
struct Healthy {
    slice: SliceKey,
    reading: Reading,
    /// Requests that reading it takes, control totals aside.
    requests: usize,
}

/// Of each stream the slice with the most rows. Streams and days that the good server does not know are left out.
async fn healthy(subject: &Subject) -> Result<Vec<Healthy>> {
    let (proxy, source) = subject.connected().await?;
    let mut all = Vec::new();
    for stream in source.capabilities().streams {
        let mut richest: Option<Healthy> = None;
        for slice in source.plan(&stream.name, &subject.site, subject.window)? {
            let before = proxy.hits();
            let reading = match read(&*source, &stream, &slice, || proxy.hits()).await {
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => {
                    continue;
                }
                reading => reading?,
            };
            if richest.as_ref().is_none_or(|held| held.reading.rows() < reading.rows()) {
                let requests = reading.hits_after_pages.saturating_sub(before);
                richest = Some(Healthy { slice, reading, requests });
            }
        }
        all.extend(richest);
    }
    Ok(all)
}

async fn one(subject: &Subject, healthy: &Healthy, fault: Fault, moment: Moment) -> Verdict {
    let (proxy, source) = match subject.connected().await {
        Ok(connected) => connected,
        Err(error) => return Verdict::Violated(format!("it does not start: {error}")),
    };
    let Some(stream) = source.capabilities().stream(&healthy.slice.stream).cloned() else {
        return Verdict::Violated("its streams change".to_owned());
    };
    strike(&proxy, fault, moment, 0, healthy.requests);
    let limit = subject.deadline + Duration::from_secs(1);
    let reading = tokio::time::timeout(limit, read(&*source, &stream, &healthy.slice, || proxy.hits())).await;
    let Ok(reading) = reading else {
        return Verdict::Violated(format!("it takes longer than {limit:?}"));
    };
    let mut shown = format!("{source:?} {source:#?}");
    let verdict = match &reading {
        Err(error) => {
            shown.push_str(&shown_error(error));
            refusal(fault, error)
        }
        Ok(reading) => {
            shown.push_str(&reading.shown);
            reading.against(&healthy.reading)
        }
    };
    if subject.shows_a_secret(&shown) {
        return Verdict::Violated("it shows a secret".to_owned());
    }
    if proxy.trapped() > 0 {
        return Verdict::Violated("it goes where the redirect leads".to_owned());
    }
    verdict
}

/// Arms the proxy; `spared` requests come before those of the slice.
fn strike(proxy: &FaultProxy, fault: Fault, moment: Moment, spared: usize, requests: usize) {
    match moment {
        Moment::First => proxy.inject(fault, spared, 1),
        Moment::Last => proxy.inject(fault, spared + requests.saturating_sub(1), 1),
        Moment::Always => proxy.inject(fault, spared, usize::MAX),
    }
}

/// An error as anybody may show it: with every cause, in both forms.
fn shown_error(error: &Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        shown.push_str(&format!("{error} {error:?}"));
        cause = error.source();
    }
    shown
}

/// Whether the kind of an error fits the fault. `Auth` never does: it would end the whole run for good.
fn refusal(fault: Fault, error: &Error) -> Verdict {
    use ErrorKind::{Protocol, RateLimited, Unavailable};
    let fitting: &[ErrorKind] = match fault {
        Fault::ThrottledForSeconds
        | Fault::ThrottledUntilDate
        | Fault::ThrottledForGarbage
        | Fault::ThrottledForADay => &[RateLimited],
        Fault::InternalError | Fault::BadGateway | Fault::Unavailable => &[Unavailable],
        Fault::OneByteASecond | Fault::SlowHeaders | Fault::Silence | Fault::ResetBeforeHeaders => {
            &[Unavailable]
        }
        _ => &[Protocol, Unavailable],
    };
    if fitting.contains(&error.kind()) {
        Verdict::Refused(error.kind())
    } else {
        Verdict::Violated(format!("the error is of kind {:?}: {error}", error.kind()))
    }
}

/// The same faults with a [`Pipeline`] over the source, into empty warehouses that `warehouse` gives: the first load
/// under the fault, then healed, then a second read of the same slice under the fault, then healed again.
///
/// [`Pipeline`]: crate::Pipeline
///
/// # Errors
/// As [`check_all`], and of the warehouse.
pub async fn check_pipeline<W, F>(
    subject: &Subject,
    faults: &[Fault],
    warehouse: impl Fn() -> F + Sync,
) -> Result<Vec<Cell>>
where
    W: Warehouse + Clone,
    F: Future<Output = Result<W>> + Send,
{
    let streams = healthy(subject).await?;
    let warehouse = &warehouse;
    let mut expected = BTreeMap::new();
    for healthy in &streams {
        expected.insert(&healthy.slice, reading::loaded(subject, healthy, warehouse().await?).await?);
    }
    let expected = &expected;
    let cells = subject.cells(&streams, faults, &[Moment::Always, Moment::Last]);
    stream::iter(cells)
        .map(|(healthy, fault, moment)| {
            Box::pin(async move {
                let began = Instant::now();
                let rows = &expected[&healthy.slice];
                let held = warehouse().await?;
                let seen = reading::survives(subject, healthy, rows, held, fault, moment);
                let seen = AssertUnwindSafe(seen).catch_unwind().await;
                let verdict = seen.unwrap_or_else(|_| Ok(Verdict::Violated("it panics".to_owned())))?;
                Ok(Cell {
                    fault,
                    stream: healthy.slice.stream.clone(),
                    moment,
                    in_pipeline: true,
                    verdict,
                    took: began.elapsed(),
                })
            })
        })
        .buffered(AT_ONCE / 2)
        .try_collect()
        .await
}
