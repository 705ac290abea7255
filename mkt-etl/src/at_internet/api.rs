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

    async fn call(
        &self,
        operation: &'static str,
        method: Method,
        query: &DataQuery,
    ) -> Result<Option<Value>> {
        let request = match self.version {
            Version::V3 => Request::post(format!("v3/data/{}", method.as_str())).json(&query.to_v3(method)?),
            Version::V2 => {
                query.v2_parameters()?.into_iter().fold(
                    Request::get(format!("data/v2/json/{}", method.as_str())),
                    |request, (name, value)| request.query(name, value),
                )
            }
        };
        self.send(operation, request).await
    }

    /// One call. All of them only read, so that repeating one is harmless.
    async fn send(&self, operation: &'static str, request: Request) -> Result<Option<Value>> {
        self.stopped(operation)?;
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
        feed(OPERATION, answer)
    }

    /// A page of the rows that a restricted key gives: the period and the page are all that it is asked. Nothing where the
    /// vendor says, twice, that there is no data.
    pub(super) async fn restricted_page(&self, query: &DataQuery) -> Result<Option<Feed>> {
        const OPERATION: &str = "read rows";
        for _ in 0..2 {
            let request = Request::post("v3/data/getData".to_owned()).json(&query.to_v3_restricted()?);
            match self.send(OPERATION, request).await? {
                None => {}
                answer => return feed(OPERATION, answer).map(Some),
            }
        }
        Ok(None)
    }

    /// How many rows a query has.
    pub(super) async fn count(&self, query: &DataQuery) -> Result<u64> {
        Ok(self.count_or_no_content(query).await?.unwrap_or_default())
    }

    /// How many rows a query has; nothing where the vendor says, twice, that there is no data (204). Once could be an answer
    /// that was lost on the way, and an empty day must not replace another because of that.
    pub(super) async fn count_or_no_content(&self, query: &DataQuery) -> Result<Option<u64>> {
        const OPERATION: &str = "count rows";
        let mut query = query.clone();
        (query.max_results, query.page_num) = (None, None);
        if self.version == Version::V2 {
            query.sort.clear();
        }
        for _ in 0..2 {
            match self.call(OPERATION, Method::RowCount, &query).await? {
                None => {}
                Some(answer) => {
                    let rows = wire::row_count(&answer);
                    return rows.map(Some).map_err(|detail| error::protocol(OPERATION, detail));
                }
            }
        }
        Ok(None)
    }

    /// One number for each metric; nothing in version 2, which has no such call.
    pub(super) async fn totals(&self, query: &DataQuery) -> Result<Option<Row>> {
        const OPERATION: &str = "read totals";
        if self.version == Version::V2 {
            return Ok(None);
        }
        let answer = self.call(OPERATION, Method::Total, query).await?;
        let feed = feed(OPERATION, answer)?;
        match <[Row; 1]>::try_from(feed.rows) {
            Ok([row]) => Ok(Some(row)),
            Err(_) => Err(error::protocol(OPERATION, "the answer does not hold exactly one row")),
        }
    }
}

/// Rows of an answer. "No content" where rows are wanted is no empty page: it may be a lost answer.
fn feed(operation: &'static str, answer: Option<Value>) -> Result<Feed> {
    match answer {
        None => Err(error::protocol(operation, "HTTP 204: no content, and rows were counted")),
        Some(answer) => Feed::read(answer).map_err(|detail| error::protocol(operation, detail)),
    }
}
