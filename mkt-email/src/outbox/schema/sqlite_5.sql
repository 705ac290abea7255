-- What was spent of a sending plan's limits: one row per call and scope (the account, a sender's address by its key, a
-- group of recipients' domains). As in mail_spending, `at` is when the call ended or can still end.
CREATE TABLE mail_rates (
    call    TEXT NOT NULL,
    scope   TEXT NOT NULL,
    account TEXT NOT NULL,
    at      INTEGER NOT NULL,
    mails   INTEGER NOT NULL,
    PRIMARY KEY (call, scope)
) STRICT;
CREATE INDEX mail_rates_recent ON mail_rates (account, scope, at);
