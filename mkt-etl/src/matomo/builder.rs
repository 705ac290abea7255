//! Settings of a [`Matomo`].

use super::error::SERVICE;
use super::segment::Segment;
use super::streams::{DEFAULT_STREAMS, Name, STREAMS};
use super::{Inner, Matomo};
use chrono::TimeDelta;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{Client, ClientBuilder};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use tokio::sync::OnceCell;

/// Settings of a [`Matomo`].
#[derive(Debug, Clone)]
pub struct MatomoBuilder {
    client: ClientBuilder,
    token: Option<Secret>,
    sites: Vec<(u64, String)>,
    streams: Vec<String>,
    segments: Vec<Segment>,
    page_size: usize,
    table_rows: usize,
    concurrency: usize,
    finality: TimeDelta,
    retry: Policy,
}

impl MatomoBuilder {
    pub(super) fn new(base_url: &str) -> Self {
        Self {
            client: Client::builder(SERVICE, base_url),
            token: None,
            sites: Vec::new(),
            streams: DEFAULT_STREAMS.map(str::to_owned).to_vec(),
            segments: Vec::new(),
            page_size: 500,
            table_rows: 1000,
            concurrency: 4,
            finality: TimeDelta::days(3),
            retry: Policy::default(),
        }
    }

    /// The token of a user who may view the sites (Administration → Personal → Security → Auth tokens).
    #[must_use]
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A site by its number, named by the number.
    #[must_use]
    pub fn site(self, id: u64) -> Self {
        self.site_named(id, id.to_string())
    }

    /// A site by its number, with the name it gets in the `site` column.
    #[must_use]
    pub fn site_named(mut self, id: u64, name: impl Into<String>) -> Self {
        self.sites.push((id, name.into()));
        self
    }

    /// Only these streams, of [`STREAMS`]. Default: [`DEFAULT_STREAMS`].
    #[must_use]
    pub fn streams<S: Into<String>>(mut self, streams: impl IntoIterator<Item = S>) -> Self {
        self.streams = streams.into_iter().map(Into::into).collect();
        self
    }

    /// Every stream.
    #[must_use]
    pub fn all_streams(self) -> Self {
        self.streams(STREAMS)
    }

    /// Also reads every chosen stream but `visits` of some of the visits: those that fulfil a condition of Matomo's,
    /// such as `deviceType==desktop`.
    ///
    /// A segment is another population, and its visits are in the whole too. Its streams are named
    /// `STREAM[NAME]`, its reports in `dimension_metrics` `REPORT[NAME]`, its daily numbers are the report
    /// `daily[NAME]`; it fills neither `sessions`, `events` nor `daily_metrics`. So no sum over sites, sources, days or
    /// a report counts a visit twice.
    #[must_use]
    pub fn segment(mut self, name: impl Into<String>, definition: impl Into<String>) -> Self {
        self.segments.push(Segment::new(name.into(), definition.into()));
        self
    }

    /// Lets this one host be reached over plain http and at a private address: a Matomo in the intranet.
    #[must_use]
    pub fn allow_insecure_host(mut self, host: &str) -> Self {
        self.client = self.client.allow_insecure_host(host);
        self
    }

    /// Visits in one request. Default: 500, about 2 MB.
    #[must_use]
    pub fn page_size(mut self, visits: usize) -> Self {
        self.page_size = visits.max(1);
        self
    }

    /// Rows of a table in one request. Default: 1000, less than 1 MB.
    #[must_use]
    pub fn table_rows(mut self, rows: usize) -> Self {
        self.table_rows = rows.max(1);
        self
    }

    /// Slices read at once. Default: 4. Every one costs the instance a database query.
    #[must_use]
    pub fn concurrency(mut self, slices: usize) -> Self {
        self.concurrency = slices.max(1);
        self
    }

    /// How long after its end a day may still change: the archiver's delay plus what trackers send late. Default: three
    /// days.
    #[must_use]
    pub fn finality(mut self, after: TimeDelta) -> Self {
        self.finality = after;
        self
    }

    /// How often and how long a request is tried again after throttling or a failing server. Refused credentials are
    /// never tried again.
    #[must_use]
    pub fn retry(mut self, policy: Policy) -> Self {
        self.retry = policy;
        self
    }

    /// Settings of the HTTP client: time-outs, the largest body.
    #[must_use]
    pub fn http(mut self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = change(self.client);
        self
    }

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// `Config`: no token, no site, two sites of one number or name, no stream or one that does not exist, a segment
    /// without a usable name or definition or two of one name, a base URL that cannot be used.
    pub fn build(self) -> Result<Matomo> {
        let config =
            |detail: String| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        let Some(token) = self.token.filter(|token| !token.is_empty()) else {
            return config("missing API token; call `.token()`".to_owned());
        };
        if self.sites.is_empty() {
            return config("missing site; call `.site()`".to_owned());
        }
        for (index, (id, name)) in self.sites.iter().enumerate() {
            if self.sites[..index].iter().any(|(other, other_name)| other == id || other_name == name) {
                return config(format!("duplicate site {id} ({name})"));
            }
            if name.is_empty() || name.contains('@') {
                return config(format!("invalid name of site {id}: expected a text without @"));
            }
        }
        let mut streams = Vec::new();
        for name in &self.streams {
            match Name::parse(name) {
                Some(found) if !streams.contains(&found) => streams.push(found),
                Some(_) => {}
                None => {
                    let known = STREAMS.join(", ");
                    return config(format!("unknown stream {name:?}: expected one of {known}"));
                }
            }
        }
        if streams.is_empty() {
            return config("missing stream; call `.streams()` with at least one".to_owned());
        }
        for (index, segment) in self.segments.iter().enumerate() {
            if !segment.is_usable() {
                return config(format!(
                    "invalid segment {}: expected a name of lower-case letters, digits, - and _, and a definition",
                    index + 1
                ));
            }
            if self.segments[..index].iter().any(|other| other.name() == segment.name()) {
                return config(format!("duplicate segment {}", segment.name()));
            }
        }
        let client = self.client.build()?;
        Ok(Matomo(Arc::new(Inner {
            client,
            token,
            sites: self.sites,
            streams,
            segments: self.segments,
            page_size: self.page_size,
            table_rows: self.table_rows,
            concurrency: self.concurrency,
            finality: self.finality,
            retry: self.retry,
            sites_told: OnceCell::new(),
            without_bulk: AtomicBool::new(false),
            refused: OnceLock::new(),
            shared: super::shared::Shared::default(),
        })))
    }
}
