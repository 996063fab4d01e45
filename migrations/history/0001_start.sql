-- Chats, contacts and messages as callers look at them: a projection of the events in the other database, and what phones told of before.
-- Times are milliseconds since 1970.

-- Up to which event everything is in here; written with what it brought.
CREATE TABLE progress (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq BIGINT NOT NULL
);
INSERT INTO progress (one, seq) VALUES (1, 0);

-- Sessions that were deleted: their events up to this place bring nothing any more.
CREATE TABLE forgotten (
  session TEXT PRIMARY KEY,
  seq     BIGINT NOT NULL
);

CREATE TABLE chats (
  place         INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Empty once its session was deleted, until its messages are.
  session       TEXT NOT NULL,
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

CREATE TABLE contacts (
  session TEXT NOT NULL,
  id      TEXT NOT NULL,
  phone   TEXT,
  lid     TEXT,
  name    TEXT,
  PRIMARY KEY (session, id)
) WITHOUT ROWID;

CREATE TABLE messages (
  place      INTEGER PRIMARY KEY AUTOINCREMENT,
  chat       BIGINT NOT NULL,
  id         TEXT NOT NULL,
  -- A contact's id; empty for the account itself.
  sender     TEXT NOT NULL,
  at         BIGINT NOT NULL,
  -- The message object; empty once it was deleted.
  content    TEXT NOT NULL,
  -- Of the account's own: 1 sent, 2 delivered, 3 read, 4 played.
  status     BIGINT,
  edited_at  BIGINT,
  deleted_at BIGINT
);
CREATE UNIQUE INDEX messages_id ON messages (chat, id, sender);
CREATE INDEX messages_chat ON messages (chat, at, place);
CREATE INDEX messages_age ON messages (at);

CREATE TABLE reactions (
  message BIGINT NOT NULL,
  -- As a message's sender.
  person  TEXT NOT NULL,
  emoji   TEXT NOT NULL,
  PRIMARY KEY (message, person)
) WITHOUT ROWID;

-- What messages say, taken apart into words by store/kept/words.rs, and whose they are: `scope` has a word for the session and one for
-- the chat, so that looking in one of them never walks through the others. The words alone are kept, not the text once more.
CREATE VIRTUAL TABLE words USING fts5 (
  scope, said,
  content = '', contentless_delete = 1,
  tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N*'"
);
