//! Email performance by campaign.

use super::{Answer, Definition, Scope, answer};
use crate::record;
use crate::warehouse::Warehouse;
use mkt_connect::Result;

record! {
    /// The mails of a campaign through one provider.
    EmailPerformance in "email_performance" upserted, key [source, campaign_id] {
        /// The provider: `brevo`, `mailgun`, ….
        source: String,
        /// The campaign; null for mails of none.
        campaign_id: Option<String>,
        /// Messages that the provider took.
        accepted: i64,
        /// Messages that reached the mailbox.
        delivered: i64,
        /// Messages that came back.
        bounced: i64,
        /// Messages that were opened at least once.
        opened: i64,
        /// Messages with at least one click.
        clicked: i64,
        /// Messages whose recipient wants no more.
        unsubscribed: i64,
        /// Messages that the recipient called spam.
        complained: i64,
        /// Messages that the provider refused.
        rejected: i64,
        /// Percent delivered ÷ accepted.
        delivery_rate: Option<f64>,
        /// Percent bounced ÷ accepted.
        bounce_rate: Option<f64>,
        /// Percent opened ÷ delivered.
        open_rate: Option<f64>,
        /// Percent clicked ÷ delivered.
        click_rate: Option<f64>,
        /// Percent clicked ÷ opened.
        click_to_open_rate: Option<f64>,
        /// Percent unsubscribed ÷ delivered.
        unsubscribe_rate: Option<f64>,
        /// Percent complained ÷ delivered.
        complaint_rate: Option<f64>,
    }
}

macro_rules! email_performance {
    () => {
        "Per provider and campaign, the messages whose first event lies in the period and what became of them, also \
         after the period: every count is of distinct messages. Percentages: delivery and bounces of accepted; \
         opens, clicks, unsubscribes and complaints of delivered; click-to-open of opened. Of the filters only that \
         of campaigns applies, by the campaign that any event of a message names. Opens and clicks by machines \
         (privacy proxies that load every picture, scanners that follow every link) are in them."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "email_performance",
    describe: email_performance!(),
    text: "
with messages as (
    select
        e.source,
        max(e.campaign_id) as campaign_id,
        max(case when e.event_type = 'accepted' then 1 else 0 end) as accepted,
        max(case when e.event_type = 'delivered' then 1 else 0 end) as delivered,
        max(case when e.event_type = 'bounced' then 1 else 0 end) as bounced,
        max(case when e.event_type = 'opened' then 1 else 0 end) as opened,
        max(case when e.event_type = 'clicked' then 1 else 0 end) as clicked,
        max(case when e.event_type = 'unsubscribed' then 1 else 0 end) as unsubscribed,
        max(case when e.event_type = 'complained' then 1 else 0 end) as complained,
        max(case when e.event_type = 'rejected' then 1 else 0 end) as rejected
    from email_events e
    where e.site = coalesce(:site, e.site) and e.source = coalesce(:source, e.source)
    group by e.source, e.site, e.message_id
    having min(e.timestamp) >= :from and min(e.timestamp) < :until
),
counts as (
    select
        source, campaign_id,
        sum(accepted) as accepted, sum(delivered) as delivered, sum(bounced) as bounced, sum(opened) as opened,
        sum(clicked) as clicked, sum(unsubscribed) as unsubscribed, sum(complained) as complained,
        sum(rejected) as rejected
    from messages
    where :campaigns is null or @listed(campaign_id, :campaigns)
    group by source, campaign_id
)
select
    source, campaign_id, accepted, delivered, bounced, opened, clicked, unsubscribed, complained, rejected,
    @percent(delivered, accepted) as delivery_rate,
    @percent(bounced, accepted) as bounce_rate,
    @percent(opened, delivered) as open_rate,
    @percent(clicked, delivered) as click_rate,
    @percent(clicked, opened) as click_to_open_rate,
    @percent(unsubscribed, delivered) as unsubscribe_rate,
    @percent(complained, delivered) as complaint_rate
from counts
order by source, coalesce(campaign_id, '')",
    local: false,
};

#[doc = email_performance!()]
///
/// - Every count is of distinct messages, so that an event told twice, or a mail opened ten times, counts once. A
///   message belongs to the period of its first event, and all its events count, whenever they came: rates of one
///   period go on moving for some days and then stand.
/// - A message has the campaign that any of its events names. [`Scope::campaigns`] chooses by it; channels and devices
///   are those of traffic, and are not asked for.
/// - Rates are percent, each of the messages that its name says: `delivery_rate` and `bounce_rate` of accepted ones;
///   `open_rate`, `click_rate`, `unsubscribe_rate`, `complaint_rate` of delivered ones; `click_to_open_rate` of opened
///   ones. A provider that tells no deliveries (plain SMTP) has null for rates over delivered messages. An event that
///   the provider lost is not invented, so a rate may exceed 100.
/// - **Machines open and click.** Apple's Mail Privacy Protection loads the pictures of every mail whether it is read or
///   not, and security gateways follow links: opens overstate readers, often by half. Nothing here takes them out;
///   compare campaigns with each other, and trust clicks that became sessions.
/// - [`Scope::source`] names a provider here, and no system of record applies. What the visits of a campaign sold is in
///   the report `campaign_performance`, under the same `campaign_id`.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn email_performance<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<EmailPerformance>> {
    answer(&REPORT, warehouse, scope, Vec::new()).await
}
