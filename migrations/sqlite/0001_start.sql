-- Where everything that must not be lost is kept: what the gateway tells, to whom, and how far each telling has come.
-- Times are milliseconds since 1970. Columns are TEXT, BIGINT and BLOB only, so that PostgreSQL can hold the same.

-- What happened, in the order it was written. `seq` never goes backwards and is never given out twice.
CREATE TABLE events (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL UNIQUE,
  session    TEXT NOT NULL,
  chat       TEXT NOT NULL,
  -- WhatsApp's sender and message id, for messages; what comes again (redelivery, several devices, a restart) is the same event.
  sender     TEXT,
  message_id TEXT,
  type       TEXT NOT NULL,
  body       TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX events_message ON events (session, chat, sender, message_id, type) WHERE message_id IS NOT NULL;

-- Who is told.
CREATE TABLE endpoints (
  id         TEXT PRIMARY KEY,
  url        TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

-- One event for one endpoint. `state` is waiting, delivered or dead.
CREATE TABLE deliveries (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  event      BIGINT NOT NULL REFERENCES events (seq),
  endpoint   TEXT NOT NULL REFERENCES endpoints (id),
  session    TEXT NOT NULL,
  chat       TEXT NOT NULL,
  -- Its own id once it has stepped out of its chat's order; 0 before.
  aside      BIGINT NOT NULL DEFAULT 0,
  state      TEXT NOT NULL DEFAULT 'waiting',
  attempts   BIGINT NOT NULL DEFAULT 0,
  last_error TEXT,
  created_at BIGINT NOT NULL,
  settled_at BIGINT
);
CREATE INDEX deliveries_waiting ON deliveries (endpoint, session, chat, aside, id) WHERE state = 'waiting';

-- A chat's waiting deliveries to one endpoint, by their oldest. So the next thing to do is found without looking at a million
-- others, and nothing overtakes within a chat.
CREATE TABLE lanes (
  endpoint TEXT NOT NULL,
  session  TEXT NOT NULL,
  chat     TEXT NOT NULL,
  aside    BIGINT NOT NULL,
  head     BIGINT NOT NULL,
  due_at   BIGINT NOT NULL,
  PRIMARY KEY (endpoint, session, chat, aside)
);
CREATE INDEX lanes_due ON lanes (due_at);
CREATE INDEX lanes_head ON lanes (head);

-- Attempts that failed. A delivery that was taken at once needs no row.
CREATE TABLE attempts (
  delivery   BIGINT NOT NULL REFERENCES deliveries (id),
  number     BIGINT NOT NULL,
  error      TEXT NOT NULL,
  at         BIGINT NOT NULL,
  PRIMARY KEY (delivery, number)
);
