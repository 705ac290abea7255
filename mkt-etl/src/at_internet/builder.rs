//! Settings of an account: everything that can be checked without a network is checked here.

use super::api::Api;
use super::budget::CallBudget;
use super::catalogue;
use super::filter::Filter;
use super::query::{MAX_COLUMNS_V2, MAX_COLUMNS_V3, MAX_PAGE, MAX_ROWS, MAX_SEGMENTS, Options};
use super::report::Report;
use super::slicing::Limits;
use super::url::Version;
use super::visits::VisitColumns;
use super::{AtInternet, Inner, SERVICE, VISITS};
use crate::source::SiteFacts;
use chrono::TimeDelta;
use chrono_tz::Tz;
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{Client, ClientBuilder};
use mkt_connect::{Currency, Error, ErrorKind, Result, Secret};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

/// Settings of an [`AtInternet`].
#[derive(Debug, Clone)]
pub struct AtInternetBuilder {
    client: ClientBuilder,
    key: Option<Secret>,
    user: Option<String>,
    restricted: bool,
    version: Version,
    sites: Vec<(u64, SiteFacts)>,
    reports: Vec<Report>,
    visits: Option<VisitColumns>,
    limits: Limits,
    budget: CallBudget,
    concurrency: usize,
    finality: TimeDelta,
    retry: Policy,
}

impl AtInternetBuilder {
    pub(super) fn new(base_url: &str) -> Self {
        Self {
            // A page has up to 10,000 rows of up to 50 columns.
            client: Client::builder(SERVICE, base_url).max_body_bytes(64 * 1024 * 1024),
            key: None,
            user: None,
            restricted: false,
            version: Version::V3,
            sites: Vec::new(),
            reports: Vec::new(),
            visits: None,
            limits: Limits { page: MAX_PAGE, rows: MAX_ROWS },
            budget: CallBudget::new(),
            concurrency: 4,
            finality: TimeDelta::days(3),
            retry: Policy::default(),
        }
    }

    /// The key of version 3: access key and secret key with `_` between them (profile → API keys).
    #[must_use]
    pub fn key(mut self, key: impl Into<Secret>) -> Self {
        (self.key, self.user, self.version) = (Some(key.into()), None, Version::V3);
        self.restricted = false;
        self
    }

    /// A restricted key, which gives one data set of version 3 and takes the period and the page only. Needs one
    /// [`space`](Self::space), whose name and zone the rows get, and one [`report`](Self::report) with the columns of the
    /// data set and nothing else. Its rows go to `dimension_metrics` even without a property: which filter the key has is
    /// not told. There are no control totals.
    #[must_use]
    pub fn restricted_key(self, key: impl Into<Secret>) -> Self {
        Self { restricted: true, ..self.key(key) }
    }

    /// Version 2 instead, with HTTP Basic: a user and the password. Names of columns are those of version 2 then
    /// (`d_page`).
    #[must_use]
    pub fn rest_v2(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        (self.key, self.user, self.version) = (Some(password.into()), Some(user.into()), Version::V2);
        self.restricted = false;
        self
    }

    /// Version 2 instead, with a key in the header `x-api-key`: for organisations with single sign-on, whose users have no
    /// password. Names of columns are those of version 2.
    #[must_use]
    pub fn rest_v2_with_key(mut self, key: impl Into<Secret>) -> Self {
        (self.key, self.user, self.version) = (Some(key.into()), None, Version::V2);
        self.restricted = false;
        self
    }

    /// A site by its number, named by the number, and the zone of its days: the API does not tell it.
    #[must_use]
    pub fn space(self, id: u64, zone: Tz) -> Self {
        self.space_named(id, id.to_string(), zone, None)
    }

    /// A site by its number, with the name it gets in the `site` column, its zone and its currency.
    #[must_use]
    pub fn space_named(
        mut self,
        id: u64,
        name: impl Into<String>,
        zone: Tz,
        currency: Option<Currency>,
    ) -> Self {
        let site = SiteFacts::new(name, zone).native_id(id.to_string()).currency(currency);
        self.sites.push((id, site));
        self
    }

    /// A report, which becomes a stream of its name.
    #[must_use]
    pub fn report(mut self, report: Report) -> Self {
        self.reports.push(report);
        self
    }

    /// Single visits, which become the stream `visits`: for accounts with such columns.
    #[must_use]
    pub fn visits(mut self, columns: VisitColumns) -> Self {
        self.visits = Some(columns);
        self
    }

    /// Lets this one host be reached over plain http and at a private address: a stand-in on loopback.
    #[must_use]
    pub fn allow_insecure_host(mut self, host: &str) -> Self {
        self.client = self.client.allow_insecure_host(host);
        self
    }

    /// Rows of a page, and of a query over all of its pages, where they are fewer than the vendor's 10,000 and 200,000.
    #[must_use]
    pub fn row_limits(mut self, page: u32, query: u64) -> Self {
        let page = page.clamp(1, MAX_PAGE);
        self.limits = Limits { page, rows: query.clamp(u64::from(page), MAX_ROWS) };
        self
    }

    /// The calls at once that are shared with other sources of the same user or organisation.
    #[must_use]
    pub fn budget(mut self, budget: &CallBudget) -> Self {
        self.budget = budget.clone();
        self
    }

    /// Slices read at once. Default: 4, and never more than the calls of a user.
    #[must_use]
    pub fn concurrency(mut self, slices: usize) -> Self {
        self.concurrency = slices.max(1);
        self
    }

    /// How long after its end a day may still change. Default: three days; the vendor documents no time.
    #[must_use]
    pub fn finality(mut self, after: TimeDelta) -> Self {
        self.finality = after;
        self
    }

    /// How often and how long a call is tried again after throttling or a failing server. A refused key is never tried
    /// again.
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
    /// `Config`: no key, no site, no report; a restricted key with more than one of them; two of one name; two reports that would write the same daily metric; more
    /// columns or segments than the version takes; a filter that it cannot say; a base URL that cannot be used.
    pub fn build(mut self) -> Result<AtInternet> {
        let config =
            |detail: String| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        let Some(key) = self.key.clone().filter(|key| !key.is_empty()) else {
            return config("missing API key; call `.key()`".to_owned());
        };
        if self.restricted {
            self.reports.iter_mut().for_each(|report| report.is_restricted = true);
            if let Err(detail) = self.check_restricted() {
                return config(detail);
            }
        }
        if let Err(detail) = self.check_sites().and_then(|()| self.check_reports()) {
            return config(detail);
        }
        let client = match &self.user {
            None => self.client.secret_header("x-api-key", &key),
            Some(user) => self.client.basic_auth(user.clone(), &key),
        };
        let version = self.version;
        let api = Api {
            client: client.build()?,
            version,
            key,
            budget: self.budget.clone(),
            retry: self.retry,
            refused: OnceLock::new(),
        };
        let source = AtInternet(Arc::new(Inner {
            api,
            sites: self.sites,
            reports: self.reports,
            visits: self.visits,
            restricted: self.restricted,
            limits: self.limits,
            concurrency: self.concurrency.min(self.budget.of_user()),
            finality: self.finality,
            uncounted: Mutex::default(),
            without_content: Mutex::default(),
        }));
        source.check_queries()?;
        Ok(source)
    }

    fn check_sites(&self) -> Result<(), String> {
        if self.sites.is_empty() {
            return Err("missing site; call `.space()`".to_owned());
        }
        for (index, (id, site)) in self.sites.iter().enumerate() {
            let name = &site.site;
            if self.sites[..index].iter().any(|(other, held)| other == id || held.site == *name) {
                return Err(format!("duplicate site {id}, by its number or its name"));
            }
            if name.is_empty() || name.contains('@') {
                return Err(format!("invalid name of site {id}: expected a text without @"));
            }
        }
        Ok(())
    }

    fn check_restricted(&self) -> Result<(), String> {
        let [report] = self.reports.as_slice() else {
            return Err("a restricted key has one report; call `.report()` once".to_owned());
        };
        if self.visits.is_some() || self.sites.len() > 1 {
            return Err("a restricted key has one site and no stream of visits".to_owned());
        }
        if report.filter.is_some() || !report.segments.is_empty() || report.options != Options::default() {
            return Err(format!(
                "the report {} has a filter, segment or option, which is the key's",
                report.name
            ));
        }
        Ok(())
    }

    fn check_reports(&self) -> Result<(), String> {
        if self.reports.is_empty() && self.visits.is_none() {
            return Err("missing report; call `.report()`".to_owned());
        }
        let max_columns = match self.version {
            Version::V2 => MAX_COLUMNS_V2,
            Version::V3 => MAX_COLUMNS_V3,
        };
        let mut daily = BTreeSet::new();
        for (index, report) in self.reports.iter().enumerate() {
            let name = report.name();
            if name == VISITS || self.reports[..index].iter().any(|other| other.name() == name) {
                return Err(format!("the name {name} is taken by another stream"));
            }
            let columns = report.columns().len();
            if columns > max_columns {
                return Err(format!(
                    "the report {name} has {columns} columns, and {max_columns} go into one query"
                ));
            }
            if report.segments.len() > MAX_SEGMENTS {
                return Err(format!("the report {name} has more than {MAX_SEGMENTS} segments"));
            }
            if report.filter.iter().flat_map(Filter::conditions).any(|test| test.column.period.is_some()) {
                return Err(format!("the filter of the report {name} names a period"));
            }
            let stored: BTreeSet<_> = report.metrics.iter().map(catalogue::stored_name).collect();
            let unlike =
                report.properties.iter().map(|name| name.as_str().replace('.', "_")).collect::<BTreeSet<_>>();
            if stored.len() < report.metrics.len() || unlike.len() < report.properties.len() {
                return Err(format!("two columns of the report {name} have one name in the warehouse"));
            }
            if report.is_of_the_site() {
                for metric in stored {
                    if !daily.insert(metric.clone()) {
                        return Err(format!("{metric} would be written by two reports of the site"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl AtInternet {
    /// Whether every query can be said in its version.
    fn check_queries(&self) -> Result<()> {
        let inner = &self.0;
        let day = chrono::NaiveDate::default();
        let asked = inner
            .reports
            .iter()
            .map(super::Asked::Report)
            .chain(inner.visits.iter().map(super::Asked::Visits));
        for asked in asked {
            let query = inner.query(asked, 1, day);
            let said = match inner.api.version {
                Version::V2 => query.v2_parameters().map(|_| ()),
                Version::V3 => query.to_v3(super::url::Method::Data).map(|_| ()),
            };
            said.map_err(|error| {
                Error::new(ErrorKind::Config, SERVICE, "build").with_detail(error.to_string())
            })?;
        }
        Ok(())
    }
}
