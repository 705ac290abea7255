//! The contract of [`AnalyticsSource`], executed: one check for each sentence, for any implementation.
//!
//! A check never panics: it gives [`Verdict::Held`], [`Verdict::Skipped`] with the reason, or [`Verdict::Violated`] with
//! what was seen. So the suite also serves against a real account.
//!
//! ```
//! use mkt_etl::{Memory, Window};
//! use mkt_etl::testing::conformance::{Subject, check_all};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let source = Memory::new("memory", "shop", chrono_tz::Europe::Paris);
//! let day = "2026-03-28".parse().unwrap();
//! let subject = Subject::new(&source, "shop", Window::days(day, day));
//! let findings = check_all(&subject).await;
//! assert!(findings.iter().all(|finding| !finding.is_violated()), "{findings:?}");
//! # }
//! ```

use crate::content::Content;
use crate::source::{AnalyticsSource, Grain, Page, Stream, Window};
use futures_util::StreamExt;
use mkt_connect::{ErrorKind, Result};
use mkt_warehouse::SliceKey;
use std::collections::BTreeSet;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Held,
    /// It could not be looked at, for this reason.
    Skipped(String),
    /// It does not hold; what was seen.
    Violated(String),
}

/// A check and its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check's name: a sentence.
    pub check: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
}

impl Finding {
    /// Whether the contract is broken.
    #[must_use]
    pub fn is_violated(&self) -> bool {
        matches!(self.verdict, Verdict::Violated(_))
    }
}

/// A source, a site of it, and a window in which it has something to tell.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    source: &'a dyn AnalyticsSource,
    site: &'a str,
    window: Window,
    secret: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A subject.
    #[must_use]
    pub fn new(source: &'a dyn AnalyticsSource, site: &'a str, window: Window) -> Self {
        Self { source, site, window, secret: None }
    }

    /// The secret that must nowhere be seen.
    #[must_use]
    pub fn secret(mut self, secret: &'a str) -> Self {
        self.secret = Some(secret);
        self
    }

    fn slices(&self) -> Result<Vec<(Stream, SliceKey)>> {
        let mut slices = Vec::new();
        for stream in self.source.capabilities().streams {
            for slice in self.source.plan(&stream.name, self.site, self.window)? {
                slices.push((stream.clone(), slice));
            }
        }
        Ok(slices)
    }

    async fn pages(&self, slice: &SliceKey) -> Result<Vec<Page>> {
        let mut pages = Vec::new();
        let mut reading = self.source.read(slice);
        while let Some(page) = reading.next().await {
            pages.push(page?);
        }
        Ok(pages)
    }
}

type Outcome = Result<Verdict>;

/// Runs every check.
pub async fn check_all(subject: &Subject<'_>) -> Vec<Finding> {
    let finding = |check, outcome: Outcome| Finding {
        check,
        verdict: outcome.unwrap_or_else(|error| Verdict::Violated(format!("an error: {error}"))),
    };
    vec![
        finding("a plan covers every day exactly once", plan_covers_every_day_exactly_once(subject)),
        finding("a plan is the same every time", plan_is_the_same_every_time(subject)),
        finding("the check names the site and its zone", check_names_the_site(subject).await),
        finding("an unknown site is refused", unknown_site_is_refused(subject).await),
        finding("rows carry the source and site of their slice", rows_belong_to_their_slice(subject).await),
        finding("days of rows are of the slice or the day before", days_stay_inside(subject).await),
        finding("counts add up", counts_add_up(subject).await),
        finding("reading again gives the same rows", reading_again_is_the_same(subject).await),
        finding("control totals agree", control_totals_agree(subject).await),
        finding("a dropped reading harms nothing", dropping_harms_nothing(subject).await),
        finding("no address is in any row", no_address_in_rows(subject).await),
        finding("no secret is in any output", no_secret_in_output(subject).await),
    ]
}

/// Every day of the window is in exactly one slice of a stream of days; a stream without days has one slice.
pub fn plan_covers_every_day_exactly_once(subject: &Subject<'_>) -> Outcome {
    for stream in subject.source.capabilities().streams {
        let slices = subject.source.plan(&stream.name, subject.site, subject.window)?;
        let held = match stream.grain {
            Grain::Day => slices
                .iter()
                .flat_map(|slice| Window { from: slice.from, until: slice.until }.iter())
                .eq(subject.window.iter()),
            Grain::Whole => slices.len() == 1,
        };
        if !held {
            return Ok(Verdict::Violated(format!(
                "the slices of {} do not cover the window once",
                stream.name
            )));
        }
    }
    Ok(Verdict::Held)
}

/// Planning twice gives the same slices.
pub fn plan_is_the_same_every_time(subject: &Subject<'_>) -> Outcome {
    let (first, second) = (subject.slices()?, subject.slices()?);
    Ok(if first == second { Verdict::Held } else { Verdict::Violated("two plans differ".to_owned()) })
}

/// The check finds the site.
pub async fn check_names_the_site(subject: &Subject<'_>) -> Outcome {
    let checked = subject.source.check().await?;
    Ok(if checked.sites.iter().any(|site| site.site == subject.site) {
        Verdict::Held
    } else {
        Verdict::Violated(format!("the check does not name the site {:?}", subject.site))
    })
}

/// A site that does not exist is refused, in the plan and in reading.
pub async fn unknown_site_is_refused(subject: &Subject<'_>) -> Outcome {
    const NOWHERE: &str = "no-such-site";
    for stream in subject.source.capabilities().streams {
        let kind = subject.source.plan(&stream.name, NOWHERE, subject.window).map_err(|error| error.kind());
        if !matches!(kind, Err(ErrorKind::Input | ErrorKind::NotFound)) {
            return Ok(Verdict::Violated(format!("the plan of {} takes an unknown site", stream.name)));
        }
    }
    if let Some((_, slice)) = subject.slices()?.into_iter().next() {
        let slice = SliceKey { site: NOWHERE.to_owned(), ..slice };
        let kind = subject.pages(&slice).await.map_err(|error| error.kind());
        if !matches!(kind, Err(ErrorKind::Input | ErrorKind::NotFound)) {
            return Ok(Verdict::Violated("an unknown site is read".to_owned()));
        }
    }
    Ok(Verdict::Held)
}

/// Every row has the slice's source and site, and is of a table that the stream fills.
pub async fn rows_belong_to_their_slice(subject: &Subject<'_>) -> Outcome {
    for (stream, slice) in subject.slices()? {
        let mut content = Content::new(slice.clone(), stream.fills);
        for page in subject.pages(&slice).await? {
            if let Err(what) = content.add(page) {
                return Ok(Verdict::Violated(format!("{what} in {slice} belongs elsewhere")));
            }
        }
    }
    Ok(Verdict::Held)
}

/// The day of a row is a day of its slice; a visit over midnight may have begun on the day before.
pub async fn days_stay_inside(subject: &Subject<'_>) -> Outcome {
    for (stream, slice) in subject.slices()? {
        if stream.grain != Grain::Day {
            continue;
        }
        let earliest = slice.from.pred_opt().unwrap_or(slice.from);
        for page in subject.pages(&slice).await? {
            let traffic =
                page.sessions.iter().map(|row| row.day).chain(page.events.iter().map(|row| row.day));
            let numbers = page.metrics.iter().map(|row| row.day).chain(page.costs.iter().map(|row| row.day));
            let strayed = traffic
                .filter(|day| !(earliest <= *day && *day < slice.until))
                .chain(numbers.filter(|day| !(slice.from <= *day && *day < slice.until)))
                .next();
            if let Some(day) = strayed {
                return Ok(Verdict::Violated(format!("a row of {slice} is of {day}")));
            }
        }
    }
    Ok(Verdict::Held)
}

/// Read + derived = rows + rejected + duplicates.
pub async fn counts_add_up(subject: &Subject<'_>) -> Outcome {
    for (_, slice) in subject.slices()? {
        let pages = subject.pages(&slice).await?;
        let read: u64 = pages.iter().map(|page| page.read + page.derived).sum();
        let accounted: u64 =
            pages.iter().map(|page| (page.rows() + page.rejected.len()) as u64 + page.duplicates).sum();
        if read != accounted {
            return Ok(Verdict::Violated(format!("{slice}: {read} read, {accounted} accounted for")));
        }
    }
    Ok(Verdict::Held)
}

/// Two readings of a slice give the same content.
pub async fn reading_again_is_the_same(subject: &Subject<'_>) -> Outcome {
    for (stream, slice) in subject.slices()? {
        let mut fingerprints = BTreeSet::new();
        for _ in 0..2 {
            let mut content = Content::new(slice.clone(), stream.fills);
            for page in subject.pages(&slice).await? {
                // Foreign rows are another check's affair.
                let _ = content.add(page);
            }
            fingerprints.insert(content.fingerprint());
        }
        if fingerprints.len() > 1 {
            return Ok(Verdict::Violated(format!("{slice} is another one the second time")));
        }
    }
    Ok(Verdict::Held)
}

/// What the rows add up to is what the source says another way.
pub async fn control_totals_agree(subject: &Subject<'_>) -> Outcome {
    if !subject.source.capabilities().control_totals {
        return Ok(Verdict::Skipped("the source has no control totals".to_owned()));
    }
    let mut compared = 0;
    for (stream, slice) in subject.slices()? {
        let mut content = Content::new(slice.clone(), stream.fills);
        for page in subject.pages(&slice).await? {
            let _ = content.add(page);
        }
        let Some(control) = subject.source.verify(&slice).await? else { continue };
        compared += 1;
        let differences = content.totals().differences(&control);
        if let Some((name, ours, theirs)) = differences.first() {
            return Ok(Verdict::Violated(format!("{slice}: {name} is {ours:?}, the control says {theirs}")));
        }
    }
    Ok(match compared {
        0 => Verdict::Skipped("no slice has control totals".to_owned()),
        _ => Verdict::Held,
    })
}

/// After a reading that was dropped at its first page the slice reads as before.
pub async fn dropping_harms_nothing(subject: &Subject<'_>) -> Outcome {
    for (_, slice) in subject.slices()? {
        let whole = subject.pages(&slice).await?;
        drop(subject.source.read(&slice).next().await.transpose()?);
        if subject.pages(&slice).await? != whole {
            return Ok(Verdict::Violated(format!("{slice} reads otherwise after a reading was dropped")));
        }
    }
    Ok(Verdict::Held)
}

/// No `@` between a name and a host in any text of any row.
pub async fn no_address_in_rows(subject: &Subject<'_>) -> Outcome {
    for (_, slice) in subject.slices()? {
        for page in subject.pages(&slice).await? {
            let text = format!("{page:?}");
            if let std::borrow::Cow::Owned(_) = crate::clean::without_addresses(&text) {
                return Ok(Verdict::Violated(format!("a page of {slice} holds an address")));
            }
        }
    }
    Ok(Verdict::Held)
}

/// The secret is in no page and in no `Debug`.
pub async fn no_secret_in_output(subject: &Subject<'_>) -> Outcome {
    let Some(secret) = subject.secret else {
        return Ok(Verdict::Skipped("no secret was named".to_owned()));
    };
    let mut seen = format!("{:?} {:?}", subject.source, subject.source.check().await?);
    for (_, slice) in subject.slices()? {
        seen.push_str(&format!("{:?}", subject.pages(&slice).await?));
    }
    Ok(if seen.contains(secret) {
        Verdict::Violated("the secret is shown".to_owned())
    } else {
        Verdict::Held
    })
}
