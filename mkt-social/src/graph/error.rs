//! The meaning of Meta's error codes. The code decides, not the HTTP status: throttling comes as 400, 403 and 429.

use mkt_connect::{Error, ErrorKind};
use serde::Deserialize;

#[derive(Debug, Clone, Default, Deserialize)]
struct Envelope {
    error: Option<Wire>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Wire {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    error_subcode: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    is_transient: bool,
}

/// The meaning of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A rate limit is reached: wait.
    Throttled,
    /// The token is invalid: never retry.
    Token(&'static str),
    /// The token lacks the permission.
    Permission,
    /// Too few people saw the post.
    TooFewViewers,
    /// The post is older than the business account.
    BeforeBusiness,
    /// An invalid parameter, most often a metric.
    Parameter,
    /// The object does not exist, or the token does not see it.
    NotFound,
    /// The answer would be too large: request less.
    TooMuch,
    /// A temporary failure: retry later.
    Transient,
    /// Meta blocked the app or the account.
    Blocked,
    /// Any other error.
    Other,
}

/// An error of Meta's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    subcode: i64,
    pub(super) meaning: Meaning,
}

impl Refusal {
    /// The error in a body, if any.
    pub(super) fn in_body(status: u16, body: &[u8]) -> Option<Self> {
        // serde would read a list as the fields in order: a batch as an error.
        let object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let told = object.then(|| serde_json::from_slice::<Envelope>(body).ok()?.error).flatten();
        match told {
            Some(wire) => {
                let meaning = meaning(&wire, status);
                Some(Self { code: wire.code, subcode: wire.error_subcode, meaning })
            }
            None if (200..300).contains(&status) => None,
            // A gateway's page, or an empty body.
            None => {
                let meaning = match status {
                    429 => Meaning::Throttled,
                    401 => Meaning::Token("is not accepted"),
                    403 => Meaning::Permission,
                    404 => Meaning::NotFound,
                    408 | 500.. => Meaning::Transient,
                    _ => Meaning::Other,
                };
                Some(Self { code: 0, subcode: 0, meaning })
            }
        }
    }

    /// The connectors' error, created by `new`. Meta's own message is left out: it quotes the request.
    pub(super) fn error(self, new: impl FnOnce(ErrorKind) -> Error) -> Error {
        let (kind, words) = match self.meaning {
            Meaning::Throttled => (ErrorKind::RateLimited, "the rate limit is reached"),
            Meaning::Token(why) => (ErrorKind::Auth, why),
            Meaning::Permission => (ErrorKind::Auth, "the token lacks the permission"),
            Meaning::TooFewViewers => (ErrorKind::NotFound, "too few people saw the post"),
            Meaning::BeforeBusiness => (ErrorKind::NotFound, "the post is older than the business account"),
            Meaning::Parameter => (ErrorKind::Input, "invalid parameter or metric"),
            Meaning::NotFound => {
                (ErrorKind::NotFound, "the object does not exist, or the token does not see it")
            }
            // A kind that is not retried unchanged.
            Meaning::TooMuch => (ErrorKind::Other, "too much data requested at once"),
            Meaning::Transient => (ErrorKind::Unavailable, "temporary failure"),
            Meaning::Blocked => (ErrorKind::Auth, "the app or the account is blocked"),
            Meaning::Other => (ErrorKind::Other, "refused"),
        };
        let number = match (self.code, self.subcode) {
            (0, _) => String::new(),
            (code, 0) => format!(" (code {code})"),
            (code, subcode) => format!(" (code {code}, subcode {subcode})"),
        };
        let detail = match self.meaning {
            Meaning::Token(why) => format!("the token {why}{number}"),
            _ => format!("{words}{number}"),
        };
        new(kind).with_detail(detail)
    }
}

/// Meta's codes, from its pages on error handling and rate limiting (November 2026).
fn meaning(wire: &Wire, status: u16) -> Meaning {
    let says = |words: &str| wire.message.to_ascii_lowercase().contains(words);
    match (wire.code, wire.error_subcode) {
        (1, _) if says("reduce the amount") => Meaning::TooMuch,
        (1 | 2, _) => Meaning::Transient,
        (4 | 17 | 32 | 341 | 613, _) => Meaning::Throttled,
        (80_000..=80_014, _) => Meaning::Throttled,
        (368, _) => Meaning::Blocked,
        (190 | 102, 458) => Meaning::Token("is of an app that was removed"),
        (190 | 102, 459) => Meaning::Token("waits for its owner to log in"),
        (190 | 102, 460) => Meaning::Token("ended with a change of the password"),
        (190 | 102, 463) => Meaning::Token("has expired"),
        (190 | 102, _) => Meaning::Token("is not valid"),
        (100, 2_108_006) => Meaning::BeforeBusiness,
        (100, 33) => Meaning::NotFound,
        (100, _) => Meaning::Parameter,
        (10, _) if says("enough viewers") => Meaning::TooFewViewers,
        (10 | 200..=299, _) => Meaning::Permission,
        (803, _) => Meaning::NotFound,
        _ if wire.is_transient || status >= 500 || status == 408 => Meaning::Transient,
        _ if status == 429 => Meaning::Throttled,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meaning_follows_the_code_not_the_status() {
        let meaning =
            |status, body: &str| Refusal::in_body(status, body.as_bytes()).map(|found| found.meaning);
        let code = |status, code: i64, subcode: i64, message: &str| {
            let body = serde_json::json!({"error": {
                "message": message, "type": "OAuthException", "code": code, "error_subcode": subcode, "fbtrace_id": "A1",
            }});
            meaning(status, &body.to_string())
        };
        for (number, expected) in [
            (4, Meaning::Throttled),
            (17, Meaning::Throttled),
            (32, Meaning::Throttled),
            (613, Meaning::Throttled),
            (341, Meaning::Throttled),
            (80_001, Meaning::Throttled),
            (80_002, Meaning::Throttled),
            (80_006, Meaning::Throttled),
            (368, Meaning::Blocked),
            (2, Meaning::Transient),
            (100, Meaning::Parameter),
            (10, Meaning::Permission),
            (230, Meaning::Permission),
            (102, Meaning::Token("is not valid")),
            (190, Meaning::Token("is not valid")),
            (803, Meaning::NotFound),
            (12_345, Meaning::Other),
        ] {
            for status in [400, 403] {
                assert_eq!(code(status, number, 0, "words"), Some(expected), "{number} by {status}");
            }
        }
        assert_eq!(code(400, 190, 463, ""), Some(Meaning::Token("has expired")));
        assert_eq!(code(400, 100, 2_108_006, ""), Some(Meaning::BeforeBusiness));
        assert_eq!(code(400, 100, 33, ""), Some(Meaning::NotFound));
        assert_eq!(
            code(500, 1, 99, "Please reduce the amount of data you're asking for, then retry"),
            Some(Meaning::TooMuch)
        );
        assert_eq!(
            code(400, 10, 0, "(#10) Not enough viewers for the media to show insights"),
            Some(Meaning::TooFewViewers)
        );
        // An empty error object, no JSON at all, no error.
        assert_eq!(meaning(500, r#"{"error":{}}"#), Some(Meaning::Transient));
        assert_eq!(meaning(502, "<html>Bad gateway</html>"), Some(Meaning::Transient));
        assert_eq!(meaning(429, ""), Some(Meaning::Throttled));
        assert_eq!(meaning(200, r#"{"data":[]}"#), None);
        // An error with the status of a success is an error.
        assert_eq!(meaning(200, r#"{"error":{"code":4}}"#), Some(Meaning::Throttled));
    }
}
