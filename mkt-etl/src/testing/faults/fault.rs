//! The faults, and what each makes of a right answer. Pure, except for time and sockets, which are the proxy's.

use serde_json::Value;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A way in which the other side of an HTTP connection fails.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// In words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

faults! {
    /// 429 with `Retry-After: 1`.
    ThrottledForSeconds = "429 with Retry-After in seconds",
    /// 429 with a date two seconds ahead in `Retry-After`.
    ThrottledUntilDate = "429 with a date in Retry-After",
    /// 429 with `Retry-After: soon`.
    ThrottledForGarbage = "429 with a Retry-After that is none",
    /// 429 with `Retry-After: 86400`: nobody may sit that out within a read.
    ThrottledForADay = "429 with a Retry-After of a day",
    /// 500 with a text that repeats the request, its credentials included.
    InternalError = "500 with the request echoed",
    /// 502 with a gateway's HTML.
    BadGateway = "502 with HTML",
    /// 503 with `Retry-After: 1`.
    Unavailable = "503",
    /// 200 with an HTML page that repeats the request, its credentials included.
    HtmlPage = "200 with an HTML page",
    /// The first half of the right body, complete by its content-length.
    Truncated = "half of the JSON",
    /// A content-length beyond the body; then the connection is closed.
    LengthTooLarge = "a content-length that is too large",
    /// A content-length of half the body; the rest follows nevertheless.
    LengthTooSmall = "a content-length that is too small",
    /// Chunks without end.
    EndlessChunks = "endless chunks",
    /// The right body, one byte a second.
    OneByteASecond = "one byte a second",
    /// The connection is reset instead of an answer.
    ResetBeforeHeaders = "a reset before the headers",
    /// The connection is reset after the headers.
    ResetAfterHeaders = "a reset after the headers",
    /// A header line a second, without end.
    SlowHeaders = "slow headers",
    /// No answer.
    Silence = "no answer",
    /// The right answer, after which the connection is closed without a word.
    ClosedBetween = "a connection closed between requests",
    /// 64 MiB of spaces in 413 KiB of gzip.
    GzipBomb = "a gzip bomb",
    /// A redirect to another host.
    RedirectToOtherHost = "a redirect to another host",
    /// A redirect to plain http on another port, with the method kept.
    RedirectToHttp = "a redirect to plain http",
    /// The answer to the request before.
    RepeatedPage = "the page before once more",
    /// The first answer to every later request.
    PagingLoop = "the first page for ever",
    /// The longest list of the answer is empty.
    EmptyPage = "an empty page with more to come",
    /// The lists of the answer are in reverse order.
    ReversedPage = "a page in the wrong order",
    /// The right body in UTF-16.
    Utf16 = "UTF-16",
    /// The right body after a byte order mark.
    ByteOrderMark = "a byte order mark",
    /// A NUL in the middle.
    Nul = "a NUL",
    /// A byte that is no UTF-8 in every text.
    InvalidUtf8 = "bytes that are no UTF-8",
    /// A text of 64 MiB on one line.
    GiantLine = "64 MiB on one line",
    /// A hundred thousand lists in each other.
    DeepNesting = "deep nesting",
    /// Every number is 10^400.
    HugeNumbers = "numbers of 10^400",
    /// The first key of every object comes twice, the right value last.
    DuplicateKeys = "duplicate keys",
    /// Every number is an object.
    WrongTypes = "wrong types",
    /// The answer is `null`.
    Null = "null",
    /// 200 without a body.
    EmptyBody = "an empty body",
    /// 204.
    NoContent = "204",
    /// The right body, said to be UTF-16.
    WrongCharset = "a wrong charset",
    /// The right body, said to be a picture.
    WrongContentType = "a wrong content type",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An answer as it comes from the good server, or as it is to be written.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Wire {
    fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(held, _)| !held.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// How an answer goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As it should, with its content-length.
    Plain,
    /// As it should, and then the connection is closed.
    ThenClose,
    /// With this content-length, and then the connection is closed.
    Claiming(usize),
    /// Chunk after chunk.
    Endless,
    /// The body byte by byte with this pause.
    Drip(Duration),
    /// Header after header with this pause.
    DripHeaders(Duration),
    /// A reset, before or after the headers.
    Reset { headers: bool },
    /// Nothing, until the peer hangs up.
    Silence,
}

/// What the proxy knows when a fault strikes.
pub(super) struct Scene<'a> {
    /// The request as it came: an unkind server repeats it.
    pub(super) request: &'a [u8],
    /// What the good server answers to it.
    pub(super) good: Wire,
    /// What it answered to the request before, if there was one.
    pub(super) previous: Option<Wire>,
    /// What it answered to the first request that the fault struck.
    pub(super) first: Option<Wire>,
    /// Where somebody listens who should hear nothing: `127.0.0.1:PORT`.
    pub(super) trap: &'a str,
    /// Two seconds from now, as an HTTP date.
    pub(super) soon: String,
}

const GIANT: usize = 64 << 20;
/// CRC-32 of [`GIANT`] spaces, by zlib.
const CRC_OF_SPACES: u32 = 0x97bf_d3ec;
const SECOND: Duration = Duration::from_secs(1);

impl Fault {
    /// What is written instead of the right answer.
    pub(super) fn strike(self, scene: Scene<'_>) -> (Wire, Delivery) {
        let good = scene.good;
        let throttled =
            |after: &str| Wire::new(429, "text/plain", "slow down, please").header("retry-after", after);
        let echo = String::from_utf8_lossy(scene.request).into_owned();
        let redirect = |status, location: String| {
            Wire::new(status, "text/html", "<a href=\"/\">elsewhere</a>").header("location", location)
        };
        let half = good.body.len() / 2;
        let wire = match self {
            Self::ThrottledForSeconds => throttled("1"),
            Self::ThrottledUntilDate => throttled(&scene.soon),
            Self::ThrottledForGarbage => throttled("soon"),
            Self::ThrottledForADay => throttled("86400"),
            Self::InternalError => Wire::new(500, "text/plain", format!("failed on: {echo}")),
            Self::BadGateway => Wire::new(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>"),
            Self::Unavailable => Wire::new(503, "text/plain", "later").header("retry-after", "1"),
            Self::HtmlPage => {
                Wire::new(200, "text/html", format!("<html><body>Log in. You sent {echo}</body></html>"))
            }
            Self::Truncated => Wire { body: good.body[..half].to_vec(), ..good },
            Self::LengthTooLarge => {
                let length = good.body.len() + 1_000;
                return (good, Delivery::Claiming(length));
            }
            Self::LengthTooSmall => return (good, Delivery::Claiming(half)),
            Self::EndlessChunks => return (good, Delivery::Endless),
            Self::OneByteASecond => return (good, Delivery::Drip(SECOND)),
            Self::ResetBeforeHeaders => return (good, Delivery::Reset { headers: false }),
            Self::ResetAfterHeaders => return (good, Delivery::Reset { headers: true }),
            Self::SlowHeaders => return (good, Delivery::DripHeaders(SECOND)),
            Self::Silence => return (good, Delivery::Silence),
            Self::ClosedBetween => return (good, Delivery::ThenClose),
            Self::GzipBomb => good.with_body(bomb()).header("content-encoding", "gzip"),
            // The same machine under another name is another host to whoever holds credentials for one.
            Self::RedirectToOtherHost => {
                redirect(302, format!("http://{}/", scene.trap.replace("127.0.0.1", "localhost")))
            }
            Self::RedirectToHttp => redirect(307, format!("http://{}/", scene.trap)),
            Self::RepeatedPage => scene.previous.unwrap_or(good),
            Self::PagingLoop => scene.first.unwrap_or(good),
            Self::EmptyPage => rewritten(good, empty_longest),
            Self::ReversedPage => rewritten(good, reverse),
            Self::Utf16 => {
                let text = String::from_utf8_lossy(&good.body).into_owned();
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                let body: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
                good.with_body(body)
            }
            Self::ByteOrderMark => {
                let body = [b"\xef\xbb\xbf", good.body.as_slice()].concat();
                good.with_body(body)
            }
            Self::Nul => {
                let body = [&good.body[..half], b"\0", &good.body[half..]].concat();
                good.with_body(body)
            }
            Self::InvalidUtf8 => {
                let body = spoiled_texts(&good.body);
                good.with_body(body)
            }
            Self::GiantLine => {
                let mut body = vec![b'x'; GIANT];
                if let [first, second, .., last_but_one, last] = body.as_mut_slice() {
                    (*first, *second, *last_but_one, *last) = (b'[', b'"', b'"', b']');
                }
                good.with_body(body)
            }
            Self::DeepNesting => good.with_body("[".repeat(100_000) + &"]".repeat(100_000)),
            Self::HugeNumbers => {
                let body = json(&good.body).map(|value| written(&value, &|_| "1e400".to_owned(), false));
                replaced(good, body)
            }
            Self::DuplicateKeys => {
                let body = json(&good.body).map(|value| written(&value, &|n| n.to_string(), true));
                replaced(good, body)
            }
            Self::WrongTypes => {
                let odd = |_: &serde_json::Number| "{\"unexpected\":[]}".to_owned();
                let body = json(&good.body).map(|value| written(&value, &odd, false));
                replaced(good, body)
            }
            Self::Null => good.with_body("null"),
            Self::EmptyBody => good.with_body(""),
            Self::NoContent => Wire { status: 204, ..good.with_body("") },
            Self::WrongCharset => good.header("content-type", "application/json; charset=utf-16"),
            Self::WrongContentType => good.header("content-type", "image/png"),
        };
        (wire, Delivery::Plain)
    }
}

/// 64 MiB of spaces as gzip (RFC 1952), written by hand, once for all: a compressor would take its time.
fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        // Magic, deflate, no flags, no time, no hints.
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let (mut held, mut count) = (0_u32, 0);
        let mut put = |bytes: &mut Vec<u8>, bits: u32, length: u32| {
            held |= bits << count;
            count += length;
            while count >= 8 {
                bytes.push((held & 0xff) as u8);
                held >>= 8;
                count -= 8;
            }
        };
        // One last block of fixed codes (RFC 1951, section 3.2.6): a space, then "the last byte 258 times more", until
        // less is left, which is written space by space. Codes go into the stream with their highest bit first.
        let space = (0x30 + u32::from(b' ')).reverse_bits() >> 24;
        let longest = 0b1100_0101_u32.reverse_bits() >> 24;
        put(&mut bytes, 0b011, 3);
        put(&mut bytes, space, 8);
        for _ in 0..(GIANT - 1) / 258 {
            put(&mut bytes, longest, 8);
            put(&mut bytes, 0, 5);
        }
        for _ in 0..(GIANT - 1) % 258 {
            put(&mut bytes, space, 8);
        }
        put(&mut bytes, 0, 7);
        put(&mut bytes, 0, 7);
        bytes.extend_from_slice(&CRC_OF_SPACES.to_le_bytes());
        bytes.extend_from_slice(&(GIANT as u32).to_le_bytes());
        bytes
    })
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn rewritten(good: Wire, change: impl Fn(&mut Value)) -> Wire {
    let body = json(&good.body).map(|mut value| {
        change(&mut value);
        value.to_string()
    });
    replaced(good, body)
}

/// A body that is no JSON stays as it is.
fn replaced(good: Wire, body: Option<String>) -> Wire {
    match body {
        Some(body) => good.with_body(body),
        None => good,
    }
}

fn reverse(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.reverse();
            items.iter_mut().for_each(reverse);
        }
        Value::Object(fields) => fields.values_mut().for_each(reverse),
        _ => {}
    }
}

fn longest(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(longest).max().unwrap_or(0).max(items.len()),
        Value::Object(fields) => fields.values().map(longest).max().unwrap_or(0),
        _ => 0,
    }
}

/// Empties the outermost list of the greatest length.
fn empty_longest(value: &mut Value) {
    fn empty(value: &mut Value, length: usize) -> bool {
        match value {
            Value::Array(items) if items.len() == length => {
                items.clear();
                true
            }
            Value::Array(items) => items.iter_mut().any(|item| empty(item, length)),
            Value::Object(fields) => fields.values_mut().any(|field| empty(field, length)),
            _ => false,
        }
    }
    let length = longest(value);
    if length > 0 {
        empty(value, length);
    }
}

/// JSON as text, numbers in the words of `number`; with `doubled` the first key of each object twice, the right value
/// last.
fn written(value: &Value, number: &dyn Fn(&serde_json::Number) -> String, doubled: bool) -> String {
    let text = |text: &str| Value::from(text).to_string();
    match value {
        Value::Number(it) => number(it),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| written(item, number, doubled)).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let first = fields.keys().next().filter(|_| doubled);
            let fields = fields
                .iter()
                .map(|(key, field)| format!("{}:{}", text(key), written(field, number, doubled)));
            let fields: Vec<String> =
                first.map(|key| format!("{}:null", text(key))).into_iter().chain(fields).collect();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

/// The body with a byte of Latin-1 (é) at the beginning of every text value.
fn spoiled_texts(body: &[u8]) -> Vec<u8> {
    let mut spoiled = Vec::with_capacity(body.len() + body.len() / 8);
    let mut before = 0;
    for byte in body {
        spoiled.push(*byte);
        // After the colon of a key: a text opens.
        if before == b':' && *byte == b'"' {
            spoiled.push(0xe9);
        }
        before = *byte;
    }
    spoiled
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn struck(fault: Fault, body: &str) -> String {
        let scene = Scene {
            request: b"POST / HTTP/1.1\r\n\r\nkey=s3cret",
            good: Wire::new(200, "application/json", body),
            previous: None,
            first: None,
            trap: "127.0.0.1:9",
            soon: String::new(),
        };
        String::from_utf8_lossy(&fault.strike(scene).0.body).into_owned()
    }

    #[test]
    fn documents_are_spoiled_as_their_names_say() {
        let body = r#"{"a":[1,2],"b":{"c":[3,4,5],"d":"text"}}"#;
        assert_eq!(struck(Fault::EmptyPage, body), json!({"a":[1,2],"b":{"c":[],"d":"text"}}).to_string());
        assert_eq!(
            struck(Fault::ReversedPage, body),
            json!({"a":[2,1],"b":{"c":[5,4,3],"d":"text"}}).to_string()
        );
        assert_eq!(
            struck(Fault::HugeNumbers, body),
            r#"{"a":[1e400,1e400],"b":{"c":[1e400,1e400,1e400],"d":"text"}}"#
        );
        assert_eq!(
            struck(Fault::DuplicateKeys, body),
            r#"{"a":null,"a":[1,2],"b":{"c":null,"c":[3,4,5],"d":"text"}}"#
        );
        assert_eq!(struck(Fault::WrongTypes, "[7]"), r#"[{"unexpected":[]}]"#);
        assert_eq!(struck(Fault::InvalidUtf8, body), body.replace("text", "\u{fffd}text"));
        assert!(
            struck(Fault::InternalError, body).contains("s3cret"),
            "an unkind server repeats the request"
        );
    }

    #[test]
    fn the_bomb_is_small_until_it_is_opened() {
        assert!(bomb().len() < 1 << 19, "{}", bomb().len());
        let mut opened = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bomb()), &mut opened).unwrap();
        assert_eq!(opened.len(), GIANT);
    }
}
