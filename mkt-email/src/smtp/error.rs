//! The meaning of server replies for an email. Pure.
//!
//! Codes: RFC 5321 §4.2.3, enhanced codes: RFC 3463 and the IANA registry "SMTP Enhanced Status Codes". Gmail's limits
//! and their replies: <https://support.google.com/a/answer/166852> (2026-11).

use super::SERVICE;
use super::reply::{Enhanced, Reply};
use super::wire::Fault;
use crate::Message;
use crate::Outcome;
use crate::provider::{RejectReason, Scope};
use chrono::{DateTime, Utc};
use mkt_connect::clock::later;
use mkt_connect::{Delivery, Error, ErrorKind};
use std::time::Duration;

/// A limit per second.
const SECOND: Duration = Duration::from_secs(1);
/// A quota of 24 hours that slides: some of it is free again soon.
const HOUR: Duration = Duration::from_hours(1);
/// The delay of an account that is throttled, or of a server that is going down.
const MINUTE: Duration = Duration::from_mins(1);
const FIVE_MINUTES: Duration = Duration::from_mins(5);
/// Greylisting accepts an email after 5 to 15 minutes (Postgrey's default is 5).
const QUARTER: Duration = Duration::from_mins(15);
/// A full mailbox is not emptied at once.
const FOUR_HOURS: Duration = Duration::from_hours(4);
/// Daily limits count a window of 24 hours.
const DAY: Duration = Duration::from_hours(24);
/// The longest delay that a server can request.
const LONGEST: Duration = Duration::from_hours(48);
/// Characters kept of a server's text.
const MAX_TOLD: usize = 200;

/// The step of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The sender was named.
    Sender,
    /// The recipient was named.
    Recipient,
    /// The content was announced.
    Announced,
    /// The content was written.
    Content,
}

/// The meaning of a 4yz or 5yz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The email is rejected.
    Never(RejectReason),
    /// The email is deferred.
    Later(Duration, Scope),
    /// The server requires other credentials or encryption: no email passes.
    Credentials,
    /// The server has lost the state of the dialogue.
    Astray,
}

fn meaning(step: Step, reply: &Reply) -> Meaning {
    let text = reply.text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let about = reply.enhanced.map(|Enhanced(subject, detail)| (subject, detail));
    if matches!(reply.code, 530 | 534 | 535 | 538)
        || (reply.class() == 5 && matches!(about, Some((7, 8 | 9))))
    {
        return Meaning::Credentials;
    }
    // "bad sequence of commands" is not about an email, and would be said to the next one too.
    if reply.code == 503 {
        return Meaning::Astray;
    }
    // "550 5.4.5 Daily SMTP relay limit exceeded for user", "550 5.7.1 Daily SMTP relay limit exceeded for customer",
    // "450 4.2.1 Peak SMTP relay limit exceeded for customer": the account's limits, whatever the code says.
    // Amazon SES (<https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>): a rate per second, and the
    // quota of 24 hours, both as 454 and after the content too.
    if says(&["throttling failure"]) {
        let per_second = says(&["sending rate exceeded", "rate exceeded"]);
        return Meaning::Later(if per_second { SECOND } else { HOUR }, Scope::Account);
    }
    // Limits of a mailbox and of one email are told in the same words.
    let one_mails = matches!(about, Some((2, 2 | 3) | (3, 4)))
        || reply.code == 552
        || says(&["mailbox", "message size", "size limit", "storage"]);
    let limit = !one_mails && says(&["limit exceeded", "sending limit", "rate limit"]);
    if about == Some((4, 5)) || limit {
        let daily = says(&["daily", "per day"]) || (reply.class() == 5 && about == Some((4, 5)));
        return Meaning::Later(if daily { DAY } else { QUARTER }, Scope::Account);
    }
    if reply.class() == 4 {
        not_now(step, reply.code, about, &says)
    } else {
        Meaning::Never(never(step, reply.code, about, &says))
    }
}

type About = Option<(u16, u16)>;

fn not_now(step: Step, code: u16, about: About, says: &dyn Fn(&[&str]) -> bool) -> Meaning {
    let greylisted = says(&["greylist", "graylist", "grey list", "recipient address rejected"]);
    // Postfix writes "Recipient address rejected" before the words of any refusal of a recipient, a full mailbox too.
    let full =
        about == Some((2, 2)) || says(&["mailbox full", "mailbox is full", "over quota", "quota exceeded"]);
    let (wait, scope) = match (code, about) {
        (421, _) => (MINUTE, Scope::Account),
        _ if full && step == Step::Recipient => (FOUR_HOURS, Scope::Recipient),
        _ if greylisted => (QUARTER, Scope::Recipient),
        // 454 stands for a temporary failure of authentication (RFC 4954) and of TLS (RFC 3207).
        (454, _) => (FIVE_MINUTES, Scope::Account),
        (_, Some((7, 28))) => (QUARTER, Scope::Account),
        (_, Some((7, _))) => (FIVE_MINUTES, Scope::Account),
        // The server's disk is full, or it takes nothing now. Other 4.3.x are too vague to stop everybody for.
        (_, Some((3, 1 | 2))) => (FIVE_MINUTES, Scope::Account),
        (_, Some((2, 2))) => (FOUR_HOURS, Scope::Recipient),
        // Too many recipients for one transaction, of which we have one.
        (_, Some((5, 3))) => (MINUTE, Scope::Account),
        // "insufficient system storage", before anybody was named.
        (452, None) if step == Step::Sender => (FIVE_MINUTES, Scope::Account),
        _ => (QUARTER, Scope::Recipient),
    };
    Meaning::Later(wait, scope)
}

fn never(step: Step, code: u16, about: About, says: &dyn Fn(&[&str]) -> bool) -> RejectReason {
    match about {
        Some((3, 4) | (2, 3)) => RejectReason::TooLarge,
        // RFC 6531: the address or the content needs an extension.
        Some((6, 7..=10)) => RejectReason::Unsupported,
        // Before a recipient is named it is the sender that is refused.
        _ if step == Step::Sender && code != 552 => RejectReason::Policy,
        // A mailbox that is switched off is as good as none.
        Some((1, 1 | 2 | 3 | 6 | 10) | (2, 1)) => RejectReason::InvalidAddress,
        Some((7, _) | (6, _) | (1, 7 | 8)) => RejectReason::Policy,
        // Full: the address is good, so it must not look like one that is not.
        Some((2, 2)) => RejectReason::Other,
        Some((0, 0)) | None => match (step, code) {
            (Step::Sender | Step::Announced | Step::Content, 552) => RejectReason::TooLarge,
            (Step::Recipient, 550 | 551 | 553) => {
                // Without a code of its own, "550" is used for refusals that say nothing about the address.
                let policy = says(&[
                    "relay",
                    "denied",
                    "block",
                    "spam",
                    "policy",
                    "blacklist",
                    "reputation",
                    "spf",
                    "dkim",
                    "dmarc",
                    "authenti",
                    "not allowed",
                    "not permitted",
                    "full",
                    "quota",
                ]);
                if policy { RejectReason::Policy } else { RejectReason::InvalidAddress }
            }
            (Step::Recipient, 554) | (Step::Announced | Step::Content, 550 | 554) => RejectReason::Policy,
            _ => RejectReason::Other,
        },
        Some(_) => RejectReason::Other,
    }
}

/// The outcome of an email after a refusal.
///
/// # Errors
/// [`ErrorKind::Auth`] if it concerns the credentials, [`ErrorKind::Protocol`] if the server has lost the state of the
/// dialogue: no email of the account would pass.
pub(super) fn outcome(
    step: Step,
    reply: &Reply,
    message: &Message,
    at: DateTime<Utc>,
) -> Result<Outcome, Error> {
    let detail = told(reply, message);
    match meaning(step, reply) {
        Meaning::Credentials => Err(Error::new(ErrorKind::Auth, SERVICE, "send")
            .delivered(Delivery::Answered)
            .with_status(reply.code)
            .with_detail(detail)),
        // A refusal all the same, so it leaves no doubt.
        Meaning::Astray => Err(Error::new(ErrorKind::Protocol, SERVICE, "send")
            .delivered(Delivery::NotSent)
            .with_status(reply.code)
            .with_detail(detail)),
        Meaning::Never(reason) => Ok(Outcome::Rejected { reason, detail }),
        Meaning::Later(wait, scope) => {
            let wait = asked_wait(&reply.text, Some(at)).unwrap_or(wait);
            Ok(Outcome::Deferred { retry_at: later(at, wait), scope, detail })
        }
    }
}

/// An email whose connection was lost before its end was written: it was not accepted. The email is deferred, not the
/// account, since the email may be the cause; if the server is, the next email cannot connect.
pub(super) fn cut_off(fault: &Fault, at: DateTime<Utc>) -> Outcome {
    let detail = format!("{} before the mail was handed over", fault.clause());
    Outcome::Deferred { retry_at: later(at, MINUTE), scope: Scope::Recipient, detail }
}

/// A refusal while the connection is opened, before any email.
pub(super) fn unwilling(operation: &'static str, reply: &Reply) -> Error {
    let kind = match reply.class() {
        4 => ErrorKind::Unavailable,
        5 => ErrorKind::Other,
        _ => ErrorKind::Protocol,
    };
    let error = Error::new(kind, SERVICE, operation).with_status(reply.code).with_detail(code(reply));
    match reply.class() {
        4 => error.with_retry_after(asked_wait(&reply.text, None).unwrap_or(FIVE_MINUTES)),
        _ => error,
    }
}

/// A failure while the connection is opened.
pub(super) fn unreachable(operation: &'static str, fault: Fault) -> Error {
    let kind = match &fault {
        Fault::Garbage(_) => ErrorKind::Protocol,
        _ => ErrorKind::Unavailable,
    };
    let error = Error::new(kind, SERVICE, operation).with_detail(fault.clause());
    match fault {
        Fault::Broken(cause) => error.with_source(cause),
        _ => error,
    }
}

/// The code and the enhanced code, without the text: servers may echo credentials.
pub(super) fn code(reply: &Reply) -> String {
    match reply.enhanced {
        Some(Enhanced(subject, detail)) => {
            format!("the server answered {} {}.{subject}.{detail}", reply.code, reply.class())
        }
        None => format!("the server answered {}", reply.code),
    }
}

/// The server's text without personal data: servers repeat the address, plain or in a link. Words with an `@` are removed,
/// and so are the recipient's local part and name.
fn told(reply: &Reply, message: &Message) -> String {
    let to = message.to();
    let local = to.address.as_str().rsplit_once('@').map_or("", |(local, _)| local);
    let name = to.name.as_ref().map_or("", |name| name.as_str());
    let mut clean = String::new();
    for word in reply.text.split_whitespace() {
        let lower = word.to_ascii_lowercase();
        let shown =
            if ["@", "%40", "=40", "＠"].iter().any(|sign| lower.contains(sign)) { "…" } else { word };
        let separator = if clean.is_empty() { "" } else { " " };
        clean.push_str(separator);
        clean.extend(shown.chars().filter(|c| !c.is_control()));
    }
    // Servers name the mailbox to which `jean+news` belongs.
    let mailbox = local.split('+').next().unwrap_or_default();
    for personal in [name, local, mailbox] {
        clean = without_word(&clean, personal);
    }
    if let Some((end, _)) = clean.char_indices().nth(MAX_TOLD) {
        clean.truncate(end);
        clean.push('…');
    }
    if clean.is_empty() { reply.code.to_string() } else { format!("{} {clean}", reply.code) }
}

/// Replaces `word`, in any case, where it does not stand inside a longer word.
fn without_word(text: &str, word: &str) -> String {
    let (lower, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let (mut kept, mut done) = (String::with_capacity(text.len()), 0);
    if word.is_empty() {
        return text.to_owned();
    }
    // ASCII lower case keeps every position.
    for (at, found) in lower.match_indices(&word) {
        let end = at + found.len();
        if edge(lower[..at].chars().next_back()) && edge(lower[end..].chars().next()) {
            kept.push_str(&text[done..at]);
            kept.push('…');
            done = end;
        }
    }
    kept.push_str(&text[done..]);
    kept
}

/// The delay that the server requests, if any: "try again after 120 seconds", "try again in 5 minutes", "try
/// again after Mon, 25 Aug 2025 07:00:31 UTC" (Mailgun writes the first and the last).
fn asked_wait(text: &str, at: Option<DateTime<Utc>>) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    let (begin, phrase) = ["try again after ", "try again in ", "retry after ", "retry in "]
        .iter()
        .find_map(|phrase| lower.find(phrase).map(|begin| (begin, phrase)))?;
    let rest = text.get(begin + phrase.len()..)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let wait = match rest[..digits].parse::<u64>() {
        Ok(number) => {
            let unit = rest[digits..].trim_start().to_ascii_lowercase();
            let seconds = match unit.chars().next() {
                Some('m') if !unit.starts_with("ms") => 60,
                Some('h') => 3_600,
                Some('s') | None => 1,
                _ => return None,
            };
            Duration::from_secs(number.checked_mul(seconds)?)
        }
        Err(_) => {
            let line = rest.lines().next().unwrap_or_default().trim().trim_end_matches('.');
            let until = DateTime::parse_from_rfc2822(&line.replace("UTC", "+0000")).ok()?;
            (until.to_utc() - at?).to_std().ok()?
        }
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::reply::Assembly;

    fn reply(line: &str) -> Reply {
        Assembly::default().push(line.as_bytes()).unwrap().unwrap()
    }

    fn at(step: Step, line: &str) -> Meaning {
        meaning(step, &reply(line))
    }

    fn message() -> Message {
        let to = crate::Mailbox::named("jean.dupont@example.org".parse().unwrap(), "Jean Dupont").unwrap();
        Message::builder("news@shop.example".parse().unwrap(), to, "Hello".parse().unwrap())
            .text("Hello")
            .build()
            .unwrap()
    }

    /// The sentences are those of real servers: Gmail, Outlook, Postfix, Exim, Mailgun.
    #[test]
    fn permanent_replies_say_why() {
        use RejectReason::{InvalidAddress, Other, Policy, TooLarge, Unsupported};
        for (step, line, reason) in [
            (
                Step::Recipient,
                "550 5.1.1 The email account that you tried to reach does not exist.",
                InvalidAddress,
            ),
            (
                Step::Recipient,
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found",
                InvalidAddress,
            ),
            (
                Step::Recipient,
                "550 5.2.1 The email account that you tried to reach is disabled.",
                InvalidAddress,
            ),
            (Step::Recipient, "550 No such user here", InvalidAddress),
            (Step::Recipient, "553 sorry, no mailbox here by that name", InvalidAddress),
            (Step::Recipient, "550 relay not permitted", Policy),
            (Step::Recipient, "550 Blocked - see https://www.spamcop.net/bl.shtml", Policy),
            (Step::Recipient, "554 5.7.1 Relay access denied", Policy),
            (Step::Recipient, "552 5.2.2 The email account is over quota", Other),
            (Step::Sender, "552 5.3.4 Message size exceeds fixed limit", TooLarge),
            // One email's limits, and not the account's.
            (Step::Sender, "552 5.3.4 size limit exceeded", TooLarge),
            (Step::Content, "552 size limit exceeded", TooLarge),
            (Step::Recipient, "552 5.2.2 storage limit exceeded", Other),
            (Step::Sender, "552 Message size exceeds maximum permitted", TooLarge),
            (Step::Sender, "553 5.1.8 Sender domain does not exist", Policy),
            (Step::Sender, "550 5.1.1 Sender unknown", Policy),
            (Step::Content, "552 5.2.3 Message too large", TooLarge),
            (Step::Content, "550 5.7.26 This mail is unauthenticated", Policy),
            (Step::Content, "550 5.7.515 Access denied", Policy),
            (Step::Content, "554 Message rejected as spam", Policy),
            (Step::Content, "550 5.6.7 SMTPUTF8 is required", Unsupported),
            (Step::Announced, "554 5.5.1 No valid recipients", Other),
        ] {
            assert_eq!(at(step, line), Meaning::Never(reason), "{line}");
        }
    }

    #[test]
    fn temporary_replies_say_what_has_to_wait() {
        for (step, line, wait, scope) in [
            (Step::Content, "454 Throttling failure: Maximum sending rate exceeded.", SECOND, Scope::Account),
            (Step::Sender, "454 Throttling failure: Daily message quota exceeded.", HOUR, Scope::Account),
            (Step::Sender, "421 4.3.2 Service shutting down", MINUTE, Scope::Account),
            (
                Step::Recipient,
                "450 4.2.0 Greylisted, see http://postgrey.example/",
                QUARTER,
                Scope::Recipient,
            ),
            (
                Step::Recipient,
                "451 4.7.1 Greylisting in action, please come back later",
                QUARTER,
                Scope::Recipient,
            ),
            (Step::Recipient, "452 4.2.2 The email account is over quota", FOUR_HOURS, Scope::Recipient),
            (
                Step::Recipient,
                "452 4.2.2 <a@b.example>: Recipient address rejected: Mailbox full",
                FOUR_HOURS,
                Scope::Recipient,
            ),
            (
                Step::Recipient,
                "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted",
                QUARTER,
                Scope::Recipient,
            ),
            (Step::Recipient, "450 4.2.1 The user is receiving mail too quickly", QUARTER, Scope::Recipient),
            (
                Step::Recipient,
                "450 4.2.1 Peak SMTP relay limit exceeded for customer",
                QUARTER,
                Scope::Account,
            ),
            (Step::Content, "421 4.7.28 unusual rate of mail", MINUTE, Scope::Account),
            (Step::Content, "450 4.7.28 unusual rate of mail", QUARTER, Scope::Account),
            (Step::Content, "451 4.7.0 Temporary rate limit", QUARTER, Scope::Account),
            (Step::Content, "452 4.3.1 Insufficient system storage", FIVE_MINUTES, Scope::Account),
            (Step::Recipient, "451 4.3.0 Temporary lookup failure", QUARTER, Scope::Recipient),
            (Step::Recipient, "452 4.2.2 user storage limit exceeded", FOUR_HOURS, Scope::Recipient),
            (Step::Sender, "452 Insufficient system storage", FIVE_MINUTES, Scope::Account),
            (Step::Content, "451 4.4.1 Connection timed out", QUARTER, Scope::Recipient),
            (Step::Content, "550 5.4.5 Daily user sending quota exceeded", DAY, Scope::Account),
            (Step::Recipient, "550 5.4.5 Daily SMTP relay limit exceeded for user", DAY, Scope::Account),
            (Step::Recipient, "550 5.7.1 Daily SMTP relay limit exceeded for customer", DAY, Scope::Account),
        ] {
            assert_eq!(at(step, line), Meaning::Later(wait, scope), "{line}");
        }
    }

    #[test]
    fn a_want_of_credentials_is_not_the_mails_fault() {
        for line in [
            "530 5.7.0 Authentication Required",
            "530 5.7.0 Must issue a STARTTLS command first",
            "535 5.7.8 Username and Password not accepted",
            "534 5.7.9 Application-specific password required",
            "550 5.7.8 x",
        ] {
            assert_eq!(at(Step::Sender, line), Meaning::Credentials, "{line}");
            let error = outcome(Step::Sender, &reply(line), &message(), Utc::now()).unwrap_err();
            assert!(error.kind() == ErrorKind::Auth && !error.leaves_doubt(), "{error:?}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept() {
        let now = "2025-08-25T07:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("account-requests-per-sec limit exceeded, try again after 120 seconds", Some(120)),
            ("4.7.1 Try again in 5 minutes", Some(300)),
            ("try again in 2h", Some(7_200)),
            ("recipient limit exceeded, try again after Mon, 25 Aug 2025 07:00:31 UTC", Some(31)),
            ("try again after Mon, 25 Aug 2025 06:00:31 UTC", None),
            ("try again after 99999999999999999999 seconds", None),
            ("try again in 900 hours", Some(48 * 3_600)),
            ("try again in 5 parsecs", None),
            ("try again later", None),
            ("İ try again after ", None),
        ] {
            assert_eq!(asked_wait(text, Some(now)).map(|wait| wait.as_secs()), seconds, "{text}");
        }
        let line = "421 Try again after 120 seconds";
        let Outcome::Deferred { retry_at, .. } =
            outcome(Step::Sender, &reply(line), &message(), now).unwrap()
        else {
            panic!("not deferred");
        };
        assert_eq!((retry_at - now).num_seconds(), 120);
    }

    #[test]
    fn what_the_server_says_is_told_without_the_person() {
        for line in [
            "550 5.1.1 <jean.dupont@example.org>: no such user",
            "550 5.1.1 Jean.Dupont is unknown; see https://x.example/?who=jean.dupont%40example.org",
            "550 user JEAN.DUPONT@EXAMPLE.ORG does not exist, says (jean.dupont)",
            "550 no mailbox for \"Jean Dupont\"",
        ] {
            let shown = told(&reply(line), &message()).to_ascii_lowercase();
            assert!(!shown.contains("dupont"), "{shown}");
            assert!(shown.starts_with("550 "), "{shown}");
        }
        assert_eq!(
            told(&reply("550 5.1.1 <jean.dupont@example.org> no such user"), &message()),
            "550 5.1.1 … no such user"
        );
        let sub = Message::builder(
            "news@shop.example".parse().unwrap(),
            "jean.dupont+shop@example.org".parse::<crate::EmailAddress>().unwrap().into(),
            "Hello".parse().unwrap(),
        );
        let sub = sub.text("Hello").build().unwrap();
        assert_eq!(told(&reply("550 5.1.1 jean.dupont is unknown"), &sub), "550 5.1.1 … is unknown");
        let long = format!("550 {}", "é".repeat(900));
        assert_eq!(told(&reply(&long), &message()).chars().count(), 4 + MAX_TOLD + 1);
        assert_eq!(told(&reply("550 a\u{1b}[2Jb\u{85}"), &message()), "550 a[2Jb");
    }
}
