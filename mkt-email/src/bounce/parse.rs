//! From the bytes of a message to what it says. Pure.

use super::code::{Codes, Evidence, classify};
use super::delivery_status::{self, Action, Fields, RecipientFields};
use super::feedback::{Feedback, ParsedMessage, RecipientReport, References, Unrecognised};
use super::prose::{self, Prose};
use super::structure::Part;

/// How deep the text of a report is looked for: Gmail writes multipart/report, related, alternative, text.
const MAX_DEPTH: usize = 4;
/// Characters kept of a server's words.
const MAX_DIAGNOSTIC: usize = 500;
/// The most characters of an original's headers that are read.
const MAX_HEADERS: usize = 64 << 10;

/// Reads one message of a bounce mailbox: RFC 5322 with any line ends. Never fails: what is not understood is
/// [`Feedback::Unrecognised`].
///
/// Recognised are delivery status notifications (RFC 3464), also those in a `multipart/mixed` (OpenSMTPD), reports in
/// plain words by a mail server (qmail, old Exim and Sendmail), feedback reports (RFC 5965, and Microsoft's), emails to a
/// `mailto:` of `List-Unsubscribe`, and automatic replies.
#[must_use]
pub fn parse(message: &[u8]) -> ParsedMessage {
    let mut references = References::default();
    let Some(part) = Part::read(message) else {
        let feedback = Feedback::Unrecognised(Unrecognised::NotAMessage);
        return ParsedMessage { feedback, references, at: None, is_cut: false };
    };
    let feedback = read(&part, &mut references);
    ParsedMessage { feedback, references, at: part.date(), is_cut: false }
}

fn read(part: &Part<'_>, references: &mut References) -> Feedback {
    sent_to(part, references);
    let parts = part.parts();
    let of_type = |kind: &str| parts.iter().find(|part| part.media_type() == kind);
    if let Some(report) = of_type("message/feedback-report") {
        return complaint(report, &parts, references);
    }
    let status = of_type("message/delivery-status").or_else(|| of_type("message/global-delivery-status"));
    if let Some(status) = status {
        return delivery_report(part, &parts, status, references);
    }
    if is_microsoft_complaint(part)
        && let Some(original) = of_type("message/rfc822")
    {
        original_headers(&original.content(), references);
        return Feedback::Complaint { kind: "abuse".to_owned() };
    }
    let from_server = is_from_a_server(part);
    let text = if from_server { first_text(part, &parts, MAX_DEPTH) } else { None };
    if let Some(text) = &text
        && let Some(feedback) = in_words(part, &parts, text, references)
    {
        return feedback;
    }
    add_answered(part, references);
    if let Some(tokens) = unsubscribe(part) {
        return Feedback::Unsubscribe { tokens };
    }
    if is_automatic(part) {
        return Feedback::AutoReply;
    }
    let forwarded = parts.iter().any(|part| part.media_type() == "message/rfc822")
        || part.header("Subject").is_some_and(|subject| {
            let subject = subject.trim().to_ascii_lowercase();
            ["fwd:", "fw:", "tr:", "wg:"].iter().any(|prefix| subject.starts_with(prefix))
        });
    Feedback::Unrecognised(if forwarded { Unrecognised::Forwarded } else { Unrecognised::NoReport })
}

/// The addresses that the message was sent to: a signed return path is one of them.
fn sent_to(part: &Part<'_>, references: &mut References) {
    for name in ["X-Original-To", "Delivered-To", "Envelope-To", "X-Envelope-To"] {
        for value in part.headers(name) {
            value.split(',').for_each(|address| references.add_return_path(address));
        }
    }
    for name in ["To", "Cc"] {
        part.addresses(name).for_each(|address| references.add_return_path(address));
    }
}

/// The emails that the message answers.
fn add_answered(part: &Part<'_>, references: &mut References) {
    for name in ["References", "In-Reply-To"] {
        part.headers(name).for_each(|id| references.add_message_id(id));
    }
}

/// The traces of the original email in its returned headers.
fn original_headers(bytes: &[u8], references: &mut References) {
    let bytes = &bytes[..bytes.len().min(MAX_HEADERS)];
    // Headers alone may end without a line end, where the parser does not see their last value.
    let ended = [bytes, b"\n\n"].concat();
    let Some(original) = Part::read(&ended) else { return };
    original.headers("Message-ID").for_each(|id| references.add_message_id(id));
    original.headers("Return-Path").for_each(|path| references.add_return_path(path));
}

fn returned(parts: &[Part<'_>], references: &mut References) {
    for part in parts {
        let kind = part.media_type();
        let original = matches!(
            kind.as_str(),
            "message/rfc822"
                | "text/rfc822-headers"
                | "message/rfc822-headers"
                | "message/global"
                | "message/global-headers"
        );
        if original {
            original_headers(&part.content(), references);
        }
    }
}

/// The first plain text of a message.
fn first_text(part: &Part<'_>, parts: &[Part<'_>], depth: usize) -> Option<String> {
    if parts.is_empty() {
        return (part.media_type() == "text/plain").then(|| part.text().into_owned());
    }
    if depth == 0 {
        return None;
    }
    parts.iter().find_map(|part| first_text(part, &part.parts(), depth - 1))
}

/// A report with a part for machines.
fn delivery_report(
    part: &Part<'_>,
    parts: &[Part<'_>],
    status: &Part<'_>,
    references: &mut References,
) -> Feedback {
    let fields = status.text();
    returned(parts, references);
    for (name, value) in (Fields { rest: &fields }).map_while(|field| field) {
        if name.eq_ignore_ascii_case("X-Postfix-Sender") {
            delivery_status::address(&value).iter().for_each(|path| references.add_return_path(path));
        }
    }
    // After the returned headers: a thread may be answered, and only one email is returned.
    add_answered(part, references);
    let groups = delivery_status::parse(&fields);
    if groups.is_empty() {
        return Feedback::Unrecognised(Unrecognised::NoRecipient);
    }
    let text = parts.iter().find_map(|part| first_text(part, &part.parts(), MAX_DEPTH)).unwrap_or_default();
    let explanation = Prose::of(&text).explanation;
    let named: Vec<&str> =
        groups.iter().filter_map(|group| group.last.as_deref().or(group.original.as_deref())).collect();
    let reports: Vec<(Action, RecipientReport)> = groups
        .iter()
        .map(|group| {
            let around = prose::about(explanation, group.last.as_deref(), &named);
            recipient(group, around)
        })
        .collect();
    by_action(reports)
}

fn recipient(group: &RecipientFields, around: &str) -> (Action, RecipientReport) {
    let codes = group.codes.or_better(Codes::of_text(&group.diagnostic)).or_better(Codes::of_text(around));
    let text = if group.diagnostic.is_empty() { around } else { &group.diagnostic };
    let action = group.action.unwrap_or_else(|| {
        let permanent = codes.status.is_some_and(|status| status.class == 5)
            || codes.reply.is_some_and(|reply| reply >= 500);
        if permanent && !prose::says_delay(around) { Action::Failed } else { Action::Delayed }
    });
    let address = group.original.clone().or_else(|| group.last.clone());
    let final_address = group.last.clone().filter(|last| address.as_ref() != Some(last));
    let class = classify(Evidence { codes, text, around });
    let report = RecipientReport {
        address,
        final_address,
        class,
        status: codes.status,
        reply: codes.reply,
        diagnostic: shortened(text),
    };
    (action, report)
}

/// A report that has one failed recipient is a bounce, of those that failed.
fn by_action(reports: Vec<(Action, RecipientReport)>) -> Feedback {
    let has = |action| reports.iter().any(|(known, _)| *known == action);
    let action = [Action::Failed, Action::Delayed].into_iter().find(|action| has(*action));
    let action = action.unwrap_or(Action::Delivered);
    let reports =
        reports.into_iter().filter(|(known, _)| *known == action).map(|(_, report)| report).collect();
    match action {
        Action::Failed => Feedback::Bounce(reports),
        Action::Delayed => Feedback::Delayed(reports),
        Action::Delivered => Feedback::Delivered(reports),
    }
}

/// A report in plain words, if it is one.
fn in_words(
    part: &Part<'_>,
    parts: &[Part<'_>],
    text: &str,
    references: &mut References,
) -> Option<Feedback> {
    let prose = Prose::of(text);
    let failed: Vec<String> = part
        .headers("X-Failed-Recipients")
        .flat_map(|value| value.split(','))
        .filter_map(delivery_status::address)
        .take(100)
        .collect();
    let codes = Codes::of_text(prose.explanation);
    let attached = parts.iter().any(|part| part.media_type() == "message/rfc822");
    let named = if failed.is_empty() { prose.recipients() } else { failed };
    let is_report = prose.is_report()
        || attached
        || part.header("X-Failed-Recipients").is_some()
        || (codes != Codes::default() && !named.is_empty());
    if !is_report {
        return None;
    }
    for (name, add) in [
        ("Message-ID", References::add_message_id as fn(&mut References, &str)),
        ("Return-Path", References::add_return_path),
    ] {
        if let Some(value) = prose.original_header(name) {
            add(references, &value);
        }
    }
    returned(parts, references);
    add_answered(part, references);
    let all: Vec<&str> = named.iter().map(String::as_str).collect();
    let report = |address: Option<&str>| {
        let around = prose::about(prose.explanation, address, &all);
        let group = RecipientFields { last: address.map(str::to_owned), ..RecipientFields::default() };
        recipient(&group, around).1
    };
    let reports = match all.is_empty() {
        true => vec![report(None)],
        false => all.iter().map(|address| report(Some(address))).collect(),
    };
    Some(if prose.is_delay() { Feedback::Delayed(reports) } else { Feedback::Bounce(reports) })
}

/// A feedback report (RFC 5965): abuse, fraud and the like are complaints; `not-spam` and reports about authentication
/// (RFC 6591) are not.
fn complaint(report: &Part<'_>, parts: &[Part<'_>], references: &mut References) -> Feedback {
    let text = report.text();
    let mut kind = None;
    for (name, value) in (Fields { rest: &text }).flatten() {
        if name.eq_ignore_ascii_case("Feedback-Type") {
            kind = kind.or_else(|| Some(value.trim().to_ascii_lowercase()));
        } else if name.eq_ignore_ascii_case("Original-Mail-From") {
            references.add_return_path(&value);
        }
    }
    returned(parts, references);
    match kind {
        Some(kind) if !matches!(kind.as_str(), "not-spam" | "auth-failure" | "dmarc" | "") => {
            Feedback::Complaint { kind: kind.chars().filter(|c| !c.is_control()).take(40).collect() }
        }
        _ => Feedback::Unrecognised(Unrecognised::NoComplaint),
    }
}

/// The form of Outlook.com's Junk Mail Reporting Program that is not ARF.
fn is_microsoft_complaint(part: &Part<'_>) -> bool {
    part.addresses("From").any(|from| from.eq_ignore_ascii_case("staff@hotmail.com"))
        && part.header("Subject").is_some_and(|subject| subject.starts_with("complaint about message from"))
}

/// Whether the sender says that it is a mail server. Nothing is proven by it.
fn is_from_a_server(part: &Part<'_>) -> bool {
    const NAMES: [&str; 8] = [
        "mailer-daemon",
        "mailerdaemon",
        "mail-daemon",
        "maildaemon",
        "mail.daemon",
        "postmaster",
        "mdaemon",
        "mail-delivery-subsystem",
    ];
    let by_name = part.addresses("From").any(|from| {
        let local = from.split('@').next().unwrap_or_default().to_ascii_lowercase();
        NAMES.contains(&local.as_str())
    });
    by_name
        || part.header("Return-Path").is_some_and(|path| path.trim() == "<>")
        || part.header("X-Failed-Recipients").is_some()
}

/// Whether a program has written it (RFC 3834), by its fields or, of those that set none, by the subject.
fn is_automatic(part: &Part<'_>) -> bool {
    const SUBJECTS: [&str; 12] = [
        "automatic reply",
        "auto reply",
        "autoreply",
        "auto-reply",
        "auto:",
        "out of office",
        "out of the office",
        "réponse automatique",
        "reponse automatique",
        "absence du bureau",
        "absent du bureau",
        "abwesenheitsnotiz",
    ];
    let has = |name: &str| part.header(name).is_some();
    let word = |name: &str, words: &[&str]| {
        part.header(name).is_some_and(|value| {
            let value = value.trim().to_ascii_lowercase();
            words.iter().any(|word| value.starts_with(word))
        })
    };
    word("Auto-Submitted", &["auto-replied", "auto-generated", "auto-notified"])
        || has("X-Autoreply")
        || has("X-Autorespond")
        || word("X-Auto-Response-Suppress", &["all", "oof, autoreply"])
        || word("Precedence", &["auto_reply", "auto-reply"])
        || part.header("Subject").is_some_and(|subject| {
            let subject = subject.trim().to_lowercase();
            SUBJECTS.iter().any(|words| subject.starts_with(words))
        })
}

/// Texts that may be signed tokens, if the message asks to unsubscribe: its subject begins with the word, or a token
/// stands in an address it was sent to.
fn unsubscribe(part: &Part<'_>) -> Option<Vec<String>> {
    // Version, person, expiry and signature in base 64 are never shorter.
    const LEAST: usize = 100;
    let subject = part.header("Subject").unwrap_or_default().trim();
    let asked = ["unsubscribe", "désinscription", "desinscription", "désabonnement", "desabonnement"];
    let lower = subject.to_lowercase();
    if !asked.iter().any(|word| lower.starts_with(word)) {
        return None;
    }
    let is_token = |word: &str| {
        word.len() >= LEAST && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let words = subject.split_whitespace().filter(|word| is_token(word));
    Some(words.take(References::MAX).map(str::to_owned).collect())
}

/// The words in one line, without control characters.
fn shortened(text: &str) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() >= MAX_DIAGNOSTIC {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()).take(MAX_DIAGNOSTIC));
    }
    if let Some((end, _)) = line.char_indices().nth(MAX_DIAGNOSTIC) {
        line.truncate(end);
    }
    line
}
