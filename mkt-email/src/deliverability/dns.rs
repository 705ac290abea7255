//! Questions to the DNS.

use async_trait::async_trait;
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Looks names up. Names are in ASCII, without a dot at the end, and are asked for as they are: no search list.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The texts of a name, each with its strings joined; none if there is no such name or no text.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the question cannot be answered now: it says nothing about the name.
    async fn txt(&self, name: &str) -> Result<Vec<String>>;

    /// The mail exchangers of a name, with their preferences; none if there is no such name or no exchanger. `.` is the
    /// null MX (RFC 7505).
    ///
    /// # Errors
    /// As [`txt`](Self::txt).
    async fn mx(&self, name: &str) -> Result<Vec<(u16, String)>>;
}

/// Answers that are given in advance, for tests.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct StaticResolver {
    txt: BTreeMap<String, Vec<String>>,
    mx: BTreeMap<String, Vec<(u16, String)>>,
    failing: BTreeSet<String>,
}

impl StaticResolver {
    /// Knows no name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    pub fn txt(mut self, name: &str, text: &str) -> Self {
        self.txt.entry(name.to_ascii_lowercase()).or_default().push(text.to_owned());
        self
    }

    /// Adds a mail exchanger.
    pub fn mx(mut self, name: &str, preference: u16, host: &str) -> Self {
        self.mx.entry(name.to_ascii_lowercase()).or_default().push((preference, host.to_owned()));
        self
    }

    /// Fails every question about a name.
    pub fn failing(mut self, name: &str) -> Self {
        self.failing.insert(name.to_ascii_lowercase());
        self
    }

    fn ask<T: Clone>(&self, answers: &BTreeMap<String, Vec<T>>, name: &str) -> Result<Vec<T>> {
        let name = name.to_ascii_lowercase();
        if self.failing.contains(&name) {
            return Err(Error::new(ErrorKind::Unavailable, "dns", "look up").with_detail("no answer"));
        }
        Ok(answers.get(&name).cloned().unwrap_or_default())
    }
}

#[async_trait]
impl Resolver for StaticResolver {
    async fn txt(&self, name: &str) -> Result<Vec<String>> {
        self.ask(&self.txt, name)
    }

    async fn mx(&self, name: &str) -> Result<Vec<(u16, String)>> {
        self.ask(&self.mx, name)
    }
}
