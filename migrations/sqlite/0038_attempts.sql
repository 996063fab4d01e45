-- Whether a message that may have left counts as a new contact of its day; NULL: nobody looked, because nothing counted them.
ALTER TABLE messages ADD COLUMN new_chat INTEGER;
-- The messages of a day are counted.
CREATE INDEX messages_attempted ON messages (session, attempted_at) WHERE attempted_at IS NOT NULL;
