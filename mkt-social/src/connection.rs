//! The connection settings of every source over HTTP.

use mkt_connect::Result;
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::http::rate::{Limits, RateBudget};
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{Client, ClientBuilder};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub(super) struct Connection {
    pub(super) base_url: String,
    pub(super) insecure: Option<String>,
    pub(super) policy: Policy,
    pub(super) patience: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Connection {
    pub(super) fn new(base_url: impl Into<String>, patience: Duration) -> Self {
        Self {
            base_url: base_url.into(),
            insecure: None,
            policy: Policy::default(),
            patience,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// A client with these rate limits; the source adds its credentials.
    pub(super) fn client(&self, service: &'static str, limits: &Limits) -> ClientBuilder {
        let client = Client::builder(service, &self.base_url)
            .rate(&RateBudget::with_clock(limits, Arc::clone(&self.clock)))
            .rate_patience(self.patience)
            .clock(Arc::clone(&self.clock));
        self.insecure.iter().fold(client, |client, host| client.allow_insecure_host(host))
    }

    /// Without credentials.
    pub(super) fn plain(&self, service: &'static str, limits: &Limits) -> Result<Client> {
        self.client(service, limits).build()
    }
}

/// The methods of a builder with a field `connection`; the literal documents its default patience.
macro_rules! connection_methods {
    ($patience:literal) => {
        /// Allows plain http and a private address for this one host: a fake, or a server on loopback.
        #[must_use]
        pub fn allow_insecure_host(mut self, host: impl Into<String>) -> Self {
            self.connection.insecure = Some(host.into());
            self
        }

        #[doc = concat!("Sets the longest wait for the rate limit before a read ends with `RateLimited`. Default ", $patience)]
        #[must_use]
        pub fn patience(mut self, patience: std::time::Duration) -> Self {
            self.connection.patience = patience;
            self
        }

        /// Sets how often, and after what time, a failed call is retried.
        #[must_use]
        pub fn retry(mut self, policy: mkt_connect::http::retry::Policy) -> Self {
            self.connection.policy = policy;
            self
        }

        /// Replaces the clock, for tests.
        #[must_use]
        pub fn clock(mut self, clock: std::sync::Arc<dyn mkt_connect::clock::Clock>) -> Self {
            self.connection.clock = clock;
            self
        }
    };
}
pub(super) use connection_methods;
