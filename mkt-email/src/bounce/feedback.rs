//! What a message in a bounce mailbox says: the vocabulary of the parser.

use super::code::{BounceClass, StatusCode};
use chrono::{DateTime, Utc};
use std::fmt;

/// One message of a bounce mailbox, parsed: what it says, and which email of ours it is about.
///
/// Nothing here is proven. Who the email was sent to is looked up by [`references`](Self::references), in the outbox or in
/// a signed return path; an address that the message names is never acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParsedMessage {
    /// What it says.
    pub feedback: Feedback,
    /// Traces of the email that it is about.
    pub references: References,
    /// When it was written, by its `Date`.
    pub at: Option<DateTime<Utc>>,
    /// Whether the message was longer than what was parsed of it.
    pub is_cut: bool,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feedback {
    /// The email could not be delivered to these recipients (RFC 3464 `Action: failed`, or a form without one).
    Bounce(Vec<RecipientReport>),
    /// It is not delivered yet, and the server goes on trying (`Action: delayed`).
    Delayed(Vec<RecipientReport>),
    /// It was delivered, relayed to a server without reports, or expanded to a list.
    Delivered(Vec<RecipientReport>),
    /// A feedback report (RFC 5965): the recipient reported spam.
    Complaint {
        /// The `Feedback-Type`, in lower case: `abuse`, `fraud`, `virus`, `other` …
        kind: String,
    },
    /// A request to unsubscribe by email.
    Unsubscribe {
        /// Texts that may be signed tokens, from the subject and the addresses.
        tokens: Vec<String>,
    },
    /// Written by a program in answer to the email: out of office, a ticket number.
    AutoReply,
    /// Nothing of the above.
    Unrecognised(Unrecognised),
}

/// Why a message is not recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unrecognised {
    /// Not a message: no headers.
    NotAMessage,
    /// A person's message, a newsletter: no report.
    NoReport,
    /// Somebody forwarded a report; it does not come from a mail server.
    Forwarded,
    /// A report without any recipient.
    NoRecipient,
    /// A feedback report that is no complaint: `not-spam`, `auth-failure`, a DMARC report.
    NoComplaint,
}

impl Unrecognised {
    /// The reason as printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAMessage => "not a message",
            Self::NoReport => "no report",
            Self::Forwarded => "forwarded",
            Self::NoRecipient => "a report without a recipient",
            Self::NoComplaint => "a feedback report that is no complaint",
        }
    }
}

/// What a report says about one recipient.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecipientReport {
    /// `Original-Recipient`, else `Final-Recipient`, else the address that the text names; without its type.
    pub address: Option<String>,
    /// `Final-Recipient`, where it differs: who the email was forwarded to.
    pub final_address: Option<String>,
    /// What it says about the address.
    pub class: BounceClass,
    /// The most specific enhanced code in the report.
    pub status: Option<StatusCode>,
    /// The reply code of the remote server.
    pub reply: Option<u16>,
    /// The server's words, at most 500 characters; may name people.
    pub diagnostic: String,
}

impl fmt::Debug for RecipientReport {
    /// Without addresses, and without the server's words, which repeat them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecipientReport")
            .field("class", &self.class)
            .field("status", &self.status.map(|status| status.to_string()))
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

impl RecipientReport {
    /// Whether the report is about this address, in any case.
    #[must_use]
    pub fn names(&self, address: &str) -> bool {
        [&self.address, &self.final_address]
            .into_iter()
            .flatten()
            .any(|named| named.eq_ignore_ascii_case(address))
    }
}

/// Traces of the original email, in the order in which they were found; at most [`MAX`](Self::MAX) of each.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct References {
    /// `Message-ID`s, without angle brackets: of the returned headers, then of `References` and `In-Reply-To`.
    pub message_ids: Vec<String>,
    /// Addresses that may be a signed return path: who the message was sent to, the returned `Return-Path`,
    /// `Original-Mail-From`.
    pub return_paths: Vec<String>,
}

impl References {
    /// The most traces of a kind that are kept.
    pub const MAX: usize = 8;

    pub(super) fn add_message_id(&mut self, id: &str) {
        let id = id.trim().trim_start_matches('<').trim_end_matches('>');
        add(&mut self.message_ids, id);
    }

    pub(super) fn add_return_path(&mut self, address: &str) {
        let address = address.trim().trim_start_matches('<').trim_end_matches('>');
        if address.contains('@') {
            add(&mut self.return_paths, address);
        }
    }
}

fn add(list: &mut Vec<String>, text: &str) {
    const LONGEST: usize = 320;
    let fits = (1..=LONGEST).contains(&text.len());
    if fits && list.len() < References::MAX && list.iter().all(|known| known != text) {
        list.push(text.to_owned());
    }
}

impl fmt::Debug for References {
    /// Only how many: a return path may hold an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "References({} message ids, {} return paths)",
            self.message_ids.len(),
            self.return_paths.len()
        )
    }
}
