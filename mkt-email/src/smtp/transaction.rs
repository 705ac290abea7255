//! One transaction: sender, recipient, content. Whether the end of the content was written decides whether the outcome of a
//! lost connection is unknown.

use super::SERVICE;
use super::connection::Connection;
use super::content;
use super::error::{Step, cut_off, outcome};
use super::reply::Reply;
use super::settings::Timeouts;
use super::wire::Fault;
use crate::Message;
use crate::Outcome;
use crate::provider::{RejectReason, Stage};
use chrono::{DateTime, Utc};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use std::fmt::Write as _;
use std::time::Duration;

/// How long to read, after a failed write, the reply that the server sent before it closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// An email on the wire.
pub(super) struct Parcel<'a> {
    pub(super) message: &'a Message,
    /// The envelope's sender.
    pub(super) sender: &'a str,
    /// The email, without the dots of the wire.
    pub(super) bytes: &'a [u8],
    /// The id once accepted.
    pub(super) id: String,
    pub(super) at: DateTime<Utc>,
}

/// The end of a transaction.
pub(super) enum End {
    /// The email has its outcome.
    Answered(Outcome),
    /// The server ended the connection before it processed the email.
    Stale(Fault),
}

/// Replies to the commands before the content, as far as they came.
struct Envelope {
    sender: Reply,
    recipient: Option<Reply>,
    announced: Option<Reply>,
    /// Whether every command that was written has its reply.
    whole: bool,
}

/// A connection lost before the content: before or after the server took notice of the email.
enum Lost {
    Before(Fault),
    After(Fault),
}

impl Lost {
    /// A failure of the first command. Only an end of the connection makes another one worth a try: a server that is
    /// silent or talks nonsense does so on every connection.
    fn first(fault: Fault) -> Self {
        match fault {
            Fault::Closed | Fault::Broken(_) => Self::Before(fault),
            Fault::Silent | Fault::Garbage(_) => Self::After(fault),
        }
    }
}

impl Connection {
    /// Sends one email.
    ///
    /// # Errors
    /// When the server does not speak the protocol or wants other credentials; the email was not accepted.
    pub(super) async fn hand_over(&mut self, parcel: &Parcel<'_>, times: &Timeouts) -> Result<End> {
        if let Some(refusal) = self.beyond_offers(parcel) {
            return Ok(End::Answered(refusal));
        }
        // False until a good end: a caller that drops this future leaves the transaction open.
        self.sound = false;
        let reused = self.emails > 0;
        self.emails += 1;
        let envelope = match self.envelope(parcel, times).await {
            Ok(envelope) => envelope,
            Err(Lost::Before(fault)) => return Ok(End::Stale(fault)),
            Err(Lost::After(Fault::Garbage(what))) => return Err(nonsense(what)),
            Err(Lost::After(fault)) => return Ok(End::Answered(cut_off(&fault, parcel.at))),
        };
        let refused = [Some(&envelope.sender), envelope.recipient.as_ref(), envelope.announced.as_ref()];
        self.errors += refused.iter().flatten().filter(|reply| matches!(reply.class(), 4 | 5)).count() as u32;
        if envelope.sender.class() == 4 && reused {
            // The server ends its service on this connection (421), or limits the emails of one: OpenSMTPD answers
            // `452 4.5.3` after 100, and serves a new connection at once.
            return Ok(End::Stale(Fault::Closed));
        }
        let steps = [
            (Step::Sender, Some(&envelope.sender), 2),
            (Step::Recipient, envelope.recipient.as_ref(), 2),
            (Step::Announced, envelope.announced.as_ref(), 3),
        ];
        for (step, reply, good) in steps {
            let Some(reply) = reply.filter(|reply| reply.class() != good) else { continue };
            if !matches!(reply.class(), 4 | 5) {
                return Err(nonsense("an answer that does not fit the question"));
            }
            // The connection is good for the next email, unless the server now waits for the content of this one. A dot
            // alone would get out of that, and be an empty email to whom a strange server did take.
            let waiting = envelope.announced.as_ref().is_some_and(|reply| reply.class() == 3);
            self.sound = envelope.whole && !waiting && reply.code != 421;
            self.begun = true;
            return outcome(step, reply, parcel.message, parcel.at).map(End::Answered);
        }
        self.content(parcel, times).await.map(End::Answered)
    }

    /// What the server said in advance that it will not take.
    fn beyond_offers(&self, parcel: &Parcel<'_>) -> Option<Outcome> {
        if self.offers.max_size.is_some_and(|most| parcel.bytes.len() > most) {
            let detail = format!("the mail has {} bytes, more than the server takes", parcel.bytes.len());
            return Some(Outcome::Rejected { reason: RejectReason::TooLarge, detail });
        }
        if !self.offers.eight_bit && !parcel.bytes.is_ascii() {
            let detail = "the mail is not ASCII and the server does not offer 8BITMIME".to_owned();
            return Some(Outcome::Rejected { reason: RejectReason::Unsupported, detail });
        }
        None
    }

    /// The commands before the content: in one write where the server offers PIPELINING (RFC 2920), else one by one.
    async fn envelope(&mut self, parcel: &Parcel<'_>, times: &Timeouts) -> Result<Envelope, Lost> {
        let reset = std::mem::take(&mut self.begun);
        let mut lines = String::with_capacity(256);
        if reset {
            lines.push_str("RSET\r\n");
        }
        let _ = write!(lines, "MAIL FROM:<{}>", parcel.sender);
        if self.offers.size {
            let _ = write!(lines, " SIZE={}", parcel.bytes.len());
        }
        if self.offers.eight_bit && !parcel.bytes.is_ascii() {
            lines.push_str(" BODY=8BITMIME");
        }
        let _ = write!(lines, "\r\nRCPT TO:<{}>\r\nDATA\r\n", parcel.message.to().address.as_str());
        if self.offers.pipelining {
            self.envelope_at_once(&lines, reset, times).await
        } else {
            self.envelope_in_steps(&lines, reset, times).await
        }
    }

    async fn envelope_at_once(
        &mut self,
        lines: &str,
        reset: bool,
        times: &Timeouts,
    ) -> Result<Envelope, Lost> {
        let (wire, within) = (&mut self.wire, times.command);
        wire.write(lines.as_bytes(), within).await.map_err(Lost::first)?;
        if reset {
            was_reset(&wire.reply(within).await.map_err(Lost::first)?)?;
        }
        let sender = wire.reply(within).await.map_err(Lost::first)?;
        let mut envelope = Envelope { sender, recipient: None, announced: None, whole: false };
        // A server that hangs up after a refusal has answered all the same.
        match wire.reply(within).await {
            Ok(reply) => envelope.recipient = Some(reply),
            Err(_) if !envelope.sender.is_yes() => return Ok(envelope),
            Err(fault) => return Err(Lost::After(fault)),
        }
        let refused = !envelope.sender.is_yes() || !envelope.recipient.as_ref().is_some_and(Reply::is_yes);
        match wire.reply(times.data_start).await {
            Ok(reply) => envelope.announced = Some(reply),
            Err(_) if refused => return Ok(envelope),
            Err(fault) => return Err(Lost::After(fault)),
        }
        envelope.whole = true;
        Ok(envelope)
    }

    async fn envelope_in_steps(
        &mut self,
        lines: &str,
        reset: bool,
        times: &Timeouts,
    ) -> Result<Envelope, Lost> {
        let (wire, within) = (&mut self.wire, times.command);
        let mut lines = lines.split_inclusive('\n').map(str::as_bytes);
        let mut next = || lines.next().unwrap_or_default();
        if reset {
            wire.write(next(), within).await.map_err(Lost::first)?;
            was_reset(&wire.reply(within).await.map_err(Lost::first)?)?;
        }
        wire.write(next(), within).await.map_err(Lost::first)?;
        let sender = wire.reply(within).await.map_err(Lost::first)?;
        let mut envelope = Envelope { sender, recipient: None, announced: None, whole: true };
        if envelope.sender.is_yes() {
            wire.write(next(), within).await.map_err(Lost::After)?;
            let recipient = wire.reply(within).await.map_err(Lost::After)?;
            let taken = recipient.is_yes();
            envelope.recipient = Some(recipient);
            if taken {
                wire.write(next(), within).await.map_err(Lost::After)?;
                envelope.announced = Some(wire.reply(times.data_start).await.map_err(Lost::After)?);
            }
        }
        Ok(envelope)
    }

    async fn content(&mut self, parcel: &Parcel<'_>, times: &Timeouts) -> Result<Outcome> {
        let mut bytes = Vec::new();
        content::write(parcel.bytes, &mut bytes);
        if let Err(fault) = self.wire.write(&bytes, times.data_block).await {
            // The end was not written, so the email was not accepted; perhaps the server said why.
            return match self.wire.reply(LAST_WORDS).await {
                Ok(reply) if matches!(reply.class(), 4 | 5) => {
                    outcome(Step::Content, &reply, parcel.message, parcel.at)
                }
                // A yes to half an email: who knows what it did with it.
                Ok(_) => Ok(Outcome::Unknown { stage: Stage::Content }),
                Err(_) => Ok(cut_off(&fault, parcel.at)),
            };
        }
        match self.wire.reply(times.data_end).await {
            Ok(reply) if reply.is_yes() => {
                self.sound = true;
                Ok(Outcome::Accepted { id: parcel.id.clone() })
            }
            Ok(reply) if matches!(reply.class(), 4 | 5) => {
                self.sound = reply.code != 421;
                self.errors += 1;
                outcome(Step::Content, &reply, parcel.message, parcel.at)
            }
            // RFC 1047: from here on only the server knows.
            Ok(_) | Err(_) => Ok(Outcome::Unknown { stage: Stage::AwaitingAnswer }),
        }
    }
}

/// A server that does not end the email before has no use for the next one on this connection.
fn was_reset(reply: &Reply) -> Result<(), Lost> {
    if reply.is_yes() { Ok(()) } else { Err(Lost::Before(Fault::Closed)) }
}

fn nonsense(what: &'static str) -> Error {
    // Not `Answered`: the end of the email was not written, so there is no doubt.
    Error::new(ErrorKind::Protocol, SERVICE, "send").delivered(Delivery::NotSent).with_detail(what)
}
