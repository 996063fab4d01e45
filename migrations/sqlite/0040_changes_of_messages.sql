-- The edits and deletions of a chat's messages: who quotes or forwards a message looks for them.
CREATE INDEX events_changes ON events (session, message_chat, seq) WHERE type IN ('message.edited', 'message.deleted');
