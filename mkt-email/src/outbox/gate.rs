//! Why an email must not be sent: the one place where suppressions and consents are read.

/// Why a row of `mail_outbox` must not be sent at timestamp `$1`, or null. Enqueueing, claiming and the last check before
/// the call all use it inside their transaction. A consent that the person confirmed by a link ends an earlier
/// unsubscription of the same scope, and for its list one from all marketing email; it ends nothing else. That is read
/// from both dates, so it does not depend on which of the two was recorded first.
macro_rules! gate {
    () => {
        "COALESCE(
            (SELECT 'suppressed: ' || s.reason FROM mail_suppressions s
              WHERE s.address_key = mail_outbox.address_key
                AND (s.expires_at IS NULL OR s.expires_at > $1)
                AND (s.scope = 'all'
                     OR (mail_outbox.purpose = 'marketing'
                         AND (s.scope = 'marketing' OR (s.scope = 'list' AND s.list = mail_outbox.list))))
                AND NOT (s.reason = 'unsubscribed' AND s.scope <> 'all' AND EXISTS (
                    SELECT 1 FROM mail_consents k
                     WHERE k.address_key = s.address_key AND k.confirmed = 1 AND k.granted = 1
                       AND k.at > s.at AND k.at <= $1
                       AND ((k.scope = 'marketing' AND s.scope = 'marketing')
                            OR (k.scope = 'list' AND k.list = mail_outbox.list))))
              ORDER BY s.scope LIMIT 1),
            CASE WHEN mail_outbox.purpose = 'marketing' AND COALESCE(
                (SELECT c.granted FROM mail_consents c
                  WHERE c.address_key = mail_outbox.address_key
                    AND c.at <= $1
                    AND (c.scope = 'marketing' OR (c.scope = 'list' AND c.list = mail_outbox.list))
                  ORDER BY c.at DESC, c.id DESC LIMIT 1), 0) = 0
            THEN 'no consent' END)"
    };
}
pub(crate) use gate;
