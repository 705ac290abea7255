//! The machine-readable part of a delivery status notification (RFC 3464): groups of fields, the first about the message,
//! the others one per recipient. Written leniently: Exim puts `Action` first and no blank after `rfc822;`, Postfix folds.

use super::code::{Codes, StatusCode};
use std::borrow::Cow;

/// Groups that are read. A report of ours has one recipient; those of lists have many.
const MAX_RECIPIENTS: usize = 1_000;

/// `Action` (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Failed,
    Delayed,
    /// `delivered`, `relayed`, `expanded`.
    Delivered,
}

/// The fields about one recipient.
#[derive(Debug, Default)]
pub(super) struct RecipientFields {
    pub(super) action: Option<Action>,
    pub(super) original: Option<String>,
    pub(super) last: Option<String>,
    pub(super) codes: Codes,
    pub(super) diagnostic: String,
}

/// Parses the part. Groups without a recipient and without an action are those about the message.
pub(super) fn parse(text: &str) -> Vec<RecipientFields> {
    let mut groups = Vec::new();
    let mut group = RecipientFields::default();
    for field in (Fields { rest: text }) {
        let Some((name, value)) = field else {
            finish(&mut groups, &mut group);
            continue;
        };
        if groups.len() == MAX_RECIPIENTS {
            break;
        }
        let value = value.trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("Action") {
            group.action = action(value);
        } else if is("Original-Recipient") {
            group.original = address(value);
        } else if is("Final-Recipient") {
            // Two recipients in one group, as a server wrote that forgot the empty line.
            if group.last.is_some() {
                let action = group.action;
                finish(&mut groups, &mut group);
                group.action = action;
            }
            group.last = address(value);
        } else if is("Status") {
            // A comment may follow: "5.1.1 (bad destination mailbox address)".
            let word = value.split([' ', '\t', '(']).next().unwrap_or_default();
            group.codes.status = StatusCode::parse(word).filter(|status| status.class != 2);
        } else if is("Diagnostic-Code") {
            let text = value.split_once(';').map_or(value, |(_, text)| text).trim();
            group.diagnostic = text.to_owned();
        }
    }
    finish(&mut groups, &mut group);
    groups
}

fn finish(groups: &mut Vec<RecipientFields>, group: &mut RecipientFields) {
    let group = std::mem::take(group);
    if group.action.is_some() || group.last.is_some() {
        groups.push(group);
    }
}

fn action(value: &str) -> Option<Action> {
    let word = value.split([' ', '\t', '(', ';']).next().unwrap_or_default();
    let is = |known: &str| word.eq_ignore_ascii_case(known);
    match () {
        () if is("failed") => Some(Action::Failed),
        () if is("delayed") => Some(Action::Delayed),
        () if is("delivered") || is("relayed") || is("expanded") => Some(Action::Delivered),
        () => None,
    }
}

/// The address of `rfc822;jean@example.org`, with or without blanks, angle brackets and a type.
pub(super) fn address(value: &str) -> Option<String> {
    let text = value.split_once(';').map_or(value, |(_, address)| address).trim();
    let text = text.trim_start_matches('<').trim_end_matches('>').trim();
    (!text.is_empty() && text.len() <= 320).then(|| text.to_owned())
}

/// Header-like fields: `Some(None)` for an empty line, which ends a group. Folded lines are joined by a blank.
pub(super) struct Fields<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(&'a str, Cow<'a, str>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.line()?;
            if line.trim().is_empty() {
                return Some(None);
            }
            // A continuation without a field, or a line that is none.
            let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) else {
                continue;
            };
            let mut value = Cow::Borrowed(value);
            while self.rest.starts_with([' ', '\t']) {
                let folded = self.line().unwrap_or_default().trim();
                if folded.is_empty() {
                    return Some(Some((name.trim(), value)));
                }
                value.to_mut().push(' ');
                value.to_mut().push_str(folded);
            }
            return Some(Some((name.trim(), value)));
        }
    }
}

impl<'a> Fields<'a> {
    fn line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_about_the_message_is_no_recipient() {
        // RFC 3464, appendix E.1.
        let groups = parse(
            "Reporting-MTA: dns; cs.utk.edu\n\nOriginal-Recipient: rfc822;louisl@larry.slip.umd.edu\n\
             Final-Recipient: rfc822;louisl@larry.slip.umd.edu\nAction: failed\nStatus: 4.0.0\n\
             Diagnostic-Code: smtp; 426 connection timed out\nLast-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400\n",
        );
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].action, Some(Action::Failed));
        assert_eq!(groups[0].last.as_deref(), Some("louisl@larry.slip.umd.edu"));
        assert_eq!(groups[0].codes.status, StatusCode::parse("4.0.0"));
        assert_eq!(groups[0].diagnostic, "426 connection timed out");
    }

    #[test]
    fn folded_fields_are_joined_by_a_blank() {
        let groups = parse(
            "Final-Recipient: rfc822;a@b.example\r\nDiagnostic-Code: smtp; 550-5.1.1 no\r\n 550 5.1.1\r\n\tsee\r\n",
        );
        assert_eq!(groups[0].diagnostic, "550-5.1.1 no 550 5.1.1 see");
    }

    #[test]
    fn recipients_without_an_empty_line_between_them_are_two() {
        let groups = parse(
            "Action: failed\nFinal-Recipient: rfc822;a@b.example\nFinal-Recipient: rfc822;c@b.example\nStatus: 5.1.1\n",
        );
        assert_eq!(groups.len(), 2);
        assert!(groups.iter().all(|group| group.action == Some(Action::Failed)));
    }

    #[test]
    fn recipients_are_bounded() {
        assert_eq!(parse(&"Action: failed\n\n".repeat(5_000)).len(), MAX_RECIPIENTS);
    }
}
