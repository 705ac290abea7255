//! Stateful fakes of vendors on loopback, for tests and for experiments without an account.
//!
//! They are made from the vendors' documentation, not from recordings; no live account was used. They keep state (emails,
//! keys, calls in a window), refuse what exceeds a documented limit as the vendor does, and inject faults on request.
//! Delivered emails can be read, and are also written to a file line by line if one is given, so that they outlive a
//! killed process.

mod brevo;
mod form;
mod mailgun;

pub use brevo::FakeBrevo;
pub use mailgun::FakeMailgun;

use super::Fault;
use crate::EmailAddress;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::clock::Clock;
use mkt_connect::testing::Answer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An email as its recipient gets it from a fake.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FakeEmail {
    /// Who got it.
    pub to: EmailAddress,
    /// The name beside the address.
    pub name: Option<String>,
    /// How many other recipients this one can see.
    pub others_shown: usize,
    /// The subject.
    pub subject: String,
    /// The HTML body.
    pub html: Option<String>,
    /// The text body.
    pub text: Option<String>,
    /// The headers that the sender asked for, and `Reply-To`.
    pub headers: BTreeMap<String, String>,
    /// The sender's own keys and values.
    pub metadata: BTreeMap<String, String>,
    /// The labels.
    pub tags: Vec<String>,
    /// The names and bytes of the files.
    pub files: Vec<(String, Vec<u8>)>,
    /// The vendor's template and its parameters.
    pub template: Option<(String, BTreeMap<String, String>)>,
    /// When it is sent, if not at once.
    pub at: Option<DateTime<Utc>>,
    /// The vendor's id.
    pub id: String,
}

impl FakeEmail {
    fn new(to: EmailAddress, id: String) -> Self {
        Self {
            to,
            name: None,
            others_shown: 0,
            subject: String::new(),
            html: None,
            text: None,
            headers: BTreeMap::new(),
            metadata: BTreeMap::new(),
            tags: Vec::new(),
            files: Vec::new(),
            template: None,
            at: None,
            id,
        }
    }
}

impl fmt::Debug for FakeEmail {
    /// The rest is personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEmail").field("to", &self.to).field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the fakes have in common.
struct State {
    clock: Arc<dyn Clock>,
    next: VecDeque<Fault>,
    /// Every so many calls this happens.
    every: Option<(usize, Fault)>,
    calls: usize,
    /// Addresses that are refused, normalised.
    refused: BTreeSet<String>,
    /// So many calls in any window of this length.
    limit: Option<(usize, TimeDelta)>,
    recent: VecDeque<DateTime<Utc>>,
    delivered: Vec<FakeEmail>,
    ids: u64,
    log: Option<File>,
}

impl State {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            next: VecDeque::new(),
            every: None,
            calls: 0,
            refused: BTreeSet::new(),
            limit: None,
            recent: VecDeque::new(),
            delivered: Vec::new(),
            ids: 0,
            log: None,
        }
    }

    /// Counts a call and says what is to go wrong with it.
    fn begin(&mut self) -> Option<Fault> {
        self.calls += 1;
        let every = self.every.filter(|(count, _)| self.calls.is_multiple_of(*count)).map(|(_, fault)| fault);
        self.next.pop_front().or(every)
    }

    /// Counts a call against the limit: what is left and how long until something is, or nothing without a limit. A
    /// call that is over it is told so by `Err`.
    fn meter(&mut self) -> Option<(usize, Result<Duration, Duration>)> {
        let (count, window) = self.limit?;
        let now = self.clock.now();
        while self.recent.front().is_some_and(|at| *at + window <= now) {
            self.recent.pop_front();
        }
        let over = self.recent.len() >= count;
        if !over {
            self.recent.push_back(now);
        }
        let reset = self.recent.front().map_or(window, |first| *first + window - now);
        let reset = reset.to_std().unwrap_or_default();
        Some((count.saturating_sub(self.recent.len()), if over { Err(reset) } else { Ok(reset) }))
    }

    fn next_id(&mut self, domain: &str) -> String {
        self.ids += 1;
        format!("{}.{}@{domain}", self.clock.now().timestamp_millis(), self.ids)
    }

    fn deliver(&mut self, email: FakeEmail) {
        if let Some(log) = &mut self.log {
            let line = serde_json::json!({"to": email.to.as_str(), "id": email.id, "subject": email.subject});
            // A log that cannot be written is missed by whoever reads it.
            let _ = writeln!(log, "{line}");
        }
        self.delivered.push(email);
    }

    fn log_to(&mut self, path: &Path) -> io::Result<()> {
        self.log = Some(OpenOptions::new().create(true).append(true).open(path)?);
        Ok(())
    }
}

/// An answer before it is spoilt.
struct Reply {
    status: u16,
    body: String,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, body: body.to_string(), headers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl fmt::Display + Copy) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn whole(self) -> Answer {
        let body = self.body.clone();
        self.with_body(body)
    }

    fn with_body(self, body: String) -> Answer {
        let plain = Answer::json(body).with_status(self.status);
        self.headers.into_iter().fold(plain, |answer, (name, value)| answer.header(name, value))
    }

    fn half(&self) -> String {
        self.body.chars().take(self.body.chars().count() / 2).collect()
    }
}

/// Acts, and answers as the fault wants it. Faults in the vendor's own words are not known here.
fn spoil(fault: Option<Fault>, act: impl FnOnce() -> Reply) -> Answer {
    match fault {
        Some(Fault::LostRequest) => Answer::reset(),
        Some(Fault::LostAnswer) => {
            act();
            Answer::reset()
        }
        Some(Fault::CutAnswer) => {
            let reply = act();
            let (half, length) = (reply.half(), reply.body.len() as u64);
            reply.with_body(half).claiming_length(length)
        }
        Some(Fault::GarbledAnswer) => {
            let reply = act();
            let half = reply.half();
            reply.with_body(half)
        }
        Some(Fault::BadGateway) => {
            act();
            Answer::status(502)
        }
        Some(Fault::ServerError) => {
            Answer::html("<html><body><h1>500 Internal Server Error</h1></body></html>").with_status(500)
        }
        Some(Fault::Throttled(_) | Fault::Unauthorised) | None => act().whole(),
    }
}

/// The part of a public fake that both have.
macro_rules! fake {
    ($fake:ident) => {
        impl $fake {
            /// `http://127.0.0.1:PORT`, what `base_url` of the provider takes.
            #[must_use]
            pub fn url(&self) -> String {
                self.server.url()
            }

            /// Does this to the next call that sends; several are used one after the other.
            pub fn inject(&self, fault: Fault) {
                self.lock().common.next.push_back(fault);
            }

            /// Does this to every so many calls that send.
            pub fn inject_every(&self, calls: std::num::NonZeroUsize, fault: Fault) {
                self.lock().common.every = Some((calls.get(), fault));
            }

            /// Refuses any call that names this address.
            pub fn refuse(&self, address: &EmailAddress) {
                self.lock().common.refused.insert(address.normalised());
            }

            /// Takes at most so many calls in any window of this length.
            pub fn limit(&self, calls: usize, window: Duration) {
                let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
                self.lock().common.limit = Some((calls, window));
            }

            /// Writes one line of JSON (`to`, `id`, `subject`) for every email that it delivers from now on.
            ///
            /// # Errors
            /// When the file cannot be opened.
            pub fn log_to(&self, path: impl AsRef<std::path::Path>) -> io::Result<()> {
                self.lock().common.log_to(path.as_ref())
            }

            /// What it delivered so far, in order.
            #[must_use]
            pub fn delivered(&self) -> Vec<FakeEmail> {
                self.lock().common.delivered.clone()
            }

            /// How many calls that send it saw.
            #[must_use]
            pub fn calls(&self) -> usize {
                self.lock().common.calls
            }

            /// The requests as they arrived, the first 10 000.
            #[must_use]
            pub fn requests(&self) -> Vec<mkt_connect::testing::Received> {
                self.server.requests()
            }

            fn lock(&self) -> std::sync::MutexGuard<'_, Vendor> {
                self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }
        }

        impl std::fmt::Debug for $fake {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($fake)).field("server", &self.server).finish_non_exhaustive()
            }
        }
    };
}
use fake;
