//! The checks.

use super::{DeliverabilityReport, Finding, Resolver, Verdict};
use crate::Message;
use crate::unsubscribe::UnsubscribeKeys;
use base64::Engine;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// Mechanisms of SPF that may be looked up (RFC 7208 §4.6.4).
const MAX_LOOKUPS: usize = 10;
/// Questions of one check, whatever the records say.
const MAX_QUESTIONS: usize = 40;
/// Characters shown of a record.
const MAX_SHOWN: usize = 120;

/// Checks a sender's domain, and an email as it would be sent.
#[derive(Debug, Clone)]
#[must_use]
pub struct DeliverabilityCheck {
    domain: String,
    return_path: String,
    selectors: Vec<String>,
    includes: Vec<String>,
    unsubscribe: Option<Finding>,
}

impl DeliverabilityCheck {
    /// The domain of the address in `From`.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for what is not the name of a domain.
    pub fn new(domain: &str) -> Result<Self> {
        let domain = host(domain)?;
        let return_path = domain.clone();
        Ok(Self { domain, return_path, selectors: Vec::new(), includes: Vec::new(), unsubscribe: None })
    }

    /// The domain of the envelope sender, where it is another one: SPF is looked up there. Default: that of `From`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn return_path(mut self, domain: &str) -> Result<Self> {
        self.return_path = host(domain)?;
        Ok(self)
    }

    /// Adds a DKIM selector: `s1` for `s1._domainkey.shop.example`.
    pub fn selector(mut self, selector: impl Into<String>) -> Self {
        self.selectors.push(selector.into());
        self
    }

    /// Adds a domain that SPF must include: the one that the provider names, such as `spf.brevo.com`.
    pub fn spf_includes(mut self, domain: impl Into<String>) -> Self {
        self.includes.push(domain.into().to_ascii_lowercase());
        self
    }

    /// Checks that a marketing email has a one-click unsubscribe link, and that these keys have signed it.
    pub fn unsubscribe(mut self, message: &Message, keys: &UnsubscribeKeys, now: DateTime<Utc>) -> Self {
        let finding = match message.list_unsubscribe() {
            None => bad(
                "unsubscribe",
                "the email has no List-Unsubscribe",
                "add a signed link: UnsubscribeKeys::link and MessageBuilder::list_unsubscribe",
            ),
            Some(link) => match keys.verify_link(link.link(), now) {
                Ok(claim) if claim.is_about(&message.to().address) => {
                    good("unsubscribe", "List-Unsubscribe with one click, signed, about the recipient")
                }
                Ok(_) => bad(
                    "unsubscribe",
                    "the link is signed for somebody else",
                    "sign the link of each email for its recipient",
                ),
                Err(refusal) => bad(
                    "unsubscribe",
                    &refusal.to_string(),
                    "sign the link with the keys that its endpoint has",
                ),
            },
        };
        self.unsubscribe = Some(finding);
        self
    }

    /// Looks everything up. A question that cannot be answered is [`Verdict::Unknown`].
    pub async fn run(&self, resolver: &dyn Resolver) -> DeliverabilityReport {
        let mut findings = vec![self.spf(resolver).await];
        for selector in &self.selectors {
            findings.push(self.dkim(resolver, selector).await);
        }
        if self.selectors.is_empty() {
            let found = "no selector was given, so that no key can be looked up";
            findings.push(finding(
                "dkim",
                Verdict::Unknown,
                found,
                Some("name the selector that your provider signs with"),
            ));
        }
        findings.push(self.dmarc(resolver).await);
        findings.push(self.mx(resolver).await);
        findings.extend(self.unsubscribe.clone());
        DeliverabilityReport::new(self.domain.clone(), findings)
    }

    async fn spf(&self, resolver: &dyn Resolver) -> Finding {
        const CHECK: &str = "spf";
        let domain = &self.return_path;
        let records = match texts(resolver, domain, "v=spf1").await {
            Ok(records) => records,
            Err(error) => return unknown(CHECK, domain, &error),
        };
        let record = match records.as_slice() {
            [] => {
                let include = self.includes.first().map_or("the servers that send", String::as_str);
                return bad(
                    CHECK,
                    &format!("{domain} has no SPF record"),
                    &format!("add a TXT record at {domain}: v=spf1 include:{include} ~all"),
                );
            }
            [record] => record,
            _ => {
                let found = format!("{domain} has {} SPF records: all of them are void", records.len());
                return bad(CHECK, &found, "make one record of them");
            }
        };
        let shown = shown(record);
        let mut spf = Spf { lookups: 0, questions: 0, includes: Vec::new(), failed: None, all: None };
        spf.walk(resolver, domain, record).await;
        if let Some(name) = &spf.failed {
            return finding(
                CHECK,
                Verdict::Unknown,
                &format!("{shown}: {name} cannot be looked up"),
                Some("check again later"),
            );
        }
        if spf.lookups > MAX_LOOKUPS {
            let found = format!("{shown}: {} look-ups, of which receivers make {MAX_LOOKUPS}", spf.lookups);
            return bad(
                CHECK,
                &found,
                "remove what no longer sends, or write networks (ip4:) instead of names",
            );
        }
        if let Some(missing) = self.includes.iter().find(|name| !spf.includes.contains(name)) {
            return bad(
                CHECK,
                &format!("{shown}: does not include {missing}"),
                &format!("add include:{missing} before all"),
            );
        }
        match spf.all {
            Some('+') => bad(CHECK, &format!("{shown}: +all lets anybody send"), "end with ~all or -all"),
            Some('-' | '~') => good(CHECK, &shown),
            _ => finding(
                CHECK,
                Verdict::Weak,
                &format!("{shown}: decides about nobody else"),
                Some("end with ~all or -all"),
            ),
        }
    }

    async fn dkim(&self, resolver: &dyn Resolver, selector: &str) -> Finding {
        const CHECK: &str = "dkim";
        let name = format!("{selector}._domainkey.{}", self.domain);
        let records = match resolver.txt(&name).await {
            Ok(records) => records,
            Err(error) => return unknown(CHECK, &name, &error),
        };
        let Some(tags) = records.iter().map(|record| tags(record)).find(|tags| tags.contains_key("p")) else {
            return bad(CHECK, &format!("{name} has no key"), "publish the key that your provider shows");
        };
        let key = tags.get("p").map(|key| key.replace(char::is_whitespace, "")).unwrap_or_default();
        if key.is_empty() {
            return bad(CHECK, &format!("{name}: the key was revoked"), "sign with another selector");
        }
        let Ok(der) = base64::engine::general_purpose::STANDARD.decode(&key) else {
            return bad(
                CHECK,
                &format!("{name}: the key is not base 64"),
                "publish the whole key, in one record",
            );
        };
        let testing = tags.get("t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
        match (tags.get("k").map_or("rsa", String::as_str), der.len()) {
            ("rsa", 0..140) => {
                bad(CHECK, &format!("{name}: the RSA key has fewer than 1024 bits"), "make one of 2048 bits")
            }
            ("rsa", 140..200) => finding(
                CHECK,
                Verdict::Weak,
                &format!("{name}: an RSA key of 1024 bits"),
                Some("make one of 2048 bits"),
            ),
            ("rsa", _) if testing => {
                finding(CHECK, Verdict::Weak, &format!("{name}: marked as a test (t=y)"), Some("remove t=y"))
            }
            ("rsa", _) => good(CHECK, &format!("{name}: an RSA key of 2048 bits or more")),
            ("ed25519", 32) => finding(
                CHECK,
                Verdict::Weak,
                &format!("{name}: an Ed25519 key, which many receivers do not verify"),
                Some("sign with an RSA key too"),
            ),
            (kind, _) => bad(
                CHECK,
                &format!("{name}: a key of an unknown kind, {}", shown(kind)),
                "publish an RSA key",
            ),
        }
    }

    async fn dmarc(&self, resolver: &dyn Resolver) -> Finding {
        const CHECK: &str = "dmarc";
        // The record of a domain above counts for those below it.
        let mut name = self.domain.as_str();
        let (record, at) = loop {
            let at = format!("_dmarc.{name}");
            let records = match texts(resolver, &at, "v=DMARC1").await {
                Ok(records) => records,
                Err(error) => return unknown(CHECK, &at, &error),
            };
            match records.as_slice() {
                [record] => break (record.clone(), at),
                [_, ..] => {
                    return bad(
                        CHECK,
                        &format!("{at} has {} records: all of them are void", records.len()),
                        "keep one",
                    );
                }
                [] => {}
            }
            match name.split_once('.') {
                Some((_, above)) if above.contains('.') => name = above,
                _ => {
                    let change =
                        format!("add a TXT record at _dmarc.{}: v=DMARC1; p=none; rua=mailto:…", self.domain);
                    return bad(CHECK, &format!("_dmarc.{} does not exist", self.domain), &change);
                }
            }
        };
        let tags = tags(&record);
        let shown = format!("{at}: {}", shown(&record));
        // Aligned: one domain is the other, or above it.
        let (a, b) = (self.return_path.as_str(), self.domain.as_str());
        let aligned = a == b || a.ends_with(&format!(".{b}")) || b.ends_with(&format!(".{a}"));
        if !aligned && self.selectors.is_empty() {
            let found = format!("{shown}: the envelope sender is at {a}, so that SPF is not aligned");
            return bad(CHECK, &found, &format!("sign with DKIM for {b}, or use an envelope sender at {b}"));
        }
        match tags.get("p").map(|policy| policy.to_ascii_lowercase()).as_deref() {
            Some("quarantine" | "reject") => good(CHECK, &shown),
            Some("none") if tags.contains_key("rua") => finding(
                CHECK,
                Verdict::Weak,
                &format!("{shown}: watches and protects nobody"),
                Some("when the reports show no surprise, p=quarantine"),
            ),
            Some("none") => finding(
                CHECK,
                Verdict::Weak,
                &format!("{shown}: nobody reads reports"),
                Some("add rua=mailto:… for reports"),
            ),
            _ => bad(CHECK, &format!("{shown}: no policy"), "add p=none, p=quarantine or p=reject"),
        }
    }

    async fn mx(&self, resolver: &dyn Resolver) -> Finding {
        const CHECK: &str = "mx";
        match resolver.mx(&self.return_path).await {
            Err(error) => unknown(CHECK, &self.return_path, &error),
            Ok(exchangers) => {
                let domain = &self.return_path;
                match exchangers.iter().min() {
                    None => bad(
                        CHECK,
                        &format!("{domain} has no MX: bounces and replies are lost"),
                        "add an MX record",
                    ),
                    Some((_, host)) if matches!(host.as_str(), "." | "") => bad(
                        CHECK,
                        &format!("{domain} says that it receives no email (null MX)"),
                        "send from a domain that receives",
                    ),
                    Some((_, host)) => good(CHECK, &format!("{domain} receives at {}", shown(host))),
                }
            }
        }
    }
}

/// What is counted while a record and those it includes are read.
struct Spf {
    lookups: usize,
    questions: usize,
    includes: Vec<String>,
    failed: Option<String>,
    all: Option<char>,
}

impl Spf {
    /// Reads a record, and those that it includes or points to, one after the other: no depth, and a bound on questions.
    async fn walk(&mut self, resolver: &dyn Resolver, domain: &str, record: &str) {
        let mut waiting = vec![(domain.to_owned(), record.to_owned(), true)];
        while let Some((_, record, decides)) = waiting.pop() {
            for term in record.split_whitespace().skip(1) {
                let (sign, term) = match term.chars().next() {
                    Some(sign @ ('+' | '-' | '~' | '?')) => (sign, &term[1..]),
                    _ => ('+', term),
                };
                let term = term.to_ascii_lowercase();
                let (name, value) = term.split_once([':', '=']).unwrap_or((term.as_str(), ""));
                let name = name.split('/').next().unwrap_or_default();
                match name {
                    "all" if decides => self.all = Some(sign),
                    "a" | "mx" | "ptr" | "exists" => self.lookups += 1,
                    "include" | "redirect" => {
                        self.lookups += 1;
                        self.includes.push(value.to_owned());
                        self.questions += 1;
                        // A macro depends on the email.
                        if self.questions > MAX_QUESTIONS || value.contains('%') {
                            continue;
                        }
                        match texts(resolver, value, "v=spf1").await {
                            Ok(records) => waiting.extend(
                                records
                                    .into_iter()
                                    .take(1)
                                    .map(|text| (value.to_owned(), text, decides && name == "redirect")),
                            ),
                            Err(_) => self.failed = Some(value.to_owned()),
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The texts of a name that begin with a version.
async fn texts(resolver: &dyn Resolver, name: &str, version: &str) -> Result<Vec<String>> {
    let is = |text: &str| {
        text.get(..version.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(version))
            && !text[version.len()..].starts_with(|c: char| c.is_alphanumeric())
    };
    Ok(resolver.txt(name).await?.into_iter().filter(|text| is(text)).collect())
}

/// The tags of a record: `v=DKIM1; k=rsa; p=…`.
fn tags(record: &str) -> BTreeMap<String, String> {
    let tag = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    record.split(';').filter_map(tag).collect()
}

fn host(domain: &str) -> Result<String> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    match format!("postmaster@{domain}").parse::<crate::EmailAddress>() {
        Ok(address) if address.domain().contains('.') => Ok(address.domain().to_owned()),
        _ => Err(Error::new(ErrorKind::Input, "deliverability", "check").with_detail(format!(
            "invalid domain {:?}: expected a name such as shop.example",
            shown(&domain)
        ))),
    }
}

fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(MAX_SHOWN).map(clean).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push('…');
    }
    short
}

fn finding(check: &'static str, verdict: Verdict, found: &str, change: Option<&str>) -> Finding {
    Finding { check, verdict, found: found.to_owned(), change: change.map(str::to_owned) }
}

fn good(check: &'static str, found: &str) -> Finding {
    finding(check, Verdict::Good, found, None)
}

fn bad(check: &'static str, found: &str, change: &str) -> Finding {
    finding(check, Verdict::Bad, found, Some(change))
}

fn unknown(check: &'static str, name: &str, error: &Error) -> Finding {
    finding(
        check,
        Verdict::Unknown,
        &format!("{name} cannot be looked up: {error}"),
        Some("check again later"),
    )
}
