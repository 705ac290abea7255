//! What a check has found, and what to change.

use serde::Serialize;
use std::fmt;

/// How good what was found is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and should be better.
    Weak,
    /// It could not be found out.
    Unknown,
    /// Emails will be refused or taken for spam.
    Bad,
}

impl Verdict {
    /// The verdict as printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Unknown => "unknown",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// `spf`, `dkim`, `dmarc`, `mx`, `unsubscribe`.
    pub check: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to change; none if nothing.
    pub change: Option<String>,
}

/// The findings about a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliverabilityReport {
    /// The domain of the sender.
    pub domain: String,
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// What was looked at, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl DeliverabilityReport {
    pub(super) fn new(domain: String, findings: Vec<Finding>) -> Self {
        let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Good);
        Self { domain, verdict, findings }
    }

    /// The worst verdict of a check; none if it was not made.
    #[must_use]
    pub fn verdict(&self, check: &str) -> Option<Verdict> {
        self.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.verdict).max()
    }
}

impl fmt::Display for DeliverabilityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.domain, self.verdict.as_str())?;
        for finding in &self.findings {
            writeln!(f, "  {:<12} {:<8} {}", finding.check, finding.verdict.as_str(), finding.found)?;
            if let Some(change) = &finding.change {
                writeln!(f, "  {:<21} {change}", "")?;
            }
        }
        Ok(())
    }
}
