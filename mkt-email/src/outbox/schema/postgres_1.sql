-- The tables of sqlite_1.sql and sqlite_2.sql together, in the same words: the statements of the outbox run on both.
-- All instants are milliseconds since 1970 in UTC.

-- Which outbox this is: send logs name it, and the locks of this outbox are made from it.
CREATE TABLE mail_identity (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    outbox_id TEXT NOT NULL
);
INSERT INTO mail_identity VALUES (1, substr(replace(gen_random_uuid()::text, '-', ''), 1, 16));

CREATE TABLE mail_outbox (
    id                  TEXT PRIMARY KEY,          -- hash of (campaign, contact, entity): the key that makes it unique
    campaign            TEXT NOT NULL,             -- campaign or step of a journey
    contact             TEXT NOT NULL,             -- the id again, once the person is erased
    entity              TEXT NOT NULL,             -- cart, order ...; '' when the campaign mails a contact once
    purpose             TEXT NOT NULL CHECK (purpose IN ('transactional', 'marketing')),
    list                TEXT,
    at_least_once       BIGINT NOT NULL DEFAULT 0 CHECK (at_least_once IN (0, 1)),
    address_key         TEXT NOT NULL,             -- SHA-256 of the normalised address
    recipient           TEXT NOT NULL,             -- '' once the person is erased
    bytes               BIGINT NOT NULL,           -- about what the message takes in memory
    priority            BIGINT NOT NULL DEFAULT 0,
    position            BIGINT NOT NULL DEFAULT 0, -- within the call that enqueued it
    state               TEXT NOT NULL CHECK (state IN ('pending', 'claimed', 'sending', 'accepted', 'rejected',
                            'deferred', 'unknown', 'suppressed', 'cancelled', 'expired')),
    attempt             BIGINT NOT NULL DEFAULT 0, -- number of the call; names its key
    splits              BIGINT NOT NULL DEFAULT 0, -- attempts that were refused because of another mail of the call
    idempotency_key     TEXT,                      -- of the attempt; kept until it has a definite answer
    group_key           TEXT,                      -- of the call that carried it
    group_position      BIGINT,
    attempted_at        BIGINT,
    account             TEXT,                      -- of the provider
    provider            TEXT,
    provider_message_id TEXT,
    reason              TEXT,
    stage               TEXT,
    not_before          BIGINT NOT NULL,
    expires_at          BIGINT,
    worker              TEXT,
    lease_until         BIGINT,
    enqueued_at         BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL
-- Rows change state a few times soon after they are written: room for that in their page, and no waiting for vacuum.
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX mail_outbox_due ON mail_outbox (priority DESC, not_before, position)
    WHERE state IN ('pending', 'deferred');
CREATE INDEX mail_outbox_busy ON mail_outbox (lease_until) WHERE state IN ('claimed', 'sending');
CREATE INDEX mail_outbox_unknown ON mail_outbox (account, group_key) WHERE state = 'unknown';
CREATE INDEX mail_outbox_address ON mail_outbox (address_key);

CREATE TABLE mail_messages (
    mail_id     TEXT PRIMARY KEY,
    payload     TEXT NOT NULL,                     -- the rendered message, JSON
    attachments TEXT                               -- JSON [{name, type, sha256}] into mail_blobs
);

-- Attachments, stored once however many mails carry them.
CREATE TABLE mail_blobs (
    sha256  TEXT PRIMARY KEY,
    content BYTEA NOT NULL
);

-- Who must not be mailed. The address may be erased, its key stays.
CREATE TABLE mail_suppressions (
    address_key TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (scope IN ('all', 'marketing', 'list')),
    list        TEXT NOT NULL DEFAULT '',
    address     TEXT,
    reason      TEXT NOT NULL,
    source      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    expires_at  BIGINT,
    PRIMARY KEY (address_key, scope, list)
);

-- Who agreed to what, append-only: the latest record that covers a mail decides.
CREATE TABLE mail_consents (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address_key TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (scope IN ('marketing', 'list')),
    list        TEXT NOT NULL DEFAULT '',
    granted     BIGINT NOT NULL CHECK (granted IN (0, 1)),
    at          BIGINT NOT NULL,
    source      TEXT NOT NULL,
    UNIQUE (address_key, scope, list, granted, at, source)
);

-- Accounts that asked for a pause, shared by all workers.
CREATE TABLE mail_accounts (
    account      TEXT PRIMARY KEY,
    paused_until BIGINT NOT NULL,
    reason       TEXT NOT NULL
);

-- Campaigns that rest until they are resumed.
CREATE TABLE mail_campaigns (
    campaign  TEXT PRIMARY KEY,
    paused_at BIGINT NOT NULL
);

-- What was spent of the budgets of an account, one row per call. `at` is when the call ended; until then, the latest
-- instant at which it can still be under way.
CREATE TABLE mail_spending (
    call    TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    at      BIGINT NOT NULL,
    mails   BIGINT NOT NULL
);
CREATE INDEX mail_spending_recent ON mail_spending (account, at);

-- What became of mails. Written by the trigger below, so that no way of changing a state goes unrecorded; copied from
-- here to the send log. Numbers are drawn before a transaction commits: whoever reads this in order waits first for
-- the transactions that are under way (they hold the outbox's lock).
CREATE TABLE mail_log (
    seq                 BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mail_id             TEXT NOT NULL,
    attempt             BIGINT NOT NULL,
    at                  BIGINT NOT NULL,
    state               TEXT NOT NULL,
    provider            TEXT,
    provider_message_id TEXT,
    reason              TEXT,
    stage               TEXT
);

CREATE FUNCTION mail_outbox_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_log (mail_id, attempt, at, state, provider, provider_message_id, reason, stage)
    SELECT n.id, n.attempt, n.updated_at, n.state, n.provider, n.provider_message_id, n.reason, n.stage
      FROM new_rows n JOIN old_rows o ON o.id = n.id
     WHERE n.state <> o.state
       AND n.state IN ('accepted', 'rejected', 'deferred', 'unknown', 'suppressed', 'cancelled', 'expired')
     ORDER BY n.position, n.id;
    RETURN NULL;
END $$;
CREATE TRIGGER mail_outbox_log AFTER UPDATE ON mail_outbox
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mail_outbox_log();
