-- The history: chats, contacts and messages as callers look at them, a projection of the events, and what phones told of before.
-- What `history.db` has of earlier versions is moved here by `store/history/moving.rs`. Times are milliseconds since 1970.

-- Up to which event everything is in here, written with what it brought; and about how many bytes the history takes, which do not
-- count as those of the log.
CREATE TABLE history_progress (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  seq   BIGINT NOT NULL,
  bytes BIGINT NOT NULL
);
INSERT INTO history_progress (one, seq, bytes) VALUES (1, 0, 0);

-- Lives that were forgotten: their events up to this place bring nothing any more.
CREATE TABLE history_forgotten (
  session BIGINT PRIMARY KEY,
  seq     BIGINT NOT NULL
);

CREATE TABLE history_chats (
  place         INTEGER PRIMARY KEY AUTOINCREMENT,
  -- A life; -1 once it was deleted, or the chat became one with another, until its messages are gone.
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
CREATE UNIQUE INDEX history_chats_id ON history_chats (session, id);
CREATE INDEX history_chats_active ON history_chats (session, active_at, place);

CREATE TABLE history_contacts (
  session       BIGINT NOT NULL,
  id            TEXT NOT NULL,
  phone         TEXT,
  lid           TEXT,
  -- What somebody is called by the account, by WhatsApp, which has checked the name of a business, and by themselves; and the
  -- username that they chose.
  saved_name    TEXT,
  verified_name TEXT,
  push_name     TEXT,
  username      TEXT,
  PRIMARY KEY (session, id)
) WITHOUT ROWID;

CREATE TABLE history_messages (
  -- The position of the event that brought it; negative if a phone told of it.
  place      INTEGER PRIMARY KEY,
  chat       BIGINT NOT NULL,
  id         TEXT NOT NULL,
  -- A contact's id; empty for the account itself.
  sender     TEXT NOT NULL,
  at         BIGINT NOT NULL,
  -- The message object; NULL as long as it is that of the event, empty once it was deleted.
  content    TEXT,
  -- Of the account's own: 1 sent, 2 delivered, 3 read, 4 played.
  status     BIGINT,
  edited_at  BIGINT,
  deleted_at BIGINT
);
CREATE UNIQUE INDEX history_messages_id ON history_messages (chat, id, sender);
CREATE INDEX history_messages_chat ON history_messages (chat, at, place);
CREATE INDEX history_messages_age ON history_messages (at);

CREATE TRIGGER history_messages_inserted AFTER INSERT ON history_messages BEGIN
  UPDATE history_progress SET bytes = bytes + 400 + length(CAST(COALESCE(new.content, '') AS BLOB));
END;
CREATE TRIGGER history_messages_deleted AFTER DELETE ON history_messages BEGIN
  UPDATE history_progress SET bytes = bytes - 400 - length(CAST(COALESCE(old.content, '') AS BLOB));
END;
CREATE TRIGGER history_messages_changed AFTER UPDATE OF content ON history_messages BEGIN
  UPDATE history_progress SET bytes = bytes + length(CAST(COALESCE(new.content, '') AS BLOB)) - length(CAST(COALESCE(old.content, '') AS BLOB));
END;

CREATE TABLE history_reactions (
  message BIGINT NOT NULL,
  -- As a message's sender.
  person  TEXT NOT NULL,
  emoji   TEXT NOT NULL,
  PRIMARY KEY (message, person)
) WITHOUT ROWID;

-- What messages say, taken apart into words by store/history/tokenizer.rs, and whose they are: `scope` has a word for the session and
-- one for the chat, so that looking in one of them never walks through the others. The words alone are kept, not the text once more.
CREATE VIRTUAL TABLE history_words USING fts5 (
  scope, said,
  content = '', contentless_delete = 1,
  tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N*'"
);

-- How far `history.db` was moved here: its places less `shift` are those here. The largest number: all of it, and the file is to go. No
-- row: there was none, or it is gone.
CREATE TABLE history_moving (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  shift BIGINT NOT NULL,
  upto  BIGINT NOT NULL
);
