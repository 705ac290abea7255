//! Reports in plain words: qmail's format, old Exim and Sendmail, and whoever writes like them.
//!
//! Only what a mail server sends is read like this: a person who writes "550" is a person.

use super::delivery_status::Fields;

/// How far a text is searched for codes. The explanation comes first; what follows is the returned email.
const MAX_TEXT: usize = 16 << 10;

/// A text, cut where the copy of the original email begins.
pub(super) struct Prose<'a> {
    /// What the server says.
    pub(super) explanation: &'a str,
    /// The returned email, with its headers; empty if it is not in the text.
    pub(super) original: &'a str,
}

/// Words of the line before the copy of the original.
const COPY: [&str; 7] = [
    // qmail (QSBMF, <https://cr.yp.to/proto/qsbmf.txt>: the paragraph that begins with "-"), and Yahoo after it.
    "below this line is a copy of the message",
    // Exim.
    "this is a copy of the message, including all the headers",
    "this is a copy of the message's headers",
    // Sendmail.
    "original message follows",
    "unsent message follows",
    "message header follows",
    "original message headers",
];

impl<'a> Prose<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if at > MAX_TEXT {
                break;
            }
            let begins = line.trim_start().starts_with('-') || line.trim_end().ends_with(':');
            if begins && contains_any(line, &COPY) {
                let rest = &text[at + line.len()..];
                return Self {
                    explanation: &text[..at],
                    original: rest.trim_start_matches(['\r', '\n', ' ']),
                };
            }
            at += line.len();
        }
        let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        Self { explanation: &text[..end], original: "" }
    }

    /// Whether the text has one of the forms that servers use.
    pub(super) fn is_report(&self) -> bool {
        !self.original.is_empty() || self.explanation.trim_start().starts_with("Hi. This is the ")
    }

    /// Whether it says that delivery goes on.
    pub(super) fn is_delay(&self) -> bool {
        says_delay(self.explanation)
    }

    /// The recipients that the explanation names at the start of a line: `<jean@example.org>:` (qmail, Postfix),
    /// `  jean@example.org` (Exim).
    pub(super) fn recipients(&self) -> Vec<String> {
        let mut found = Vec::new();
        for line in self.explanation.lines() {
            let text = line.trim().trim_end_matches(':');
            let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
            let address =
                text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
            let one_word =
                !text.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ',' | ';' | '/'));
            if address
                && one_word
                && found.len() < 20
                && text.len() <= 320
                && found.iter().all(|known| known != text)
            {
                found.push(text.to_owned());
            }
        }
        found
    }

    /// A header of the original email.
    pub(super) fn original_header(&self, name: &str) -> Option<String> {
        Fields { rest: self.original }
            .map_while(|field| field)
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    }
}

/// Whether a text of a server says that delivery goes on.
pub(super) fn says_delay(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "delivery attempts will continue",
        "will keep trying",
        "will continue to try",
        "this is a warning message only",
        "you do not need to resend",
        "no action is required on your part",
        "has not yet been delivered",
        "is still being attempted",
    ];
    contains_any(text, &WORDS)
}

/// The text about one recipient: from its address to the next recipient's, or the whole if it is not named.
pub(super) fn about<'a>(text: &'a str, address: Option<&str>, all: &[&str]) -> &'a str {
    let Some(begin) = address.filter(|_| all.len() > 1).and_then(|address| text.find(address)) else {
        return text;
    };
    let after = begin + address.map_or(0, str::len);
    let end = all
        .iter()
        .filter(|other| address.is_none_or(|address| !other.eq_ignore_ascii_case(address)))
        .filter_map(|other| text[after..].find(other))
        .min()
        .map_or(text.len(), |length| after + length);
    &text[begin..end]
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    let lower = text.to_ascii_lowercase();
    words.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn original_of_qmail_begins_after_the_break() {
        let prose = Prose::of(
            "Hi. This is the qmail-send program at silverton.berkeley.edu.\nI'm afraid\n\n<god@heaven.af.mil>:\n\
             Sorry, I couldn't find any host by that name.\n\n--- Below this line is a copy of the message.\n\n\
             Return-Path: <djb@silverton.berkeley.edu>\nMessage-ID: <19960317035438.316.qmail@silverton>\n\nbody\n",
        );
        assert!(prose.is_report() && !prose.is_delay());
        assert_eq!(prose.recipients(), ["god@heaven.af.mil"]);
        assert_eq!(
            prose.original_header("message-id").as_deref(),
            Some("<19960317035438.316.qmail@silverton>")
        );
        assert_eq!(prose.original_header("x"), None);
    }

    #[test]
    fn text_about_a_recipient_ends_at_the_next_one() {
        let text = "a@x.example: 550 5.1.1 no\nb@x.example: 552 5.2.2 full\n";
        let all = ["a@x.example", "b@x.example"];
        assert_eq!(about(text, Some(all[0]), &all), "a@x.example: 550 5.1.1 no\n");
        assert_eq!(about(text, Some(all[1]), &all), "b@x.example: 552 5.2.2 full\n");
        assert_eq!(about(text, Some("c@x.example"), &["c@x.example"]), text);
    }
}
