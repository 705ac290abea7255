-- Bounces name an email by its Message-ID, <key of the attempt@domain>. Only ids of that form are in the index: those of
-- vendors have others.
CREATE INDEX mail_outbox_attempt ON mail_outbox (substr(provider_message_id, 2, 36))
    WHERE substr(provider_message_id, 1, 1) = '<' AND substr(provider_message_id, 38, 1) = '@';
