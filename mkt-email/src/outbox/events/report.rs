//! What became of the emails of each campaign.

use super::page::email_of_event;
use crate::event::EventKind;
use crate::outbox::damaged;
use crate::outbox::store::{Row, Store, values};
use mkt_connect::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of the emails of a campaign. All numbers but [`events`](Self::events) are of distinct emails: a person who
/// opens an email five times counts once. An email that is not in the outbox is told from others by its message id and
/// recipient.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CampaignReport {
    /// The campaign; `None` for emails of which none is known.
    pub campaign: Option<String>,
    /// Accepted by a provider: of the outbox those whose answer says so, or of which a later event proves it; of others
    /// those with any event but a failure.
    pub sent: u64,
    /// Reported delivered, or opened, clicked, complained about: what is opened was delivered.
    pub delivered: u64,
    /// Not delivered, for any of the three reasons below.
    pub bounced: u64,
    /// The address does not exist.
    pub hard_bounced: u64,
    /// Mailbox full, server down, too late.
    pub soft_bounced: u64,
    /// Refused for policy or content, or by the provider's own list.
    pub blocked: u64,
    /// Opened by anybody.
    pub opened: u64,
    /// Opened by a person, by the vendor's classification.
    pub opened_human: u64,
    /// Opened by a proxy or scanner. One email may be opened by both.
    pub opened_proxy: u64,
    /// A link was followed.
    pub clicked: u64,
    /// The recipient unsubscribed, by the vendor's link or ours.
    pub unsubscribed: u64,
    /// Reported as spam.
    pub complained: u64,
    /// The rates.
    pub rates: CampaignRates,
    /// Events by kind, repetitions of one kind for one email included.
    pub events: BTreeMap<String, u64>,
}

/// Rates of a campaign, from 0 to 1; each name says of what it is a share. `None` where that is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CampaignRates {
    /// Delivered of sent.
    pub delivered_of_sent: Option<f64>,
    /// Bounced of sent.
    pub bounced_of_sent: Option<f64>,
    /// Opened of delivered; without tracking pictures loaded by proxies it is lower.
    pub opened_of_delivered: Option<f64>,
    /// Opened by a person of delivered.
    pub opened_human_of_delivered: Option<f64>,
    /// Clicked of delivered.
    pub clicked_of_delivered: Option<f64>,
    /// Unsubscribed of delivered.
    pub unsubscribed_of_delivered: Option<f64>,
    /// Complained of delivered.
    pub complained_of_delivered: Option<f64>,
}

/// An event with its email: the outbox's, or what identifies another. `ours`: accepted by the outbox's own record.
macro_rules! events_of_emails {
    () => {
        concat!(
            "WITH u AS (
                SELECT coalesce(m.campaign, e.campaign, '') AS campaign, e.kind,
                       coalesce(m.id, e.email_id,
                                e.provider || ' ' || coalesce(e.message_id || ' ' || coalesce(e.address_key, ''),
                                                              e.event_id)) AS unit,
                       CASE WHEN m.state = 'accepted' THEN 1 ELSE 0 END AS ours
                  FROM mail_events AS e LEFT JOIN mail_outbox AS m ON m.id = ",
            email_of_event!(),
            ") "
        )
    };
}

/// Reports on all campaigns; see [`Outbox::campaign_report`](crate::Outbox::campaign_report).
pub(in crate::outbox) async fn report(store: &Store) -> Result<Vec<CampaignReport>> {
    const OPERATION: &str = "report on campaigns";
    let mut campaigns: BTreeMap<String, CampaignReport> = BTreeMap::new();
    let count = |row: &Row, name: &str| row.number(name).map(|count| u64::try_from(count).unwrap_or(0));
    let sent = store
        .all(
            OPERATION,
            "SELECT campaign, count(*) AS sent FROM mail_outbox WHERE state = 'accepted' GROUP BY campaign",
            values![],
        )
        .await?;
    for row in &sent {
        campaigns.entry(row.text("campaign")?.to_owned()).or_default().sent = count(row, "sent")?;
    }
    let numbers = store
        .all(
            OPERATION,
            concat!(
                events_of_emails!(),
                "SELECT campaign,
                        count(DISTINCT CASE WHEN ours = 0 AND kind NOT IN
                                  ('failed', 'unknown', 'subscribed', 'unsubscribed', 'auto_replied')
                              THEN unit END) AS others,
                        count(DISTINCT CASE WHEN kind IN ('delivered', 'opened_human', 'opened_proxy', 'opened_unknown',
                                                          'clicked', 'complained') THEN unit END) AS delivered,
                        count(DISTINCT CASE WHEN kind IN ('hard_bounce', 'soft_bounce', 'blocked') THEN unit END) AS bounced,
                        count(DISTINCT CASE WHEN kind = 'hard_bounce' THEN unit END) AS hard_bounced,
                        count(DISTINCT CASE WHEN kind = 'soft_bounce' THEN unit END) AS soft_bounced,
                        count(DISTINCT CASE WHEN kind = 'blocked' THEN unit END) AS blocked,
                        count(DISTINCT CASE WHEN kind IN ('opened_human', 'opened_proxy', 'opened_unknown')
                              THEN unit END) AS opened,
                        count(DISTINCT CASE WHEN kind = 'opened_human' THEN unit END) AS opened_human,
                        count(DISTINCT CASE WHEN kind = 'opened_proxy' THEN unit END) AS opened_proxy,
                        count(DISTINCT CASE WHEN kind = 'clicked' THEN unit END) AS clicked,
                        count(DISTINCT CASE WHEN kind = 'unsubscribed' THEN unit END) AS unsubscribed,
                        count(DISTINCT CASE WHEN kind = 'complained' THEN unit END) AS complained
                   FROM u GROUP BY campaign"
            ),
            values![],
        )
        .await?;
    for row in &numbers {
        let report = campaigns.entry(row.text("campaign")?.to_owned()).or_default();
        report.sent += count(row, "others")?;
        report.delivered = count(row, "delivered")?;
        report.bounced = count(row, "bounced")?;
        report.hard_bounced = count(row, "hard_bounced")?;
        report.soft_bounced = count(row, "soft_bounced")?;
        report.blocked = count(row, "blocked")?;
        report.opened = count(row, "opened")?;
        report.opened_human = count(row, "opened_human")?;
        report.opened_proxy = count(row, "opened_proxy")?;
        report.clicked = count(row, "clicked")?;
        report.unsubscribed = count(row, "unsubscribed")?;
        report.complained = count(row, "complained")?;
    }
    let kinds = store
        .all(
            OPERATION,
            concat!(
                events_of_emails!(),
                "SELECT campaign, kind, count(*) AS events FROM u GROUP BY campaign, kind"
            ),
            values![],
        )
        .await?;
    for row in &kinds {
        let kind: EventKind = row.text("kind")?.parse().map_err(|()| damaged(OPERATION))?;
        let report = campaigns.entry(row.text("campaign")?.to_owned()).or_default();
        report.events.insert(kind.to_string(), count(row, "events")?);
    }
    Ok(campaigns
        .into_iter()
        .map(|(campaign, mut report)| {
            report.campaign = Some(campaign).filter(|campaign| !campaign.is_empty());
            report.rates = rates(&report);
            report
        })
        .collect())
}

fn rates(report: &CampaignReport) -> CampaignRates {
    #[expect(clippy::cast_precision_loss, reason = "counts of emails are far below 2^53")]
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    CampaignRates {
        delivered_of_sent: share(report.delivered, report.sent),
        bounced_of_sent: share(report.bounced, report.sent),
        opened_of_delivered: share(report.opened, report.delivered),
        opened_human_of_delivered: share(report.opened_human, report.delivered),
        clicked_of_delivered: share(report.clicked, report.delivered),
        unsubscribed_of_delivered: share(report.unsubscribed, report.delivered),
        complained_of_delivered: share(report.complained, report.delivered),
    }
}
