//! Welcome emails, and emails about carts that were left, into a folder through the durable outbox.

use crate::mailing::{Mailing, Standing};
use crate::relaunch::Relaunch;
use crate::{Context, Step};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Secret;
use mkt_email::template::Language;
use mkt_email::{Enqueued, Mailbox, Maildir, ManualClock, Outbox, RunOptions, State, Template};
use mkt_warehouse::report::AbandonedCart;
use serde::Serialize;
use std::path::Path;

/// Signs the links to unsubscribe. A real shop's key is kept where its passwords are.
const UNSUBSCRIBE_KEY: &str = "a key for the quickstart only";
/// An older cart is history, not a reason to write.
const RELAUNCH_WITHIN: TimeDelta = TimeDelta::days(30);

/// Sends the welcome emails, and the first emails about carts, that are due at `now`, into a folder of `.eml` files. Everything
/// is rendered before the first one leaves; the outbox remembers who was sent what, so that running again sends nothing twice.
///
/// Reads `inscrits.csv` and `customers.csv` in `data`; writes `mails/` and `send_log.ndjson` into `out`, and keeps the outbox
/// in the warehouse's file there, `mkt.sqlite`.
///
/// # Errors
/// A file that cannot be read or written.
pub async fn write(
    data: &Path,
    out: &Path,
    sender: Mailbox,
    carts: &[AbandonedCart],
    now: DateTime<Utc>,
) -> Step<Emails> {
    let mut emails = Emails::default();
    // The outbox is in the warehouse's file: one file to back up, one to remove.
    let outbox = Outbox::open(out.join("mkt.sqlite")).await?;
    let maildir = Maildir::open(out.join("mails"))?;
    let log = out.join("send_log.ndjson");
    let unkept = || format!("cannot keep {}", log.display());
    // A log that cannot be kept is found out before the first email leaves.
    outbox.write_send_log(&log).await.context(unkept)?;

    let welcome = Template::welcome(Language::French)?;
    let mut mailing = Mailing::open(&data.join("inscrits.csv"), welcome, sender.clone(), "bienvenue")?;
    let mut queue = mailing.next(usize::MAX)?;
    emails.quarantined = mailing.standing(Standing::default()).quarantined;
    let relaunch = Relaunch::open(&data.join("customers.csv"), sender, &Secret::new(UNSUBSCRIBE_KEY))?;
    for cart in carts.iter().filter(|cart| now - cart.last_added_at <= RELAUNCH_WITHIN) {
        match relaunch.email(cart) {
            Ok(None) => emails.unreachable += 1,
            Err(_) => emails.quarantined += 1,
            Ok(Some((consent, email))) => {
                outbox.record_consents(consent.as_slice()).await?;
                queue.push(email);
            }
        }
    }
    for answer in outbox.enqueue(&queue, now).await? {
        match answer {
            Enqueued::AlreadyThere(_, State::Accepted) => emails.already_sent += 1,
            Enqueued::Suppressed(..) => emails.suppressed += 1,
            _ => {}
        }
    }
    let clock = ManualClock::skipping(now);
    emails.accepted = outbox.run(&maildir, &clock, &RunOptions::default()).await?.accepted;
    let counts = outbox.counts(None).await?;
    (emails.pending, emails.unknown, emails.sent) = (counts.pending, counts.unknown, counts.sent);
    outbox.write_send_log(&log).await.context(unkept)?;
    outbox.close().await;
    Ok(emails)
}

/// What became of the emails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Emails {
    /// Written in this run.
    pub accepted: u64,
    /// Written in an earlier one.
    pub already_sent: u64,
    /// Not sent for lack of consent.
    pub suppressed: u64,
    /// Recent carts of visitors without a known address.
    pub unreachable: u64,
    /// People who cannot be written to, and rows that cannot be read.
    pub quarantined: u64,
    /// Still to be sent.
    pub pending: u64,
    /// Without an answer.
    pub unknown: u64,
    /// Written in any run.
    #[serde(skip)]
    pub sent: u64,
}

impl Emails {
    /// The counts in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { accepted, already_sent, suppressed, unreachable, .. } = self;
        format!(
            "{accepted} emails written, {already_sent} written before, {suppressed} suppressed for lack of consent, \
             {unreachable} carts without an address"
        )
    }
}
