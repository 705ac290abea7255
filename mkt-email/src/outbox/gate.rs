//! Why an email must not be sent: the one place where suppressions and consents are read.

/// Why a row of `mail_outbox` must not be sent at timestamp `$1`, or null. Enqueueing, claiming and the last check before
/// the call all use it inside their transaction.
macro_rules! gate {
    () => {
        "COALESCE(
            (SELECT 'suppressed: ' || s.reason FROM mail_suppressions s
              WHERE s.address_key = mail_outbox.address_key
                AND (s.expires_at IS NULL OR s.expires_at > $1)
                AND (s.scope = 'all'
                     OR (mail_outbox.purpose = 'marketing'
                         AND (s.scope = 'marketing' OR (s.scope = 'list' AND s.list = mail_outbox.list))))
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
pub(super) use gate;
