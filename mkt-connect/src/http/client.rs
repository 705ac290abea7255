//! The client: one exchange with the one configured host.

use super::failure;
use super::rate::RateBudget;
use super::request::{Body, Method, Replay, Request, Value};
use super::response::Response;
use super::retry::{self, Attempt, Budget, Decision, Policy};
use crate::clock::Clock;
use crate::{Delivery, Error, ErrorKind, Result, Secret};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Draws an even number from 0 to 1.
pub(super) type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// An HTTP client of one service at one host. Clones share connections.
///
/// It speaks HTTP/1.1 over TLS verified by the platform, to the host of its base URL and to no other: redirects are an
/// error, proxies of the environment are not read, private addresses are refused unless the host was named (see
/// [`address`](super::address)). An answer longer than the limit is cut off and refused, whatever its content-length
/// says and however well it was compressed. Traces name service, operation, status and duration, no URL.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) service: &'static str,
    pub(super) base: Url,
    pub(super) transport: reqwest::Client,
    pub(super) headers: Vec<(String, Value)>,
    pub(super) basic: Option<(String, Secret)>,
    pub(super) max_body: usize,
    pub(super) rate: RateBudget,
    pub(super) patience: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) jitter: Jitter,
    pub(super) budget: Budget,
}

impl Client {
    /// The name that errors carry.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// The host of the base URL.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.base.host_str().unwrap_or_default()
    }

    /// The account's rate budget, to which rate limits in responses are reported.
    #[must_use]
    pub fn rate(&self) -> &RateBudget {
        &self.0.rate
    }

    /// Sends the request once and reads the whole answer. A complete answer is `Ok` whatever its status, except a
    /// redirect; what a status means is for the connector to say.
    ///
    /// # Errors
    /// The [`delivery`](Error::delivery) says whether the request may have arrived:
    /// - [`Delivery::NotSent`]: the rate limit resets too late (`RateLimited`), it could not be written as HTTP
    ///   (`Input`), the address is refused (`Config`), no
    ///   connection could be made (`Unavailable`), TLS could not be trusted (`Protocol`);
    /// - [`Delivery::Unknown`]: the connection broke or the time ran out afterwards (`Unavailable`), or the answer
    ///   could not be decompressed (`Protocol`);
    /// - [`Delivery::Answered`]: a redirect, or an answer over the limit (`Protocol`).
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let prepared = self.prepare(request)?;
        self.0.rate.acquire_within(1, self.0.patience).await.map_err(|late| {
            Error::new(ErrorKind::RateLimited, self.0.service, request.operation)
                .with_retry_after(late.wait)
                .with_detail("the rate limit has not reset")
        })?;
        let started = std::time::Instant::now();
        let outcome = self.exchange(request.operation, prepared).await;
        let (service, operation) = (self.0.service, request.operation);
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(response) => {
                tracing::debug!(service, operation, status = response.status, milliseconds, "answered");
            }
            Err(error) => {
                tracing::debug!(service, operation, %error, delivery = ?error.delivery(), milliseconds, "failed");
            }
        }
        outcome
    }

    /// Sends the request, and again where [`retry`] allows it, until `read` makes something of an answer.
    ///
    /// `read` is where a connector says what its vendor's statuses and bodies mean: it returns the value, or an error
    /// of the right kind ([`Response::error`] fills in the rest). An error with a wait pauses the whole
    /// account: no other request is sent before it is over.
    ///
    /// # Errors
    /// The last attempt's error, as it was. Where the effect of an earlier attempt of a request with a key is
    /// unknown, the delivery is [`Delivery::Unknown`] whatever the last attempt gave.
    pub async fn send_with<T>(
        &self,
        request: &Request,
        policy: &Policy,
        mut read: impl FnMut(Response) -> Result<T>,
    ) -> Result<T> {
        let inner = &self.0;
        let began = inner.clock.elapsed();
        inner.budget.deposit();
        let mut earlier_doubt = false;
        let mut number = 0;
        loop {
            number += 1;
            let error = match self.send(request).await.and_then(&mut read) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let in_doubt = earlier_doubt || error.leaves_doubt();
            if let (ErrorKind::RateLimited | ErrorKind::Unavailable, Delivery::Answered, Some(wait)) =
                (error.kind(), error.delivery(), error.retry_after())
            {
                inner.rate.pause_for(wait);
            }
            let attempt = Attempt {
                kind: error.kind(),
                in_doubt,
                retry_after: error.retry_after(),
                number,
                elapsed: inner.clock.elapsed().saturating_sub(began),
                replay: request.replay_class(),
            };
            let decision = retry::decide(policy, &attempt, (inner.jitter)(), inner.budget.has_left());
            let (service, operation) = (inner.service, request.operation);
            tracing::debug!(service, operation, number, ?decision, "attempt failed");
            match decision {
                Decision::Retry { after } if inner.budget.withdraw() => inner.clock.sleep(after).await,
                // The last attempt says nothing about an earlier one that may have taken effect.
                _ if earlier_doubt && request.replay_class() != Replay::Idempotent => {
                    return Err(error.delivered(Delivery::Unknown));
                }
                _ => return Err(error),
            }
            earlier_doubt = in_doubt;
        }
    }

    async fn exchange(&self, operation: &'static str, request: reqwest::Request) -> Result<Response> {
        let service = self.0.service;
        let fail = |error| failure::transport(service, operation, error);
        let answer = self.0.transport.execute(request).await.map_err(fail)?;
        let status = answer.status();
        let answered = |kind, detail: &str| {
            Error::new(kind, service, operation)
                .delivered(Delivery::Answered)
                .with_status(status.as_u16())
                .with_detail(detail)
        };
        if status.is_redirection() {
            return Err(answered(ErrorKind::Protocol, "redirects are not followed; check the base URL"));
        }
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = BytesMut::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| fail(error).with_status(status.as_u16()))?;
            if chunk.len() > self.0.max_body - body.len() {
                return Err(answered(ErrorKind::Protocol, "the answer is longer than the limit"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            service,
            operation,
            status: status.as_u16(),
            headers,
            body: body.freeze(),
            received_at: self.0.clock.now(),
        })
    }

    fn prepare(&self, request: &Request) -> Result<reqwest::Request> {
        let input = |detail: &'static str| {
            Error::new(ErrorKind::Input, self.0.service, request.operation).with_detail(detail)
        };
        let url = self.url(request).map_err(input)?;
        let mut prepared = reqwest::Request::new(method(request.method), url);
        let (content_type, body) = match &request.body {
            Body::Empty => (None, None),
            Body::Form(fields) => (Some("application/x-www-form-urlencoded"), Some(encode(fields))),
            Body::Bytes { content_type, bytes } => (Some(content_type.as_str()), Some(bytes.clone())),
            Body::Unserialisable => return Err(input("the body cannot be written as JSON")),
        };
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_str(content_type).map_err(|_| input("invalid content type"))?;
            prepared.headers_mut().insert(CONTENT_TYPE, value);
        }
        for headers in [&self.0.headers, &request.headers] {
            for (name, value) in headers {
                insert(prepared.headers_mut(), name, value).map_err(input)?;
            }
        }
        *prepared.body_mut() = body.map(Into::into);
        *prepared.timeout_mut() = request.timeout;
        match &self.0.basic {
            None => Ok(prepared),
            Some((user, password)) => reqwest::RequestBuilder::from_parts(self.0.transport.clone(), prepared)
                .basic_auth(user, Some(password.expose()))
                .build()
                .map_err(|_| input("the credentials cannot be written as a header")),
        }
    }

    /// The base URL with the path and the query of the request; it cannot leave the base URL.
    fn url(&self, request: &Request) -> Result<Url, &'static str> {
        let mut url = self.0.base.clone();
        let path = request.path.trim_start_matches('/');
        if path.contains(['?', '#', '\\']) || path.chars().any(char::is_control) {
            return Err("the path holds ?, #, a backslash or a control character");
        }
        let is_dots = |segment: &str| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            plain == "." || plain == ".."
        };
        if path.split('/').any(is_dots) {
            return Err("the path holds a . or .. segment");
        }
        if !path.is_empty() {
            let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
            url.set_path(&joined);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    /// Whether the client's own headers can be written: found out when it is built, not when it first sends.
    pub(super) fn check_headers(&self) -> Result<()> {
        let config =
            |detail: &'static str| Error::new(ErrorKind::Config, self.0.service, "build").with_detail(detail);
        let mut headers = HeaderMap::new();
        self.0.headers.iter().try_for_each(|(name, value)| insert(&mut headers, name, value)).map_err(config)
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &Value) -> Result<(), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "invalid header name")?;
    let mut written =
        HeaderValue::from_str(value.expose()).map_err(|_| "invalid character in a header value")?;
    written.set_sensitive(value.is_secret());
    headers.insert(name, written);
    Ok(())
}

fn encode(fields: &[(String, Value)]) -> Bytes {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name, value.expose());
    }
    form.finish().into()
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("service", &self.0.service)
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}
