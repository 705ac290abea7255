-- Journeys, beside the outbox that their emails go through. All instants are milliseconds since 1970 in UTC.

-- Definitions, every version: an instance keeps the one with which it began.
CREATE TABLE mail_journey_definitions (
    journey    TEXT NOT NULL,
    version    BIGINT NOT NULL,
    hash       TEXT NOT NULL,                 -- of the content: the same content is the same version
    body       TEXT NOT NULL,                 -- JSON
    since      BIGINT NOT NULL,               -- earlier triggers begin no instance
    latest     BIGINT NOT NULL CHECK (latest IN (0, 1)), -- new instances begin with it
    stopped    BIGINT NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1)), -- no new instances begin
    PRIMARY KEY (journey, version),
    UNIQUE (journey, hash)
);

-- Contacts, one row each: the row that a worker locks while it decides about the contact's instances.
CREATE TABLE mail_journey_contacts (
    contact_key TEXT PRIMARY KEY,             -- SHA-256 of the normalised address
    address     TEXT,                         -- null once the person is erased
    zone        TEXT,                         -- IANA name, of the latest trigger that had one
    zone_at     BIGINT,
    due_at      BIGINT                        -- when the contact is to be looked at next; null: with the next trigger
);
CREATE INDEX mail_journey_contacts_due ON mail_journey_contacts (due_at, contact_key);

-- What happened, each once.
CREATE TABLE mail_journey_triggers (
    id          TEXT PRIMARY KEY,             -- hash of the other columns but received_at
    contact_key TEXT NOT NULL,
    kind        TEXT NOT NULL,
    entity      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    payload     TEXT NOT NULL,                -- JSON object
    received_at BIGINT NOT NULL
);
CREATE INDEX mail_journey_triggers_contact ON mail_journey_triggers (contact_key, at, id);

-- A contact's way through a journey.
CREATE TABLE mail_journey_instances (
    id          TEXT PRIMARY KEY,             -- hash of (journey, contact, entity, run)
    journey     TEXT NOT NULL,
    version     BIGINT NOT NULL,
    contact_key TEXT NOT NULL,
    entity      TEXT NOT NULL,
    run         BIGINT NOT NULL,              -- 1, and one more each time the contact enters again
    held_out    BIGINT NOT NULL CHECK (held_out IN (0, 1)),
    entered_at  BIGINT NOT NULL,
    step        TEXT NOT NULL,
    since       BIGINT NOT NULL,              -- when the step was reached
    waited      TEXT,                         -- the wait that led here, if nothing was sent since
    why         TEXT,                         -- why it stays
    next_at     BIGINT,                       -- until when
    ended_at    BIGINT,
    reason      TEXT,                         -- why it ended
    goal_at     BIGINT,
    goal_step   TEXT,                         -- the last email before the goal; '' for none
    UNIQUE (journey, contact_key, entity, run)
);
CREATE INDEX mail_journey_instances_contact ON mail_journey_instances (contact_key);
CREATE INDEX mail_journey_instances_step ON mail_journey_instances (journey, ended_at, step);

-- What became of the emails of instances.
CREATE TABLE mail_journey_sends (
    instance_id TEXT NOT NULL,
    step        TEXT NOT NULL,
    contact_key TEXT NOT NULL,
    at          BIGINT NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('sent', 'withheld', 'late', 'cap', 'suppressed', 'failed')),
    reason      TEXT,
    email_id    TEXT,                         -- in mail_outbox
    PRIMARY KEY (instance_id, step)
);
CREATE INDEX mail_journey_sends_contact ON mail_journey_sends (contact_key, at);
