//! A request as the scripted server received it.

use bytes::Bytes;
use std::fmt;

/// A request as it arrived. Names of headers are lower-case.
///
/// `Debug` shows the method and the names of headers only: connectors put credentials and addresses into the rest.
#[derive(Clone)]
#[non_exhaustive]
pub struct Received {
    /// The method, upper-case.
    pub method: String,
    /// The path as it was written, without the query.
    pub path: String,
    /// The query as it was written, without the question mark; empty where there is none.
    pub query: String,
    /// The headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunking removed.
    pub body: Bytes,
}

impl Received {
    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first query parameter of this name, decoded.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<String> {
        first(self.query.as_bytes(), name)
    }

    /// The first field of this name in a form body, decoded.
    #[must_use]
    pub fn form_value(&self, name: &str) -> Option<String> {
        first(&self.body, name)
    }

    /// The form field of this name, or else the query parameter: as PHP's `$_REQUEST` reads them.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        self.form_value(name).or_else(|| self.query_value(name))
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn first(encoded: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(encoded).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Received")
            .field("method", &self.method)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
