//! Which hosts are the site's own: a referrer of them brings nobody.

use crate::channel::{Services, host_and_path};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};

/// Hosts and paths that are remembered.
const HOSTS: usize = 10_000;
const PATHS: usize = 200_000;

/// The site's own hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Own {
    hosts: BTreeSet<String>,
    /// The host that was found by its referrers, with their number.
    pub(super) found: Option<(String, u64)>,
}

fn plain(host: &str) -> String {
    let host = host.trim().to_lowercase();
    let host = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(host.as_str(), |(host, _)| host);
    host.strip_prefix("www.").unwrap_or(host).to_owned()
}

impl Own {
    pub(super) fn contains(&self, host: &str) -> bool {
        self.hosts.contains(&plain(host))
    }
}

/// What lines tell about the site's hosts.
#[derive(Debug, Default)]
pub(super) struct Referrers {
    hosts: BTreeSet<String>,
    paths: HashSet<u64, foldhash::fast::RandomState>,
    /// Of each referring host: requests, and those whose referrer is a page of this log.
    seen: HashMap<String, (u64, u64), foldhash::fast::RandomState>,
    all: u64,
    seed: foldhash::fast::FixedState,
}

impl Referrers {
    pub(super) fn see(&mut self, host: Option<&str>, target: &str, referrer: Option<&str>) {
        if let Some(host) = host {
            if self.hosts.len() < HOSTS && !self.hosts.contains(host) {
                self.hosts.insert(plain(host));
            }
            return;
        }
        if self.paths.len() < PATHS {
            let path = self.hash(path_of(target));
            self.paths.insert(path);
        }
        let Some((host, path)) = referrer.and_then(host_and_path) else { return };
        self.all += 1;
        let is_page = path_of(path) != "/" && self.paths.contains(&self.hash(path_of(path)));
        if self.seen.len() < HOSTS || self.seen.contains_key(host) {
            let held = self.seen.entry(host.to_lowercase()).or_default();
            held.0 += 1;
            held.1 += u64::from(is_page);
        }
    }

    fn hash(&self, path: &str) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(path.as_bytes());
        hasher.finish()
    }

    /// The hosts of the lines and those that were declared. Where there are none, the host that most referrers name, if at
    /// least two of them, and half of its own, are pages of this log.
    pub(super) fn decide(&self, declared: &[String]) -> Own {
        let mut own = Own { hosts: self.hosts.clone(), found: None };
        own.hosts.extend(declared.iter().map(|host| plain(host)));
        if !own.hosts.is_empty() {
            return own;
        }
        let most = self.seen.iter().max_by_key(|(host, (_, pages))| (*pages, host.as_str()));
        if let Some((host, (all, pages))) = most
            && *pages >= 2
            && pages * 2 >= *all
            && Services::published().of_host(host, "").is_none()
        {
            own.hosts.insert(plain(host));
            own.found = Some((host.clone(), *all));
        }
        own
    }
}

fn path_of(target: &str) -> &str {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if path.is_empty() { "/" } else { path }
}
