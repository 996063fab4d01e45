-- Received messages that make no event, such as a change by somebody who may not make it. WhatsApp delivers a message again whose
-- acknowledgement was lost; one that is in here is not missing.
CREATE TABLE eventless (
    session BIGINT NOT NULL,
    chat TEXT NOT NULL,
    sender TEXT NOT NULL,
    message_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (session, chat, sender, message_id)
) WITHOUT ROWID;
CREATE INDEX eventless_age ON eventless (created_at);
