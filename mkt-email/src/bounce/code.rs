//! Enhanced status codes (RFC 3463), reply codes (RFC 5321), and what they say about the address. Pure.

use std::fmt;

/// An enhanced mail system status code (RFC 3463): class, subject, detail, as in `5.1.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// 1 addressing, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content, 7 policy; 0 undefined.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl StatusCode {
    /// Parses a whole text such as `5.1.1`. The class is 2, 4 or 5; subject and detail have one to three digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (code, length) = Self::at_start(text.as_bytes())?;
        (length == text.len()).then_some(code)
    }

    /// The code that `bytes` begin with, and its length. What follows must be neither a digit nor a dot before a digit, so
    /// that no version number and no IP address is taken for a code.
    fn at_start(bytes: &[u8]) -> Option<(Self, usize)> {
        let class = match bytes.first()? {
            digit @ (b'2' | b'4' | b'5') => digit - b'0',
            _ => return None,
        };
        let (subject, after) = number(bytes, 1)?;
        let (detail, end) = number(bytes, after)?;
        let follows = bytes.get(end..).unwrap_or_default();
        let goes_on = match follows {
            [b'.', next, ..] => next.is_ascii_digit(),
            [next, ..] => next.is_ascii_alphanumeric(),
            [] => false,
        };
        (!goes_on).then_some((Self { class, subject, detail }, end))
    }

    /// Whether it says more than "something failed": the subject is defined.
    #[must_use]
    pub fn is_specific(self) -> bool {
        self.subject != 0
    }
}

/// A dot and one to three digits at `at`: the number, and where it ends.
fn number(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    let digits = bytes.get(at..)?.strip_prefix(b".")?;
    let count = digits.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=3).contains(&count) {
        return None;
    }
    let value = digits[..count].iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
    Some((value, at + 1 + count))
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What a bounce says about the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BounceClass {
    /// The address may be good: a full mailbox, an outage, a message that is too large. Suppressed by policy only.
    Soft,
    /// The receiver refuses the sender or the content: reputation, authentication, a block list. It says nothing about
    /// the address.
    Blocked,
    /// The address does not exist, its domain receives no email, or the mailbox is disabled: suppress.
    Hard,
}

impl BounceClass {
    /// The class as stored and printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Blocked => "blocked",
            Self::Hard => "hard",
        }
    }
}

/// The codes found in one place of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Codes {
    pub(super) status: Option<StatusCode>,
    /// The reply code of the SMTP server.
    pub(super) reply: Option<u16>,
}

impl Codes {
    /// How much they say: 3 a specific status, 2 a reply code, 1 an unspecific status, 0 nothing.
    fn rank(self) -> u8 {
        match self {
            Self { status: Some(status), .. } if status.is_specific() => 3,
            Self { reply: Some(_), .. } => 2,
            Self { status: Some(_), .. } => 1,
            _ => 0,
        }
    }

    /// The one that says more; this one if both say as much.
    pub(super) fn or_better(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    /// Reads the codes of a text: the most specific enhanced code (the first of equals), and the first reply code. A
    /// reply code is three digits that begin a word, followed by a blank, a dash, an enhanced code or the end, as servers
    /// write it; a number in a sentence has other neighbours.
    pub(super) fn of_text(text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut codes = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            let begins = at == 0
                || !(bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'.' | b'@' | b'/'));
            if !begins || !matches!(bytes[at], b'2' | b'4' | b'5') {
                at += 1;
                continue;
            }
            if let Some((status, length)) = StatusCode::at_start(&bytes[at..]) {
                // 2.x.x is said of the steps that went well.
                let better = codes.status.is_none_or(|known| !known.is_specific() && status.is_specific());
                if status.class != 2 && better {
                    codes.status = Some(status);
                }
                at += length;
                continue;
            }
            if codes.reply.is_none()
                && let Some(reply) = reply_code(&bytes[at..])
            {
                codes.reply = Some(reply);
                at += 3;
            }
            at += 1;
        }
        codes
    }
}

/// A negative reply code at the start of `bytes`: RFC 5321 allows 4yz and 5yz with y from 0 to 5.
fn reply_code(bytes: &[u8]) -> Option<u16> {
    let [class @ (b'4' | b'5'), middle @ b'0'..=b'5', last @ b'0'..=b'9', rest @ ..] = bytes else {
        return None;
    };
    let ends = match rest {
        [] | [b'-' | b'\n' | b'\r', ..] => true,
        // "550 5.1.1", "550 no such user"; not "500 GB" or "450 messages": a unit is a word too, so only the context of
        // a server's reply makes it one, which the callers see to.
        [b' ' | b'\t' | b':' | b',' | b'#', ..] => true,
        _ => false,
    };
    ends.then(|| u16::from(class - b'0') * 100 + u16::from(middle - b'0') * 10 + u16::from(last - b'0'))
}

/// What is known about a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) codes: Codes,
    /// The server's words, for replies without an enhanced code.
    pub(super) text: &'a str,
    /// The sentences around them, which name the step of the dialogue.
    pub(super) around: &'a str,
}

/// Words of a policy: without an enhanced code, `550` is used for refusals that say nothing about the address.
const POLICY: [&str; 19] = [
    "relay",
    "denied",
    "block",
    "spam",
    "policy",
    "blacklist",
    "blocklist",
    "denylist",
    "reputation",
    "spf",
    "dkim",
    "dmarc",
    "authenti",
    "not allowed",
    "not permitted",
    "not supported",
    "prohibited",
    "virus",
    "rejected due to",
];
/// Words of a full mailbox.
const FULL: [&str; 6] = [
    "mailbox full",
    "mailbox is full",
    "over quota",
    "quota exceeded",
    "insufficient storage",
    "out of storage",
];
/// Words of a missing address, for reports without any code.
const MISSING: [&str; 18] = [
    "unrouteable address",
    "unroutable address",
    "user unknown",
    "unknown user",
    "unknown recipient",
    "unknown address",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such address",
    "no mailbox here",
    "mailbox not found",
    "recipient not found",
    "does not exist",
    "doesn't exist",
    "doesn't have a",
    "invalid recipient",
    "couldn't find any host",
];

/// The class of a failure.
///
/// | code | meaning | class |
/// |---|---|---|
/// | x.1.0, x.1.1, x.1.2, x.1.3, x.1.6, 5.1.10 | no such address, no such domain, invalid, moved, null MX | hard |
/// | 5.2.1 | mailbox disabled | hard |
/// | 5.4.4, 5.4.310 | no route: the domain does not exist | hard |
/// | 5.4.1 "recipient address rejected" | Exchange Online: not in the directory | hard |
/// | x.1.7, x.1.8, x.7.y, 5.4.5 | the sender, policy, authentication, limits of the sender | blocked |
/// | x.2.2, x.2.3, x.2.4, x.3.y, x.4.y, x.5.y, x.6.y, 4.y.z | full, too large, outage, network, protocol, content | soft |
/// | 521, 556 | the host, the domain receives no email (RFC 7504) | hard |
/// | 550, 551, 553 without a code | no such address, unless the words are those of a policy | hard or blocked |
/// | 552 without a code | full, or too large | soft |
/// | 554 without a code | policy | blocked |
///
/// A class of 4 is soft whatever the subject, but for policy: the server gave up on something that it called temporary.
///
/// Sources: RFC 3463 §3, the IANA registry "SMTP Enhanced Status Codes" (5.1.10: RFC 7505; 5.7.26: RFC 7372), Gmail
/// <https://support.google.com/a/answer/3726730>, Exchange Online
/// <https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online>.
pub(super) fn classify(evidence: Evidence<'_>) -> BounceClass {
    use BounceClass::{Blocked, Hard, Soft};
    let text = evidence.text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if let Some(status) = evidence.codes.status.filter(|status| status.is_specific()) {
        return match (status.class, status.subject, status.detail) {
            (_, 1, 7 | 8) | (_, 7, _) | (5, 4, 5) => Blocked,
            (4, ..) => Soft,
            (_, 1, 0 | 1 | 2 | 3 | 6 | 10) | (_, 2, 1) | (_, 4, 4 | 310) => Hard,
            // Directory-based edge blocking of Exchange Online: "550 5.4.1 Recipient address rejected: Access denied".
            (_, 4, 1) if says(&["recipient address rejected"]) => Hard,
            _ => Soft,
        };
    }
    match evidence.codes.reply {
        Some(521 | 556) => Hard,
        Some(550 | 551 | 553) if says(&FULL) => Soft,
        Some(550 | 551 | 553) if says(&POLICY) => Blocked,
        // A refusal of the content is not about the address.
        Some(550 | 551 | 553) if after_the_content(evidence.around) => Blocked,
        Some(550 | 551 | 553) => Hard,
        Some(554) if says(&MISSING) && !says(&POLICY) => Hard,
        Some(554 | 535 | 530) => Blocked,
        Some(_) => Soft,
        None if evidence.codes.status.is_some_and(|status| status.class == 4) => Soft,
        None if says(&FULL) => Soft,
        None if says(&MISSING) => Hard,
        None => Soft,
    }
}

/// Whether the step named is the end of the content: "after end of data" (Exim), "in reply to end of DATA command"
/// (Postfix).
fn after_the_content(text: &str) -> bool {
    text.as_bytes().windows(11).any(|word| word.eq_ignore_ascii_case(b"end of data"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> BounceClass {
        classify(Evidence { codes: Codes::of_text(text), text, around: text })
    }

    #[test]
    fn status_code_has_three_numbers() {
        assert_eq!(StatusCode::parse("5.7.515"), Some(StatusCode { class: 5, subject: 7, detail: 515 }));
        for text in ["", "5.1", "5.1.1.1", "3.1.1", "5.1.1234", "15.1.1", "5.1.x", "5..1", " 5.1.1", "5.1.1a"]
        {
            assert_eq!(StatusCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ip_addresses_and_versions_are_no_codes() {
        for text in ["host 5.1.1.2 said no", "mx 192.5.1.1", "Exim 4.96.1x", "v5.1.1", "/5.1.1/", "a@5.1.1"] {
            assert_eq!(Codes::of_text(text).status, None, "{text}");
        }
        assert_eq!(Codes::of_text("(#5.1.1)").status, StatusCode::parse("5.1.1"));
        assert_eq!(Codes::of_text("550-5.1.1 <a@b>: no").reply, Some(550));
        assert_eq!(Codes::of_text("failed at 5500 and 1550 and 560 x").reply, None);
    }

    #[test]
    fn specific_code_wins_over_an_undefined_one() {
        // Exchange Online wraps the remote server's reply.
        let text = "smtp;550 5.0.350 Remote server returned an error -> 550 5.1.1 User unknown";
        assert_eq!(Codes::of_text(text).status, StatusCode::parse("5.1.1"));
        let best = Codes { status: StatusCode::parse("5.0.0"), reply: None }
            .or_better(Codes::of_text("552 5.2.2 full"));
        assert_eq!(best.status, StatusCode::parse("5.2.2"));
        let same = Codes { status: StatusCode::parse("5.7.1"), reply: None };
        assert_eq!(same.or_better(Codes::of_text("550 5.1.1")), same);
    }

    /// The sentences are those of real servers.
    #[test]
    fn replies_of_real_servers_have_their_class() {
        use BounceClass::{Blocked, Hard, Soft};
        for (text, expected) in [
            ("550-5.1.1 The email account that you tried to reach does not exist.", Hard),
            ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", Hard),
            ("550 5.2.1 The email account that you tried to reach is disabled.", Hard),
            ("550 5.4.1 Recipient address rejected: Access denied.", Hard),
            ("554 5.4.4 Host or domain name not found", Hard),
            ("550 5.4.310 DNS domain nowhere.example does not exist", Hard),
            ("554 delivery error: dd This user doesn't have a yahoo.com account", Hard),
            ("554 30 Sorry, your message cannot be delivered. This mailbox does not exist.", Hard),
            ("550 No such user here", Hard),
            ("Sorry, no mailbox here by that name. (#5.1.1)", Hard),
            ("556 domain does not accept mail", Hard),
            ("after end of data: 550 refused", Blocked),
            ("Unrouteable address", Hard),
            ("552-5.2.2 The email account that you tried to reach is over quota.", Soft),
            ("550 mailbox is full", Soft),
            ("552 message size exceeds limit", Soft),
            ("452 4.2.2 The email account that you tried to reach is over quota", Soft),
            ("421 4.4.2 Connection dropped", Soft),
            ("delivery temporarily suspended: connect to mx.example: Connection timed out", Soft),
            ("554 5.4.7 Delivery expired", Soft),
            ("550 5.4.1 No answer from host", Soft),
            ("Mailing to remote domains not supported", Soft),
            ("550 5.7.26 This mail has been blocked because the sender is unauthenticated.", Blocked),
            (
                "550 5.7.515 Access denied, sending domain does not meet the required authentication level",
                Blocked,
            ),
            ("554 5.7.1 spam", Blocked),
            ("421 4.7.28 Our system has detected an unusual rate of unsolicited mail", Blocked),
            ("550 5.4.5 Daily user sending limit exceeded", Blocked),
            ("553 5.1.8 Sender domain does not exist", Blocked),
            ("550 Blocked - see https://www.spamcop.net/bl.shtml", Blocked),
            ("550 relay not permitted", Blocked),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }
}
