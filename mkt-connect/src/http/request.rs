//! A request as data: it can be built, looked at and replayed without a network.

use crate::Secret;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are those of RFC 9110.
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// The name as it is written on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The effect of a second arrival of the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Replay {
    /// None: the request reads, or sets a value.
    Idempotent,
    /// None while the vendor remembers the key that the request carries: this long from the first attempt (Brevo: 15
    /// minutes).
    Keyed {
        /// How long the vendor remembers the key.
        valid_for: Duration,
    },
    /// It takes effect twice (an email is sent twice). Such a request is retried only where the first one provably had
    /// no effect.
    Never,
}

/// A value that is either plain or secret.
#[derive(Clone)]
pub(super) enum Value {
    Plain(String),
    Secret(Secret),
}

impl Value {
    pub(super) fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

#[derive(Clone)]
pub(super) enum Body {
    Empty,
    Form(Vec<(String, Value)>),
    Bytes {
        content_type: String,
        bytes: Bytes,
    },
    /// A value that would not become JSON; reported when the request is sent.
    Unserialisable,
}

/// A request to the host of a [`Client`](super::Client).
///
/// `Debug` shows the method, the operation and the names of headers; never a path, a value or a body, since those hold
/// addresses and tokens.
///
/// ```
/// use mkt_connect::http::{Replay, Request};
/// let request = Request::get("contacts").operation("list contacts").query("limit", "50");
/// assert_eq!(request.replay_class(), Replay::Idempotent);
/// assert_eq!(Request::post("smtp/email").replay_class(), Replay::Never);
/// ```
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, Value)>,
    pub(super) body: Body,
    pub(super) operation: &'static str,
    pub(super) timeout: Option<Duration>,
    replay: Option<Replay>,
}

impl Request {
    /// A request to `path`, which is appended to the base URL; the empty path is the base URL itself.
    ///
    /// The path is taken as already percent-encoded ([`path_segment`] encodes one part of it). Sending fails with
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) when it holds a `?`, a `#`, a backslash, a control character, or
    /// a `.` or `..` segment: a path cannot leave the base URL.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
            operation: "call",
            timeout: None,
            replay: None,
        }
    }

    /// A GET: idempotent.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::Get, path)
    }

    /// A POST: never retried once it may have arrived, unless [`replay`](Self::replay) says otherwise.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::Post, path)
    }

    /// Names what this does, as a verb for errors and traces: `"read visits"`. The default is `"call"`.
    #[must_use]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// States what a second arrival does. The default is [`Replay::Idempotent`] for GET and HEAD and
    /// [`Replay::Never`] for all others, PUT and DELETE included: vendors do not always keep to RFC 9110.
    #[must_use]
    pub fn replay(mut self, replay: Replay) -> Self {
        self.replay = Some(replay);
        self
    }

    /// Adds a query parameter. There is no secret form of this: URLs end up in logs.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Value::Plain(value.into())));
        self
    }

    /// Adds a header with a secret value; it is marked sensitive on its way through the HTTP library.
    #[must_use]
    pub fn secret_header(mut self, name: impl Into<String>, value: &Secret) -> Self {
        self.headers.push((name.into(), Value::Secret(value.clone())));
        self
    }

    /// Adds fields to the form body (`application/x-www-form-urlencoded`). Replaces a body of another kind.
    #[must_use]
    pub fn form<N: Into<String>, V: Into<String>>(
        mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut all = self.take_form();
        all.extend(fields.into_iter().map(|(name, value)| (name.into(), Value::Plain(value.into()))));
        self.body = Body::Form(all);
        self
    }

    /// Adds one secret field to the form body (Matomo's `token_auth`).
    #[must_use]
    pub fn secret_form_field(mut self, name: impl Into<String>, value: &Secret) -> Self {
        let mut all = self.take_form();
        all.push((name.into(), Value::Secret(value.clone())));
        self.body = Body::Form(all);
        self
    }

    fn take_form(&mut self) -> Vec<(String, Value)> {
        match std::mem::replace(&mut self.body, Body::Empty) {
            Body::Form(fields) => fields,
            _ => Vec::new(),
        }
    }

    /// Sets a JSON body. A value that cannot be JSON (a map with keys that are no strings) makes sending fail with
    /// [`ErrorKind::Input`](crate::ErrorKind::Input).
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.body = match serde_json::to_vec(value) {
            Ok(bytes) => Body::Bytes { content_type: "application/json".to_owned(), bytes: bytes.into() },
            Err(_) => Body::Unserialisable,
        };
        self
    }

    /// Sets a body of any other type.
    #[must_use]
    pub fn body(mut self, content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::Bytes { content_type: content_type.into(), bytes: bytes.into() };
        self
    }

    /// Gives this request another total time than the client's.
    #[must_use]
    pub fn timeout(mut self, total: Duration) -> Self {
        self.timeout = Some(total);
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The name given with [`operation`](Self::operation).
    #[must_use]
    pub fn operation_name(&self) -> &'static str {
        self.operation
    }

    /// What a second arrival does.
    #[must_use]
    pub fn replay_class(&self) -> Replay {
        self.replay.unwrap_or(match self.method {
            Method::Get | Method::Head => Replay::Idempotent,
            _ => Replay::Never,
        })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let body = match &self.body {
            Body::Empty => "empty",
            Body::Form(_) => "form",
            Body::Bytes { .. } => "bytes",
            Body::Unserialisable => "not JSON",
        };
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("method", &self.method)
            .field("headers", &headers)
            .field("body", &body)
            .field("replay", &self.replay_class())
            .finish_non_exhaustive()
    }
}

/// What RFC 3986, section 2.3, leaves unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes one part of a path, slashes included.
///
/// ```
/// use mkt_connect::http::path_segment;
/// assert_eq!(path_segment("a/b ç"), "a%2Fb%20%C3%A7");
/// ```
#[must_use]
pub fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}
