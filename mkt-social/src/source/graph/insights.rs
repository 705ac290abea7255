//! Insights that a list does not bring along, in batches.

use super::catalogue::Product;
use super::error::{Meaning, Refusal};
use super::item::{Item, wanted};
use super::{Graph, usage};
use crate::metric::Missing;
use mkt_connect::http::{self, Replay};
use mkt_connect::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};

/// How often a part of a batch is asked for that was not answered.
const TRIES: u8 = 3;

/// A call of a batch.
#[derive(Debug, Clone)]
struct Ask {
    item: usize,
    product: Product,
    at: String,
    metrics: Vec<&'static str>,
    tried: u8,
}

/// Its answer; `null` for one that Meta did not come to.
#[derive(Debug, Deserialize)]
struct Part {
    code: u16,
    #[serde(default)]
    body: Option<String>,
}

impl Graph {
    /// Adds to posts the insights that are asked for one by one.
    ///
    /// Of each kind of post one goes ahead until it is known which metrics are answered; otherwise every post of a batch
    /// would be refused, and halved, for the same one.
    pub(super) async fn add_insights(&self, items: &mut [Item]) -> Result<()> {
        let today = self.clock.now().date_naive();
        let mut queue: VecDeque<Ask> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let metrics = wanted(item.product, today, |product, native| self.refused(product, native));
                let at = item.insights_at.clone().filter(|_| !metrics.is_empty())?;
                Some(Ask { item: index, product: item.product, at, metrics, tried: 0 })
            })
            .collect();
        while !queue.is_empty() {
            let round = self.round(&mut queue);
            if round.is_empty() {
                continue;
            }
            let parts = self.batch(&round).await?;
            for (ask, part) in round.into_iter().zip(parts) {
                self.take(ask, part, items, &mut queue)?;
            }
        }
        Ok(())
    }

    /// The calls that may go out now; of a kind that is not agreed upon only those of its first post.
    fn round(&self, queue: &mut VecDeque<Ask>) -> Vec<Ask> {
        let mut ahead: BTreeMap<Product, usize> = BTreeMap::new();
        let (mut round, mut later) = (Vec::new(), VecDeque::new());
        for mut ask in queue.drain(..) {
            ask.metrics.retain(|native| self.refused(ask.product, native).is_none());
            if ask.metrics.is_empty() {
                continue;
            }
            let agreed = self.known().agreed.contains(&ask.product);
            let first = *ahead.entry(ask.product).or_insert(ask.item);
            if round.len() < self.batch as usize && (agreed || ask.item == first) {
                round.push(ask);
            } else {
                later.push_back(ask);
            }
        }
        *queue = later;
        round
    }

    async fn batch(&self, round: &[Ask]) -> Result<Vec<Option<Part>>> {
        let calls: Vec<_> = round
            .iter()
            .map(|ask| {
                let metrics = ask.metrics.join(",");
                serde_json::json!({
                    "method": "GET", "relative_url": format!("{}/{}?metric={metrics}", self.version, ask.at),
                })
            })
            .collect();
        // Each part counts as a call; the client takes the first.
        let more = u32::try_from(round.len()).unwrap_or(u32::MAX).saturating_sub(1);
        if more > 0 {
            self.client.rate().acquire_within(more, self.patience).await.map_err(|late| {
                Error::new(ErrorKind::RateLimited, self.surface.network(), "read insights")
                    .with_retry_after(late.wait)
                    .with_detail("the account is at rest")
            })?;
        }
        let mut fields = vec![
            ("batch", serde_json::Value::Array(calls).to_string()),
            ("include_headers", "false".to_owned()),
        ];
        if let Some(proof) = &self.proof {
            fields.push(("appsecret_proof", proof.expose().to_owned()));
        }
        // A reading call, whatever its method.
        let request =
            http::Request::post("").operation("read insights").replay(Replay::Idempotent).form(fields);
        let (answer, response) = self.call(&request).await?;
        let parts: Vec<Option<Part>> = serde_json::from_value(answer)
            .map_err(|_| response.error(ErrorKind::Protocol).with_detail("the batch does not read"))?;
        match parts.len() == round.len() {
            true => Ok(parts),
            false => Err(response.error(ErrorKind::Protocol).with_detail(format!(
                "the batch of {} calls has {} answers",
                round.len(),
                parts.len()
            ))),
        }
    }

    fn take(
        &self,
        mut ask: Ask,
        part: Option<Part>,
        items: &mut [Item],
        queue: &mut VecDeque<Ask>,
    ) -> Result<()> {
        let Some(item) = items.get_mut(ask.item) else { return Ok(()) };
        let again = |ask: &mut Ask| {
            ask.tried += 1;
            ask.tried < TRIES
        };
        let Some(part) = part else {
            if again(&mut ask) {
                queue.push_front(ask);
                return Ok(());
            }
            let error = self.error(ErrorKind::Unavailable, "read insights");
            return Err(error.with_detail("a part of the batch was not answered, again and again"));
        };
        let body = part.body.unwrap_or_default();
        let Some(refusal) = Refusal::in_body(part.code, body.as_bytes()) else {
            let answer = serde_json::from_str(&body).map_err(|cause| {
                let error = self.error(ErrorKind::Protocol, "read insights");
                error.with_detail("a part of the batch does not read").with_source(cause)
            })?;
            item.learn(&answer);
            // Halves of a set that was refused are still out for this post, or it was answered whole.
            if !queue.iter().any(|other| other.item == ask.item) {
                self.known().agreed.insert(ask.product);
            }
            return Ok(());
        };
        let refused = || refusal.error(|kind| self.error(kind, "read insights").with_status(part.code));
        match refusal.meaning {
            Meaning::Parameter => match &ask.metrics[..] {
                [] => {}
                [one] => self.refuse(ask.product, one),
                metrics => {
                    let (left, right) = metrics.split_at(metrics.len() / 2);
                    for metrics in [right, left] {
                        queue.push_front(Ask { metrics: metrics.to_vec(), ..ask.clone() });
                    }
                }
            },
            Meaning::TooFewViewers => item.without_insights = Some(Missing::TooFewViewers),
            Meaning::BeforeBusiness => item.without_insights = Some(Missing::NotSupported),
            Meaning::Permission | Meaning::NotFound => item.without_insights = Some(Missing::Permission),
            Meaning::Transient if again(&mut ask) => queue.push_front(ask),
            Meaning::Throttled => {
                let rest = self.client.rate().paused_for().max(usage::WINDOW);
                self.client.rate().pause_for(rest);
                return Err(refused().with_retry_after(rest));
            }
            _ => return Err(refused()),
        }
        Ok(())
    }
}
