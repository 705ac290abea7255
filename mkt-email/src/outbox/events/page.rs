//! Reads events in the order in which they were committed.

use crate::EmailAddress;
use crate::event::EmailEvent;
use crate::id::EmailId;
use crate::outbox::store::{Row, Store, values};
use crate::outbox::{damaged, timestamp};
use crate::unsubscribe::UnsubscribeScope;
use chrono::{DateTime, Utc};
use mkt_connect::Result;

/// The most events of a page.
const MAX_PAGE: usize = 10_000;

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its place: later commits have larger numbers.
    pub seq: i64,
    /// When it was recorded.
    pub received_at: DateTime<Utc>,
    /// The provider that sent the email, where it is in the outbox; a bounce or a followed link is reported by others.
    pub sent_by: Option<String>,
    /// The event. Its email and campaign are those of the outbox, where the email is there.
    pub event: EmailEvent,
}

/// Events after a place, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventPage {
    /// The events, in the order in which they were committed.
    pub events: Vec<StoredEvent>,
    /// What to ask for next; the same as before when there was none.
    pub next: i64,
}

/// The email of an event: the one that it names; the one with its message id (of which SMTP servers keep the angle
/// brackets) and recipient; of a followed link, which holds neither, the person's latest email of the campaign.
macro_rules! email_of_event {
    () => {
        "coalesce(e.email_id,
                  (SELECT o.id FROM mail_outbox AS o
                    WHERE o.address_key = e.address_key
                      AND o.provider_message_id IN (e.message_id, '<' || e.message_id || '>')
                    ORDER BY o.id LIMIT 1),
                  CASE WHEN e.provider = 'link' THEN
                  (SELECT o.id FROM mail_outbox AS o
                    WHERE o.address_key = e.address_key AND o.campaign = e.campaign
                    ORDER BY o.enqueued_at DESC, o.id LIMIT 1) END)"
    };
}
pub(super) use email_of_event;

/// Reads events; see [`Outbox::events_after`](crate::Outbox::events_after).
pub(in crate::outbox) async fn page(store: &Store, after: i64, limit: usize) -> Result<EventPage> {
    let limit = i64::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(1);
    // Numbers are drawn by transactions that are alone, so nothing smaller can appear later.
    let rows = store
        .all(
            "read events",
            concat!(
                "SELECT e.seq, e.provider, e.kind, e.vendor_kind, e.at, e.received_at, e.address_key, e.recipient,
                        e.event_id, e.message_id, e.scope, e.list, e.url, e.reason, e.code, e.raw,
                        m.id AS email_id, m.provider AS sent_by, coalesce(m.campaign, e.campaign) AS campaign
                   FROM mail_events AS e
                   LEFT JOIN mail_outbox AS m ON m.id = ",
                email_of_event!(),
                " WHERE e.seq > $1 ORDER BY e.seq LIMIT $2"
            ),
            values![after, limit],
        )
        .await?;
    let events = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    let next = events.last().map_or(after, |event| event.seq);
    Ok(EventPage { events, next })
}

fn read(row: &Row) -> Result<StoredEvent> {
    let broken = || damaged("read events");
    let text = |column| row.maybe_text(column).map(|text| text.map(str::to_owned));
    let kind = row.text("kind")?.parse().map_err(|()| broken())?;
    let mut event = EmailEvent::new(row.text("provider")?, kind, timestamp(row.number("at")?)?);
    event.vendor_kind = text("vendor_kind")?;
    event.email = match row.maybe_text("email_id")? {
        Some(id) => Some(EmailId::parse(id).ok_or_else(broken)?),
        None => None,
    };
    event.message_id = text("message_id")?;
    event.campaign = text("campaign")?;
    event.scope = match row.text("scope")? {
        "list" => UnsubscribeScope::List(row.text("list")?.to_owned()),
        _ => UnsubscribeScope::Marketing,
    };
    event.url = text("url")?;
    event.reason = text("reason")?;
    event.code = text("code")?;
    event.raw = text("raw")?;
    let recipient =
        row.maybe_text("recipient")?.map(EmailAddress::parse).transpose().map_err(|_| broken())?;
    event.restore(row.text("event_id")?, recipient, text("address_key")?).ok_or_else(broken)?;
    let received_at = timestamp(row.number("received_at")?)?;
    let sent_by = row.maybe_text("sent_by")?.map(str::to_owned);
    Ok(StoredEvent { seq: row.number("seq")?, received_at, sent_by, event })
}
