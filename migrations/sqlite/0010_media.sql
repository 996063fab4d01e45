-- The files of messages: where each is at WhatsApp, and whether it is here. The files themselves are not in the database.
CREATE TABLE media (
  id           TEXT PRIMARY KEY,
  session      TEXT NOT NULL,
  -- The message it came with, as events are recognised by, and the chat as callers know it. NULL: somebody uploaded it.
  message_id   TEXT,
  message_chat TEXT,
  sender       TEXT,
  chat         TEXT,
  -- image, video, audio, document, sticker; NULL for uploads, which can become any of them.
  type         TEXT,
  mime_type    TEXT,
  filename     TEXT,
  -- Bytes, pixels, seconds.
  size         BIGINT,
  width        BIGINT,
  height       BIGINT,
  duration     BIGINT,
  -- Of the file, in hexadecimal; of one that is here it is its name on the disk.
  sha256       TEXT,
  -- Where it is at WhatsApp, and the key to it, as JSON; NULL for uploads.
  source       TEXT,
  -- remote (nobody has asked for it), waiting (to be downloaded), stored, failed, removed.
  state        TEXT NOT NULL,
  attempts     BIGINT NOT NULL DEFAULT 0,
  due_at       BIGINT NOT NULL DEFAULT 0,
  error        TEXT,
  created_at   BIGINT NOT NULL,
  -- When it came here.
  stored_at    BIGINT
);
CREATE INDEX media_waiting ON media (session, due_at) WHERE state = 'waiting';
CREATE INDEX media_hash ON media (sha256) WHERE state = 'stored';
CREATE INDEX media_age ON media (created_at);
