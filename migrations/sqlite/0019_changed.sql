-- When a message that had not left was given other words.
ALTER TABLE messages ADD COLUMN edited_at BIGINT;
-- What became of messages that have left: the edits and deletions about each.
CREATE INDEX messages_changes ON messages
  (session, coalesce(json_extract(content, '$.edit.message_id'), json_extract(content, '$.deletion.message_id')))
  WHERE type IN ('edit', 'deletion');
