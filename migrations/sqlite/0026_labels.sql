-- The labels of each account. A deleted one stays, since its id is not used again.
CREATE TABLE labels (
  session BIGINT NOT NULL,
  id      TEXT NOT NULL,
  name    TEXT NOT NULL,
  color   BIGINT NOT NULL,
  deleted BIGINT NOT NULL,
  PRIMARY KEY (session, id)
);
-- The labels of chats, by the address in WhatsApp's entry: a chat may be there under its number and under its LID, and the
-- later entry counts.
CREATE TABLE chat_labels (
  session BIGINT NOT NULL,
  label   TEXT NOT NULL,
  chat    TEXT NOT NULL,
  labeled BIGINT NOT NULL,
  -- In milliseconds, by the clock of the device that wrote the entry.
  at      BIGINT NOT NULL,
  PRIMARY KEY (session, label, chat)
);
-- The accounts whose labels were read as a whole: those linked before there were labels here read them once more.
CREATE TABLE labels_read (
  session BIGINT NOT NULL PRIMARY KEY
);
