//! What the scripted server answers, and how it misbehaves.

use bytes::Bytes;
use std::time::Duration;

/// The way in which an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Chunked,
    CutAfter(usize),
    Drip(Duration),
    Endless,
    Claiming(u64),
    Silence,
    Reset,
    ResetBeforeBody,
}

/// One answer: status, headers, body, and how it is delivered.
///
/// Of the ways to misbehave the last one named counts; [`delay`](Self::delay) goes with all of them.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) delay: Duration,
    pub(super) delivery: Delivery,
    pub(super) close: bool,
}

impl Answer {
    /// An empty answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            delivery: Delivery::Whole,
            close: false,
        }
    }

    /// 200 with a JSON text.
    #[must_use]
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self::status(200).header("content-type", "application/json").body(text)
    }

    /// 200 with plain text.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::status(200).header("content-type", "text/plain; charset=utf-8").body(text)
    }

    /// 200 with an HTML text.
    #[must_use]
    pub fn html(text: impl Into<Bytes>) -> Self {
        Self::status(200).header("content-type", "text/html; charset=utf-8").body(text)
    }

    /// The request is read and never answered; the connection stays open until the peer closes it.
    #[must_use]
    pub fn never() -> Self {
        Self { delivery: Delivery::Silence, ..Self::status(200) }
    }

    /// The whole request is read, then the connection is reset without an answer.
    #[must_use]
    pub fn reset() -> Self {
        Self { delivery: Delivery::Reset, ..Self::status(200) }
    }

    /// The connection is reset when the head of the request has been read, before its body.
    ///
    /// Only a script ([`Server::scripted`](super::Server::scripted)) can do this: a closure decides after it has seen
    /// the body, and then this is the same as [`reset`](Self::reset).
    #[must_use]
    pub fn reset_before_body() -> Self {
        Self { delivery: Delivery::ResetBeforeBody, ..Self::status(200) }
    }

    /// A body without end: `body` (or 8 KiB of `x`) is sent again and again as chunks, until the peer hangs up.
    #[must_use]
    pub fn endless() -> Self {
        Self { delivery: Delivery::Endless, ..Self::status(200).body(vec![b'x'; 8192]) }
    }

    /// Changes the status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header. `content-length` and `transfer-encoding` are written by the server itself.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Waits this long between the end of the request and the first byte of the answer.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sends the body in chunks of 1 KiB, without a content-length.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.delivery = Delivery::Chunked;
        self
    }

    /// Writes the first `bytes` of the answer (head included), then closes the connection.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.delivery = Delivery::CutAfter(bytes);
        self
    }

    /// Writes the head at once and then the body byte by byte, with this pause before each.
    #[must_use]
    pub fn drip(mut self, pause: Duration) -> Self {
        self.delivery = Delivery::Drip(pause);
        self
    }

    /// Claims this content-length whatever the body is, and closes the connection after the body.
    #[must_use]
    pub fn claiming_length(mut self, bytes: u64) -> Self {
        self.delivery = Delivery::Claiming(bytes);
        self
    }

    /// Closes the connection after this response, with a `connection: close` header.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The status line and the headers, down to the empty line.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // RFC 9110, section 8.6: no content-length on 1xx and 204; a 304 has no body either.
        let bodyless = self.status < 200 || self.status == 204;
        match self.delivery {
            Delivery::Chunked | Delivery::Endless => head.push_str("transfer-encoding: chunked\r\n"),
            Delivery::Claiming(bytes) => head.push_str(&format!("content-length: {bytes}\r\n")),
            _ if bodyless => {}
            _ => head.push_str(&format!("content-length: {}\r\n", self.body.len())),
        }
        if self.close {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        // The reason is optional (RFC 9112, section 4), the space before it is not.
        _ => "",
    }
}
