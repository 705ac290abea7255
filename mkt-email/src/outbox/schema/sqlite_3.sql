-- What became of emails after they were sent, erased people, confirmed consents, and used tokens of webhooks.

CREATE TABLE mail_events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which events were committed
    event_id    TEXT NOT NULL UNIQUE,               -- hash of the provider and its id, or of what the event says
    provider    TEXT NOT NULL,
    kind        TEXT NOT NULL,
    vendor_kind TEXT,                               -- the provider's word
    at          INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    address_key TEXT,
    recipient   TEXT,                               -- NULL once the person is erased, and so are reason, url and raw
    email_id    TEXT,
    message_id  TEXT,
    campaign    TEXT,
    scope       TEXT NOT NULL CHECK (scope IN ('marketing', 'list')),
    list        TEXT NOT NULL DEFAULT '',
    url         TEXT,
    reason      TEXT,
    code        TEXT,
    raw         TEXT
) STRICT;
CREATE INDEX mail_events_person ON mail_events (address_key, kind, at);
CREATE INDEX mail_events_message ON mail_events (message_id);
CREATE INDEX mail_events_email ON mail_events (email_id) WHERE email_id IS NOT NULL;

-- People who were erased: what is reported about them later is kept without their address.
CREATE TABLE mail_erasures (
    address_key TEXT PRIMARY KEY,
    at          INTEGER NOT NULL
) STRICT;

-- Whether the person confirmed it by a link (double opt-in): a confirmation ends an earlier unsubscription.
ALTER TABLE mail_consents ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1));

-- Tokens of webhooks that are valid once, with the hash of the body that came with them.
CREATE TABLE mail_tokens (
    token  TEXT PRIMARY KEY,
    body   TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
CREATE INDEX mail_tokens_at ON mail_tokens (at);
