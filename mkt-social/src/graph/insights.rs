//! Insights that a list does not contain, requested in batches.

use super::catalogue::Product;
use super::error::{Meaning, Refusal};
use super::item::{Item, wanted};
use super::{GraphApi, usage};
use crate::metric::Missing;
use mkt_connect::http::{self, Replay};
use mkt_connect::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Tries of a call that Meta does not answer.
const TRIES: u8 = 3;
/// The pause before the second try; the third waits four times as long.
const PAUSE: Duration = Duration::from_secs(2);
/// Posts in a row without an answer after which Meta counts as unavailable.
const FAILURES_IN_A_ROW: u32 = 3;

/// A call of a batch: some metrics of one post.
#[derive(Debug, Clone)]
struct Call {
    item: usize,
    product: Product,
    path: String,
    metrics: Vec<&'static str>,
    tries: u8,
}

/// The answer to a call; `null` for a call that Meta did not execute.
#[derive(Debug, Deserialize)]
struct Part {
    code: u16,
    #[serde(default)]
    body: Option<String>,
}

/// The insights of one page of posts.
struct Round<'a> {
    api: &'a GraphApi,
    items: &'a mut [Item],
    queue: VecDeque<Call>,
    notes: Vec<String>,
    failures_in_a_row: u32,
}

impl GraphApi {
    /// Adds the insights that are requested post by post, and returns the notes about posts that refused some.
    ///
    /// For each product one post goes ahead until the answered metrics are known: otherwise every post of a batch would be
    /// refused, and bisected, because of the same metric.
    pub(super) async fn add_insights(&self, items: &mut [Item]) -> Result<Vec<String>> {
        let today = self.clock.now().date_naive();
        let queue = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let metrics = wanted(item.product, today, |product, native| self.retired(product, native));
                let path = item.insights_at.clone().filter(|_| !metrics.is_empty())?;
                Some(Call { item: index, product: item.product, path, metrics, tries: 0 })
            })
            .collect();
        let mut round = Round { api: self, items, queue, notes: Vec::new(), failures_in_a_row: 0 };
        while !round.queue.is_empty() {
            let calls = round.next_batch();
            if calls.is_empty() {
                continue;
            }
            if let Some(tries) = calls.iter().map(|call| call.tries).max().filter(|tries| *tries > 0) {
                self.clock.sleep(PAUSE * 4_u32.pow(u32::from(tries) - 1)).await;
            }
            let parts = self.batch(&calls).await?;
            for (call, part) in calls.into_iter().zip(parts) {
                round.apply(call, part)?;
            }
        }
        Ok(round.notes)
    }

    async fn batch(&self, round: &[Call]) -> Result<Vec<Option<Part>>> {
        let calls: Vec<_> = round
            .iter()
            .map(|call| {
                let metrics = call.metrics.join(",");
                serde_json::json!({
                    "method": "GET", "relative_url": format!("{}/{}?metric={metrics}", self.version, call.path),
                })
            })
            .collect();
        // Each part counts as a call; the client takes the first from the budget.
        let more = u32::try_from(round.len()).unwrap_or(u32::MAX).saturating_sub(1);
        if more > 0 {
            self.client.rate().acquire_within(more, self.patience).await.map_err(|late| {
                Error::new(ErrorKind::RateLimited, self.surface.network(), "read insights")
                    .with_retry_after(late.wait)
                    .with_detail("the rate limit has not reset")
            })?;
        }
        let mut fields = vec![
            ("batch", serde_json::Value::Array(calls).to_string()),
            ("include_headers", "false".to_owned()),
        ];
        if let Some(proof) = &self.proof {
            fields.push(("appsecret_proof", proof.expose().to_owned()));
        }
        // A POST, but all parts only read.
        let request =
            http::Request::post("").operation("read insights").replay(Replay::Idempotent).form(fields);
        let (answer, response) = self.call(&request).await?;
        let parts: Vec<Option<Part>> = serde_json::from_value(answer).map_err(|_| {
            response.error(ErrorKind::Protocol).with_detail("the batch is not a list of answers")
        })?;
        match parts.len() == round.len() {
            true => Ok(parts),
            false => Err(response.error(ErrorKind::Protocol).with_detail(format!(
                "the batch of {} calls has {} answers",
                round.len(),
                parts.len()
            ))),
        }
    }
}

impl Round<'_> {
    /// The calls to send now. Of a product whose metrics are not agreed yet, only those of its first post; a metric that
    /// other posts refused is requested on its own, so that it cannot fail the others.
    fn next_batch(&mut self) -> Vec<Call> {
        let mut ahead: BTreeMap<Product, usize> = BTreeMap::new();
        let (mut batch, mut later) = (Vec::new(), VecDeque::new());
        let mut queue = std::mem::take(&mut self.queue);
        let known = self.api.known();
        while let Some(mut call) = queue.pop_front() {
            call.metrics.retain(|native| !known.retired.contains(&(call.product, *native)));
            if let (Some(suspect), true) = (
                call.metrics.iter().position(|native| known.is_suspect(call.product, native)),
                call.metrics.len() > 1,
            ) {
                let suspect = call.metrics.remove(suspect);
                queue.push_front(Call { metrics: vec![suspect], ..call.clone() });
                queue.push_front(call);
                continue;
            }
            if call.metrics.is_empty() {
                continue;
            }
            let agreed = known.agreed.contains(&call.product);
            let first = *ahead.entry(call.product).or_insert(call.item);
            if batch.len() < self.api.batch as usize && (agreed || call.item == first) {
                batch.push(call);
            } else {
                later.push_back(call);
            }
        }
        drop(known);
        self.queue = later;
        batch
    }

    fn apply(&mut self, call: Call, part: Option<Part>) -> Result<()> {
        let error = |kind| self.api.error(kind, "read insights");
        let Some(part) = part else {
            return self.try_again(call, "no answer in the batch", error(ErrorKind::Unavailable));
        };
        let body = part.body.unwrap_or_default();
        let Some(refusal) = Refusal::in_body(part.code, body.as_bytes()) else {
            self.failures_in_a_row = 0;
            let answer = serde_json::from_str(&body).map_err(|cause| {
                error(ErrorKind::Protocol).with_detail("a part of the batch is not JSON").with_source(cause)
            })?;
            if let Some(item) = self.items.get_mut(call.item) {
                item.learn(&answer);
            }
            let mut known = self.api.known();
            call.metrics.iter().for_each(|native| known.answer(call.product, native));
            // The set is agreed once no other part of this post is open and no metric is in doubt.
            let open = self.queue.iter().any(|other| other.item == call.item);
            let in_doubt = known
                .refusals
                .keys()
                .any(|(product, native)| *product == call.product && known.is_suspect(*product, native));
            if !open && !in_doubt {
                known.agreed.insert(call.product);
            }
            return Ok(());
        };
        let failed = || refusal.error(|kind| error(kind).with_status(part.code));
        if refusal.meaning != Meaning::Transient {
            self.failures_in_a_row = 0;
        }
        let without_insights = match refusal.meaning {
            Meaning::Parameter => {
                self.refuse(&call, refusal.code);
                return Ok(());
            }
            Meaning::TooFewViewers => Missing::TooFewViewers,
            Meaning::BeforeBusiness => Missing::NotSupported,
            Meaning::Permission | Meaning::NotFound => Missing::Permission,
            Meaning::Transient => {
                return self.try_again(call, &format!("code {}", refusal.code), failed());
            }
            Meaning::Throttled => {
                let wait = self.api.client.rate().paused_for().max(usage::WINDOW);
                self.api.client.rate().pause_for(wait);
                return Err(failed().with_retry_after(wait));
            }
            _ => return Err(failed()),
        };
        if let Some(item) = self.items.get_mut(call.item) {
            item.without_insights = Some(without_insights);
        }
        Ok(())
    }

    /// Bisects a refused set; a single refused metric is missing for its post.
    fn refuse(&mut self, call: &Call, code: i64) {
        if call.metrics.len() > 1 {
            let (left, right) = call.metrics.split_at(call.metrics.len() / 2);
            for metrics in [right, left] {
                self.queue.push_front(Call { metrics: metrics.to_vec(), ..call.clone() });
            }
            return;
        }
        for native in &call.metrics {
            let retired = self.api.known().refuse(call.product, native);
            if retired {
                self.notes.push(self.api.retired_note(call.product, native));
            } else {
                self.miss(call, &format!("refused the metric {native} (code {code})"));
            }
        }
    }

    /// Puts a failed call back, or gives its post up after the last try.
    fn try_again(&mut self, mut call: Call, why: &str, error: Error) -> Result<()> {
        call.tries += 1;
        if call.tries < TRIES {
            self.queue.push_front(call);
            return Ok(());
        }
        self.failures_in_a_row += 1;
        if self.failures_in_a_row >= FAILURES_IN_A_ROW {
            return Err(error.with_detail(format!(
                "no insights for {FAILURES_IN_A_ROW} posts in a row, {TRIES} tries each ({why})"
            )));
        }
        self.miss(&call, &format!("gave no insights in {TRIES} tries ({why})"));
        Ok(())
    }

    fn miss(&mut self, call: &Call, what: &str) {
        let Some(item) = self.items.get_mut(call.item) else { return };
        item.refused.extend(&call.metrics);
        let network = self.api.surface.network();
        tracing::warn!(network, post = item.post.id, "{what}");
        self.notes.push(format!("{network} {what} for post {}", item.post.id));
    }
}
