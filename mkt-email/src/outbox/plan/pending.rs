//! The forecast of what waits in an outbox.

use super::{Forecast, Recipients, Scope, SendingPlan, room};
use crate::Mailbox;
use crate::outbox::damaged;
use crate::outbox::store::{Store, values};
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Emails read at a time.
const PAGE: i64 = 1_000;

/// The parts of a stored message that limits look at.
#[derive(Deserialize)]
struct Ends {
    from: Mailbox,
    to: Mailbox,
}

/// When the emails that wait will have left, if the provider takes them; see [`Outbox::forecast`](crate::Outbox::forecast).
pub(in crate::outbox) async fn pending(
    store: &Store,
    plan: &SendingPlan,
    account: &str,
    campaign: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Forecast> {
    const OPERATION: &str = "forecast";
    let mut counts: BTreeMap<(String, String), Recipients> = BTreeMap::new();
    let mut last = String::new();
    loop {
        let rows = store
            .all(
                OPERATION,
                "SELECT o.id, m.payload FROM mail_outbox AS o JOIN mail_messages AS m ON m.mail_id = o.id
                  WHERE o.state IN ('pending', 'deferred', 'claimed') AND o.id > $1 AND ($2 IS NULL OR o.campaign = $2)
                    AND (o.campaign IS NULL OR o.campaign NOT IN (SELECT p.campaign FROM mail_campaigns AS p))
                  ORDER BY o.id LIMIT $3",
                values![&last, campaign, PAGE],
            )
            .await?;
        let Some(row) = rows.last() else { break };
        last = row.text("id")?.to_owned();
        for row in &rows {
            let ends: Ends = serde_json::from_str(row.text("payload")?).map_err(|_| damaged(OPERATION))?;
            let domain = ends.to.address.domain().to_ascii_lowercase();
            // Domains without limits of their own are one.
            let domain = plan.group_of(&domain).map_or(String::new(), |_| domain);
            let key = (ends.from.address.key(), domain.clone());
            counts.entry(key).or_insert_with(|| Recipients::new(ends.from.address, domain, 0)).emails += 1;
        }
    }
    let recipients: Vec<Recipients> = counts.into_values().collect();
    let scopes: BTreeSet<Scope> =
        recipients.iter().flat_map(|some| plan.scopes(&some.sender, &some.domain)).collect();
    let spent = room::spent(store, plan, account, scopes.into_iter(), now).await?;
    Ok(plan.forecast_from(&recipients, spent, now))
}
