//! Calls: one at a time within the budget, again after throttling, never again after a refusal.

use super::budget::CallBudget;
use super::error;
use super::query::DataQuery;
use super::url::{Method, Version};
use super::wire::{self, Feed, Row};
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{Client, Replay, Request};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use serde_json::Value;
use std::sync::OnceLock;

/// What reaches the vendor.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) version: Version,
    pub(super) key: Secret,
    pub(super) budget: CallBudget,
    pub(super) retry: Policy,
    /// Why the key was refused.
    pub(super) refused: OnceLock<String>,
}

impl Api {
    fn stopped(&self, operation: &'static str) -> Result<()> {
        match self.refused.get() {
            None => Ok(()),
            Some(why) => Err(Error::new(ErrorKind::Auth, super::SERVICE, operation)
                .with_detail(format!("no request is made since the key was refused ({why})"))),
        }
    }

    /// From now on no request is made.
    pub(super) fn refuse(&self, error: &Error) {
        let _ = self.refused.set(error.detail().unwrap_or("refused").to_owned());
    }

    /// One call. All of them only read, so that repeating one is harmless.
    async fn call(&self, operation: &'static str, method: Method, query: &DataQuery) -> Result<Value> {
        self.stopped(operation)?;
        let request = match self.version {
            Version::V3 => Request::post(format!("v3/data/{}", method.as_str())).json(&query.to_v3(method)?),
            Version::V2 => {
                query.v2_parameters()?.into_iter().fold(
                    Request::get(format!("data/v2/json/{}", method.as_str())),
                    |request, (name, value)| request.query(name, value),
                )
            }
        };
        let request = request.operation(operation).replay(Replay::Idempotent);
        let places = self.budget.enter().await;
        // Another call may have been refused while this one waited for its place.
        self.stopped(operation)?;
        let read = |response| error::classify(operation, &response, &self.key);
        let answer = self.client.send_with(&request, &self.retry, read).await.inspect_err(|error| {
            // 403 is of the site that was asked for; the key may read others.
            if error.kind() == ErrorKind::Auth && error.status() != Some(403) {
                self.refuse(error);
            }
        });
        drop(places);
        answer
    }

    /// A page of rows.
    pub(super) async fn page(&self, query: &DataQuery) -> Result<Feed> {
        const OPERATION: &str = "read rows";
        let answer = self.call(OPERATION, Method::Data, query).await?;
        Feed::read(answer).map_err(|detail| error::protocol(OPERATION, detail))
    }

    /// How many rows a query has.
    pub(super) async fn count(&self, query: &DataQuery) -> Result<u64> {
        const OPERATION: &str = "count rows";
        let mut query = query.clone();
        (query.max_results, query.page_num) = (None, None);
        if self.version == Version::V2 {
            query.sort.clear();
        }
        let answer = self.call(OPERATION, Method::RowCount, &query).await?;
        wire::row_count(&answer).map_err(|detail| error::protocol(OPERATION, detail))
    }

    /// One number for each metric; nothing in version 2, which has no such call.
    pub(super) async fn totals(&self, query: &DataQuery) -> Result<Option<Row>> {
        const OPERATION: &str = "read totals";
        if self.version == Version::V2 {
            return Ok(None);
        }
        let answer = self.call(OPERATION, Method::Total, query).await?;
        let feed = Feed::read(answer).map_err(|detail| error::protocol(OPERATION, detail))?;
        match <[Row; 1]>::try_from(feed.rows) {
            Ok([row]) => Ok(Some(row)),
            Err(_) => Err(error::protocol(OPERATION, "the answer does not hold exactly one row")),
        }
    }
}
