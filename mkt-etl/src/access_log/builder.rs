//! Settings of a source of access logs.

use super::{AccessLog, Format, Inner, SERVICE, Settings, visitor};
use crate::sessions::Rules;
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result, Secret};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Settings of an [`AccessLog`].
#[derive(Debug, Clone)]
pub struct AccessLogBuilder {
    site: String,
    zone: Tz,
    secret: Secret,
    times_in: Option<Tz>,
    format: Option<Format>,
    rules: Rules,
    hosts: Vec<String>,
    work_folder: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl AccessLog {
    /// Settings for a site of this name, whose days are cut in this zone. The secret makes the keys of visitors: keep it,
    /// since another one gives other keys, and keep it secret, since addresses can be guessed with it.
    ///
    /// ```
    /// use mkt_connect::Secret;
    /// use mkt_etl::access_log::AccessLog;
    /// let log = AccessLog::builder("shop", chrono_tz::Europe::Paris, Secret::new("a long random text"))
    ///     .file("access.log")
    ///     .file("access.log.2.gz")
    ///     .build()?;
    /// # Ok::<(), mkt_connect::Error>(())
    /// ```
    #[must_use]
    pub fn builder(site: impl Into<String>, zone: Tz, secret: Secret) -> AccessLogBuilder {
        AccessLogBuilder {
            site: site.into(),
            zone,
            secret,
            times_in: None,
            format: None,
            rules: Rules::default(),
            hosts: Vec::new(),
            work_folder: None,
            files: Vec::new(),
        }
    }
}

impl AccessLogBuilder {
    /// A file, plain or compressed. Give all files that hold lines of a day together.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// The zone of times without an offset (HAProxy). Default: the site's.
    #[must_use]
    pub fn times_in(mut self, zone: Tz) -> Self {
        self.times_in = Some(zone);
        self
    }

    /// Declares the format of all files. Default: found for each.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// When a visit ends. Default: [`Rules::default`].
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// A host of the site. The first one is put before the paths of lines that name none. Default: the hosts of the lines.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into().trim().to_lowercase());
        self
    }

    /// The folder in which page views wait for their order. Default: the system's for temporary files.
    #[must_use]
    pub fn work_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.work_folder = Some(folder.into());
        self
    }

    /// Checks the settings. No file is opened.
    ///
    /// # Errors
    /// `Config`: no file, an empty secret, an invalid name of the site or of a host.
    pub fn build(self) -> Result<AccessLog> {
        let config = |detail: &str| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        if self.files.is_empty() {
            return config("missing file; call `.file()`");
        }
        if self.secret.is_empty() {
            return config("empty secret: expected a random text that is kept");
        }
        if self.site.is_empty() || self.site.contains('@') {
            return config("invalid name of the site: expected a text without @");
        }
        let invalid = |host: &String| host.is_empty() || host.contains(['/', '@', ' ']);
        if let Some(host) = self.hosts.iter().find(|host| invalid(host)) {
            return config(&format!(
                "invalid host {:?}: expected a name such as shop.example",
                crate::clean::without_addresses(host)
            ));
        }
        Ok(AccessLog(Arc::new(Inner {
            settings: Settings {
                site: self.site,
                zone: self.zone,
                times_in: self.times_in.unwrap_or(self.zone),
                format: self.format,
                rules: self.rules,
                hosts: self.hosts,
                work_folder: self.work_folder,
                keys: visitor::Keys::new(self.secret),
            },
            files: self.files,
            index: Mutex::new(None),
        })))
    }
}
