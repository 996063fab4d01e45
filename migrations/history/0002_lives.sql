-- Chats and contacts are of one life of their session: `session` is its number. Which it is is filled in from the names of before by
-- store/kept/former.rs.
ALTER TABLE chats RENAME TO former_chats;
DROP INDEX chats_id;
DROP INDEX chats_active;
CREATE TABLE chats (
  place         INTEGER PRIMARY KEY AUTOINCREMENT,
  -- -1 once it was deleted, or became one with another, until its messages are gone.
  session       BIGINT NOT NULL,
  -- As in events; in a chat of two the same as the contact's.
  id            TEXT NOT NULL,
  -- A group's subject. People have theirs among the contacts.
  name          TEXT,
  -- When its newest message was written; 0 before the first.
  active_at     BIGINT NOT NULL DEFAULT 0,
  unread        BIGINT NOT NULL DEFAULT 0,
  marked_unread BIGINT NOT NULL DEFAULT 0,
  archived      BIGINT NOT NULL DEFAULT 0,
  pinned        BIGINT NOT NULL DEFAULT 0,
  muted_until   BIGINT
);
CREATE UNIQUE INDEX chats_id ON chats (session, id);
CREATE INDEX chats_active ON chats (session, active_at, place);
-- Places are never given out again.
INSERT INTO sqlite_sequence (name, seq) SELECT 'chats', seq FROM sqlite_sequence WHERE name = 'former_chats';

ALTER TABLE contacts RENAME TO former_contacts;
CREATE TABLE contacts (
  session BIGINT NOT NULL,
  id      TEXT NOT NULL,
  phone   TEXT,
  lid     TEXT,
  name    TEXT,
  PRIMARY KEY (session, id)
) WITHOUT ROWID;

-- Lives that were forgotten: their events up to this place bring nothing any more.
ALTER TABLE forgotten RENAME TO former_forgotten;
CREATE TABLE forgotten (
  session BIGINT PRIMARY KEY,
  seq     BIGINT NOT NULL
);

-- Lives whose events are to be read once more, from the beginning.
CREATE TABLE unread (
  session BIGINT PRIMARY KEY
);
