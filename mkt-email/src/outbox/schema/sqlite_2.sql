-- The state of a mail apart from what it says: a row changes state four times and its message never, so the message is
-- written once. What is new: the order within one call of enqueue, sizes, the sender's policy, refused groups, paused
-- campaigns, and what an account spent of its budgets.

CREATE TABLE mail_messages (
    mail_id     TEXT PRIMARY KEY,
    payload     TEXT NOT NULL,                     -- the rendered message, JSON
    attachments TEXT                               -- JSON [{name, type, sha256}] into mail_blobs
) STRICT;
INSERT INTO mail_messages SELECT id, payload, attachments FROM mail_outbox;

DROP TRIGGER mail_outbox_log;
ALTER TABLE mail_outbox RENAME TO mail_outbox_1;

CREATE TABLE mail_outbox (
    id                  TEXT PRIMARY KEY,          -- hash of (campaign, contact, entity): the key that makes it unique
    campaign            TEXT NOT NULL,             -- campaign or step of a journey
    contact             TEXT NOT NULL,             -- the id again, once the person is erased
    entity              TEXT NOT NULL,             -- cart, order ...; '' when the campaign mails a contact once
    purpose             TEXT NOT NULL CHECK (purpose IN ('transactional', 'marketing')),
    list                TEXT,
    at_least_once       INTEGER NOT NULL DEFAULT 0 CHECK (at_least_once IN (0, 1)),
    address_key         TEXT NOT NULL,             -- SHA-256 of the normalised address
    recipient           TEXT NOT NULL,             -- '' once the person is erased
    bytes               INTEGER NOT NULL,          -- about what the message takes in memory
    priority            INTEGER NOT NULL DEFAULT 0,
    position            INTEGER NOT NULL DEFAULT 0, -- within the call that enqueued it
    state               TEXT NOT NULL CHECK (state IN ('pending', 'claimed', 'sending', 'accepted', 'rejected',
                            'deferred', 'unknown', 'suppressed', 'cancelled', 'expired')),
    attempt             INTEGER NOT NULL DEFAULT 0, -- number of the call; names its key
    splits              INTEGER NOT NULL DEFAULT 0, -- attempts that were refused because of another mail of the call
    idempotency_key     TEXT,                      -- of the attempt; kept until it has a definite answer
    group_key           TEXT,                      -- of the call that carried it
    group_position      INTEGER,
    attempted_at        INTEGER,
    account             TEXT,                      -- of the provider
    provider            TEXT,
    provider_message_id TEXT,
    reason              TEXT,
    stage               TEXT,
    not_before          INTEGER NOT NULL,
    expires_at          INTEGER,
    worker              TEXT,
    lease_until         INTEGER,
    enqueued_at         INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL
) STRICT;
INSERT INTO mail_outbox (id, campaign, contact, entity, purpose, list, address_key, recipient, bytes, priority, position,
        state, attempt, idempotency_key, group_key, group_position, attempted_at, account, provider,
        provider_message_id, reason, stage, not_before, expires_at, worker, lease_until, enqueued_at, updated_at)
SELECT id, campaign, contact, entity, purpose, list, address_key, recipient, length(payload), priority, rowid,
        state, attempt, idempotency_key, group_key, group_position, attempted_at, account, provider,
        provider_message_id, reason, stage, not_before, expires_at, worker, lease_until, enqueued_at, updated_at
  FROM mail_outbox_1;
DROP TABLE mail_outbox_1;

CREATE INDEX mail_outbox_due ON mail_outbox (priority DESC, not_before, position)
    WHERE state IN ('pending', 'deferred');
CREATE INDEX mail_outbox_busy ON mail_outbox (lease_until) WHERE state IN ('claimed', 'sending');
CREATE INDEX mail_outbox_unknown ON mail_outbox (account, group_key) WHERE state = 'unknown';
CREATE INDEX mail_outbox_address ON mail_outbox (address_key);

-- Campaigns that rest until they are resumed.
CREATE TABLE mail_campaigns (
    campaign  TEXT PRIMARY KEY,
    paused_at INTEGER NOT NULL
) STRICT;

-- What was spent of the budgets of an account, one row per call. `at` is when the call ended; until then, the latest
-- instant at which it can still be under way.
CREATE TABLE mail_spending (
    call    TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    at      INTEGER NOT NULL,
    mails   INTEGER NOT NULL
) STRICT;
CREATE INDEX mail_spending_recent ON mail_spending (account, at);

CREATE TRIGGER mail_outbox_log AFTER UPDATE OF state ON mail_outbox
WHEN new.state <> old.state
 AND new.state IN ('accepted', 'rejected', 'deferred', 'unknown', 'suppressed', 'cancelled', 'expired')
BEGIN
    INSERT INTO mail_log (mail_id, attempt, at, state, provider, provider_message_id, reason, stage)
    VALUES (new.id, new.attempt, new.updated_at, new.state, new.provider, new.provider_message_id, new.reason,
            new.stage);
END;
