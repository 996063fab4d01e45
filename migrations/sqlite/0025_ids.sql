-- A message is looked for by its chat and id before it is known who wrote it, so the id comes first: a chat may be long.
DROP INDEX events_message;
CREATE UNIQUE INDEX events_message ON events (session, message_chat, message_id, sender, type) WHERE message_id IS NOT NULL;
