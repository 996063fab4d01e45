-- A message is recognised by the addresses it came with, not by those it is told with: a number that is learnt between two
-- deliveries of the same message must not make two events of it.
ALTER TABLE events ADD COLUMN message_chat TEXT;
UPDATE events SET message_chat = chat WHERE message_id IS NOT NULL;
DROP INDEX events_message;
CREATE UNIQUE INDEX events_message ON events (session, message_chat, sender, message_id, type) WHERE message_id IS NOT NULL;

-- Messages as the engine opened them, before they became events: kept when the key that opens them moves on and the event is not
-- saved yet. Most messages never come here.
CREATE TABLE pending (
  session    TEXT NOT NULL,
  chat       TEXT NOT NULL,
  sender     TEXT NOT NULL,
  message_id TEXT NOT NULL,
  -- WhatsApp's protobuf.
  message    BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (session, chat, sender, message_id)
);
