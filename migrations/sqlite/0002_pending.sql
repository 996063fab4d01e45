-- A message is recognised by the addresses it came with, not by those it is told with: a number that is learnt between two
-- deliveries of the same message must not make two events of it.
ALTER TABLE events ADD COLUMN message_chat TEXT;
UPDATE events SET message_chat = chat WHERE message_id IS NOT NULL;
DROP INDEX events_message;
CREATE UNIQUE INDEX events_message ON events (session, message_chat, sender, message_id, type) WHERE message_id IS NOT NULL;
