-- Mails to send, one row per recipient, and what the decision to send them rests on. All instants are milliseconds
-- since 1970 in UTC. Every table of mkt-email begins with mail_, so that the file can hold other crates' tables.

-- Which outbox this is: send logs name it, so that a log is never continued by another outbox.
CREATE TABLE mail_identity (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    outbox_id TEXT NOT NULL
) STRICT;
INSERT INTO mail_identity VALUES (1, lower(hex(randomblob(8))));

CREATE TABLE mail_outbox (
    id                  TEXT PRIMARY KEY,          -- hash of (campaign, contact, entity)
    campaign            TEXT NOT NULL,             -- campaign or step of a journey
    contact             TEXT NOT NULL,
    entity              TEXT NOT NULL,             -- cart, order ...; '' when the campaign mails a contact once
    purpose             TEXT NOT NULL CHECK (purpose IN ('transactional', 'marketing')),
    list                TEXT,
    address_key         TEXT NOT NULL,             -- SHA-256 of the normalised address
    recipient           TEXT NOT NULL,
    payload             TEXT NOT NULL,             -- the rendered message, JSON
    attachments         TEXT,                      -- JSON [{name, type, sha256}] into mail_blobs
    priority            INTEGER NOT NULL DEFAULT 0,
    state               TEXT NOT NULL CHECK (state IN ('pending', 'claimed', 'sending', 'accepted', 'rejected',
                            'deferred', 'unknown', 'suppressed', 'cancelled', 'expired')),
    attempt             INTEGER NOT NULL DEFAULT 0,
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
    updated_at          INTEGER NOT NULL,
    UNIQUE (campaign, contact, entity)
) STRICT;
CREATE INDEX mail_outbox_due ON mail_outbox (priority DESC, not_before) WHERE state IN ('pending', 'deferred');
CREATE INDEX mail_outbox_busy ON mail_outbox (lease_until) WHERE state IN ('claimed', 'sending');
CREATE INDEX mail_outbox_unknown ON mail_outbox (account, group_key) WHERE state = 'unknown';
CREATE INDEX mail_outbox_address ON mail_outbox (address_key);

-- Attachments, stored once however many mails carry them.
CREATE TABLE mail_blobs (
    sha256  TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

-- Who must not be mailed. The address may be erased, its key stays.
CREATE TABLE mail_suppressions (
    address_key TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (scope IN ('all', 'marketing', 'list')),
    list        TEXT NOT NULL DEFAULT '',
    address     TEXT,
    reason      TEXT NOT NULL,
    source      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    expires_at  INTEGER,
    PRIMARY KEY (address_key, scope, list)
) STRICT;

-- Who agreed to what, append-only: the latest record that covers a mail decides.
CREATE TABLE mail_consents (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    address_key TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (scope IN ('marketing', 'list')),
    list        TEXT NOT NULL DEFAULT '',
    granted     INTEGER NOT NULL CHECK (granted IN (0, 1)),
    at          INTEGER NOT NULL,
    source      TEXT NOT NULL,
    UNIQUE (address_key, scope, list, granted, at, source)
) STRICT;

-- Accounts that asked for a pause, shared by all workers.
CREATE TABLE mail_accounts (
    account      TEXT PRIMARY KEY,
    paused_until INTEGER NOT NULL,
    reason       TEXT NOT NULL
) STRICT;

-- What became of mails, in the order in which it became known. Written by the triggers below, so that no way of
-- changing a state goes unrecorded; copied from here to the send log.
CREATE TABLE mail_log (
    seq                 INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_id             TEXT NOT NULL,
    attempt             INTEGER NOT NULL,
    at                  INTEGER NOT NULL,
    state               TEXT NOT NULL,
    provider            TEXT,
    provider_message_id TEXT,
    reason              TEXT,
    stage               TEXT
) STRICT;

CREATE TRIGGER mail_outbox_log AFTER UPDATE OF state ON mail_outbox
WHEN new.state <> old.state
 AND new.state IN ('accepted', 'rejected', 'deferred', 'unknown', 'suppressed', 'cancelled', 'expired')
BEGIN
    INSERT INTO mail_log (mail_id, attempt, at, state, provider, provider_message_id, reason, stage)
    VALUES (new.id, new.attempt, new.updated_at, new.state, new.provider, new.provider_message_id, new.reason,
            new.stage);
END;
