//! The conformance suite on CSV and memory, and on sources broken on purpose.

use std::fmt::Write;

use async_trait::async_trait;
use chrono::SecondsFormat;
use mkt_connect::Result;
use mkt_social::csv::Csv;
use mkt_social::testing::{Stage, check_all};
use mkt_social::{
    Capabilities, Memory, Metric, Observation, Plan, Post, PostPage, PostPages, ReadSheet, Request,
    SocialSource, Value,
};

#[derive(Debug)]
struct MemoryStage;

#[async_trait]
impl Stage for MemoryStage {
    async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource> {
        Box::new(Memory::new(rows.to_vec()))
    }
}

/// The posts as CSV, written by hand: independent of the crate's writer.
pub(crate) fn as_csv(rows: &[(Post, Observation)]) -> String {
    let mut text = String::from("post_id,platform,published_at,type,text,paid");
    for metric in Metric::ALL {
        let _ = write!(text, ",{metric}");
    }
    text.push('\n');
    for (post, observation) in rows {
        let _ = write!(
            text,
            "{},{},{},{},\"{}\",{}",
            post.id,
            post.network,
            post.published_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            post.kind.as_deref().unwrap_or(""),
            post.text.as_deref().unwrap_or("").replace('"', "\"\""),
            post.paid.map_or("", |paid| if paid { "true" } else { "false" }),
        );
        for metric in Metric::ALL {
            match observation.value(metric) {
                Value::Known(count) => {
                    let _ = write!(text, ",{count}");
                }
                Value::Missing(_) => text.push(','),
            }
        }
        text.push('\n');
    }
    text
}

#[derive(Debug)]
struct CsvStage;

#[async_trait]
impl Stage for CsvStage {
    async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource> {
        Box::new(Csv::from_bytes(as_csv(rows), super::posts::at("2026-03-31T00:00:00Z")))
    }
}

macro_rules! conformance {
    ($module:ident, $stage:path, $($behaviour:ident)+) => {
        mod $module {
            $(#[tokio::test]
            async fn $behaviour() {
                assert_eq!(mkt_social::testing::$behaviour(&$stage).await, Ok(()));
            })+
        }
    };
    ($module:ident, $stage:path) => {
        $crate::conformance::conformance! {
            $module, $stage,
            every_post_is_read_once_whatever_the_page_size
            pages_are_no_larger_than_requested
            the_window_is_half_open
            missing_stays_missing_and_zero_stays_zero
            promotion_flag_follows_the_capabilities
            every_post_has_its_observation_on_its_page
            counts_add_up
            an_empty_source_gives_nothing_and_no_error
            reading_twice_gives_the_same
            columns_hold_what_pages_hold
            a_finished_read_stays_finished
            a_readable_source_passes_its_check
        }
    };
}
pub(crate) use conformance;
conformance!(in_memory, crate::conformance::MemoryStage);
conformance!(from_csv, crate::conformance::CsvStage);

/// The fault of a broken source.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    LosesTheLastPostOfAPage,
    RepeatsThePageOnce,
    IgnoresTheWindow,
    IncludesTheEnd,
    WritesZeroForMissing,
    GivesAllAsOnePage,
    ForgetsAnObservation,
    CountsWrongly,
    FailsWhenEmpty,
    ClaimsNoPromotion,
    RefusesItsCheck,
    SkipsAPageIntoColumns,
}

#[derive(Debug)]
struct Broken(Fault);

#[async_trait]
impl Stage for Broken {
    async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource> {
        let inner = Memory::new(rows.to_vec());
        Box::new(BrokenSource { fault: self.0, inner, empty: rows.is_empty() })
    }
}

#[derive(Debug)]
struct BrokenSource {
    fault: Fault,
    inner: Memory,
    empty: bool,
}

fn failure() -> mkt_connect::Error {
    mkt_connect::Error::new(mkt_connect::ErrorKind::Other, "broken", "read")
}

#[async_trait]
impl SocialSource for BrokenSource {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities {
        match self.fault {
            Fault::ClaimsNoPromotion => Capabilities::new(Metric::ALL),
            _ => Capabilities::new(Metric::ALL).with_paid(),
        }
    }

    async fn check(&self) -> Result<()> {
        if self.fault == Fault::RefusesItsCheck { Err(failure()) } else { Ok(()) }
    }

    fn plan(&self, request: &Request) -> Plan {
        self.inner.plan(request)
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        let mut request = request.clone();
        match self.fault {
            Fault::IgnoresTheWindow => (request.since, request.until) = (None, None),
            Fault::IncludesTheEnd => {
                request.until = request.until.map(|end| end + chrono::TimeDelta::seconds(1));
            }
            Fault::GivesAllAsOnePage => request.page_size = usize::MAX,
            Fault::FailsWhenEmpty if self.empty => return Err(failure()),
            _ => {}
        }
        Ok(Box::new(BrokenPages { fault: self.fault, inner: self.inner.open(&request).await?, kept: None }))
    }
}

#[derive(Debug)]
struct BrokenPages {
    fault: Fault,
    inner: Box<dyn PostPages>,
    kept: Option<PostPage>,
}

#[async_trait]
impl PostPages for BrokenPages {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        if self.fault == Fault::RepeatsThePageOnce
            && let Some(page) = self.kept.take()
        {
            return Ok(Some(page));
        }
        let Some(mut page) = self.inner.next_page().await? else { return Ok(None) };
        match self.fault {
            Fault::LosesTheLastPostOfAPage => {
                page.posts.pop();
                page.observations.pop();
                page.tally.loaded = page.posts.len() as u64;
                page.tally.read = page.tally.loaded + page.tally.outside;
            }
            Fault::RepeatsThePageOnce => self.kept = Some(page.clone()),
            Fault::WritesZeroForMissing => {
                for reading in page.observations.iter_mut().flat_map(|observation| &mut observation.readings)
                {
                    reading.value = Value::Known(reading.value.known().unwrap_or(0));
                }
            }
            Fault::ForgetsAnObservation => drop(page.observations.pop()),
            Fault::CountsWrongly => page.tally.read += 1,
            _ => {}
        }
        Ok(Some(page))
    }

    async fn next_into(&mut self, all: &mut ReadSheet) -> Result<bool> {
        if self.fault == Fault::SkipsAPageIntoColumns && all.sheet.is_empty() {
            self.inner.next_page().await?;
        }
        let page = self.next_page().await?;
        Ok(page.map(|page| all.add(page)).is_some())
    }
}

#[tokio::test]
async fn every_fault_violates_its_behaviour() {
    let cases = [
        (Fault::LosesTheLastPostOfAPage, "every post is read once whatever the page size"),
        (Fault::RepeatsThePageOnce, "every post is read once whatever the page size"),
        (Fault::IgnoresTheWindow, "the window is half-open"),
        (Fault::IncludesTheEnd, "the window is half-open"),
        (Fault::WritesZeroForMissing, "missing stays missing and zero stays zero"),
        (Fault::GivesAllAsOnePage, "pages are no larger than requested"),
        (Fault::ForgetsAnObservation, "every post has its observation on its page"),
        (Fault::CountsWrongly, "counts add up"),
        (Fault::FailsWhenEmpty, "an empty source gives nothing and no error"),
        (Fault::ClaimsNoPromotion, "promotion flag follows the capabilities"),
        (Fault::RefusesItsCheck, "a readable source passes its check"),
        (Fault::SkipsAPageIntoColumns, "columns hold what pages hold"),
    ];
    for (fault, behaviour) in cases {
        let violations = check_all(&Broken(fault)).await;
        assert!(
            violations.iter().any(|violation| violation.behaviour == behaviour),
            "{fault:?}: {violations:?}"
        );
    }
}
