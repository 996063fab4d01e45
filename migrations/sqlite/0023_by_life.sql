-- Whatever is of a session is of one life of it: `session` is its number from now on.

-- The name stays beside it, for those who are told of a session whose name is all they know.
ALTER TABLE events RENAME COLUMN session TO name;
ALTER TABLE events ADD COLUMN session BIGINT NOT NULL DEFAULT 0;
UPDATE events SET session = (SELECT c.life FROM cuts c WHERE c.name = events.name AND c.seq <= events.seq ORDER BY c.seq DESC LIMIT 1)
 WHERE name <> '';
DROP INDEX events_message;
CREATE UNIQUE INDEX events_message ON events (session, message_chat, sender, message_id, type) WHERE message_id IS NOT NULL;

DROP INDEX messages_changes;
DROP INDEX messages_id;
DROP INDEX messages_open;
ALTER TABLE messages RENAME COLUMN session TO name;
ALTER TABLE messages ADD COLUMN session BIGINT NOT NULL DEFAULT 0;
UPDATE messages SET session = (SELECT c.life FROM cuts c WHERE c.name = messages.name AND c.at <= messages.accepted_at ORDER BY c.at DESC, c.seq DESC LIMIT 1);
ALTER TABLE messages DROP COLUMN name;
CREATE UNIQUE INDEX messages_id ON messages (session, id);
CREATE INDEX messages_open ON messages (session, place) WHERE settled_at IS NULL;
CREATE INDEX messages_changes ON messages
  (session, coalesce(json_extract(content, '$.edit.message_id'), json_extract(content, '$.deletion.message_id')))
  WHERE type IN ('edit', 'deletion');

CREATE TABLE keyed (
  -- Whose key it is, and for which life; callers do not see each other's.
  caller     TEXT NOT NULL,
  session    BIGINT NOT NULL,
  route      TEXT NOT NULL,
  key        TEXT NOT NULL,
  -- SHA-256 of what was asked for.
  request    TEXT NOT NULL,
  message    BIGINT NOT NULL REFERENCES messages (place) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (caller, session, route, key)
);
INSERT INTO keyed SELECT k.caller, m.session, k.route, k.key, k.request, k.message, k.created_at
  FROM idempotency k JOIN messages m ON m.place = k.message;
DROP TABLE idempotency;
ALTER TABLE keyed RENAME TO idempotency;
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX idempotency_message ON idempotency (message);

DROP INDEX media_waiting;
ALTER TABLE media RENAME COLUMN session TO name;
ALTER TABLE media ADD COLUMN session BIGINT NOT NULL DEFAULT 0;
UPDATE media SET session = (SELECT c.life FROM cuts c WHERE c.name = media.name AND c.at <= media.created_at ORDER BY c.at DESC, c.seq DESC LIMIT 1);
-- A file that came with a message is where the message is.
UPDATE media SET session = COALESCE((SELECT max(e.session) FROM events e JOIN lives l ON l.life = e.session
    WHERE l.session = media.name AND e.message_chat = media.message_chat AND e.sender = media.sender
      AND e.message_id = media.message_id), session)
 WHERE message_id IS NOT NULL AND name IN (SELECT name FROM cuts WHERE seq > 0);
ALTER TABLE media DROP COLUMN name;
CREATE INDEX media_waiting ON media (session, due_at) WHERE state = 'waiting';

CREATE TABLE kept_payloads (
  session    BIGINT NOT NULL,
  -- As the engine addresses it.
  chat       TEXT NOT NULL,
  id         TEXT NOT NULL,
  -- WhatsApp's protobuf.
  payload    BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (session, chat, id)
);
INSERT INTO kept_payloads SELECT (SELECT c.life FROM cuts c WHERE c.name = p.session AND c.at <= p.created_at ORDER BY c.at DESC, c.seq DESC LIMIT 1),
  p.chat, p.id, p.payload, p.created_at FROM payloads p;
DROP TABLE payloads;
ALTER TABLE kept_payloads RENAME TO payloads;

CREATE TABLE opened (
  session    BIGINT NOT NULL,
  chat       TEXT NOT NULL,
  sender     TEXT NOT NULL,
  message_id TEXT NOT NULL,
  -- WhatsApp's protobuf.
  message    BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (session, chat, sender, message_id)
);
INSERT INTO opened SELECT (SELECT c.life FROM cuts c WHERE c.name = p.session AND c.at <= p.created_at ORDER BY c.at DESC, c.seq DESC LIMIT 1),
  p.chat, p.sender, p.message_id, p.message, p.created_at FROM pending p;
DROP TABLE pending;
ALTER TABLE opened RENAME TO pending;

CREATE TABLE known_polls (
  session        BIGINT NOT NULL,
  id             TEXT NOT NULL,
  -- Whose it is; the address it was told under.
  creator        TEXT NOT NULL,
  -- 32 bytes.
  secret         BLOB NOT NULL,
  question       TEXT NOT NULL,
  -- JSON list of texts. A vote names them by a hash.
  options        TEXT NOT NULL,
  created_at     BIGINT NOT NULL,
  -- How many options of a poll one person may choose; 0: it is an event.
  max_selections BIGINT NOT NULL DEFAULT 1000,
  -- Where a poll was asked, so that votes on it go nowhere else; NULL: nobody noted it.
  chat           TEXT,
  PRIMARY KEY (session, id)
) WITHOUT ROWID;
CREATE TABLE known_votes (
  session  BIGINT NOT NULL,
  poll     TEXT NOT NULL,
  voter    TEXT NOT NULL,
  -- JSON list of texts; empty when they took their vote back.
  options  TEXT NOT NULL,
  -- By the voter's clock, in milliseconds.
  voted_at BIGINT NOT NULL,
  PRIMARY KEY (session, poll, voter),
  FOREIGN KEY (session, poll) REFERENCES known_polls (session, id) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO known_polls SELECT (SELECT c.life FROM cuts c WHERE c.name = p.session AND c.at <= p.created_at ORDER BY c.at DESC, c.seq DESC LIMIT 1),
  p.id, p.creator, p.secret, p.question, p.options, p.created_at, p.max_selections, p.chat FROM polls p;
INSERT INTO known_votes SELECT k.session, v.poll, v.voter, v.options, v.voted_at
  FROM poll_votes v JOIN lives l ON l.session = v.session JOIN known_polls k ON k.session = l.life AND k.id = v.poll;
DROP TABLE poll_votes;
DROP TABLE polls;
ALTER TABLE known_polls RENAME TO polls;
ALTER TABLE known_votes RENAME TO poll_votes;
CREATE INDEX polls_age ON polls (created_at);

CREATE TABLE marked (
  session BIGINT NOT NULL,
  chat    TEXT NOT NULL,
  seq     BIGINT NOT NULL,
  PRIMARY KEY (session, chat)
);
INSERT INTO marked SELECT (SELECT c.life FROM cuts c WHERE c.name = r.session AND c.seq <= r.seq ORDER BY c.seq DESC LIMIT 1), r.chat, r.seq FROM reads r;
DROP TABLE reads;
ALTER TABLE marked RENAME TO reads;

CREATE TABLE heard (
  session BIGINT PRIMARY KEY,
  last_at BIGINT NOT NULL,
  seq     BIGINT NOT NULL
);
INSERT INTO heard SELECT COALESCE((SELECT c.life FROM cuts c WHERE c.name = r.session AND c.seq <= r.seq ORDER BY c.seq DESC LIMIT 1), 0), max(r.last_at), max(r.seq)
  FROM received r GROUP BY 1;
DROP TABLE received;
ALTER TABLE heard RENAME TO received;

DROP INDEX identities_address;
DROP INDEX identities_id;
ALTER TABLE identities RENAME COLUMN session TO name;
ALTER TABLE identities ADD COLUMN session BIGINT NOT NULL DEFAULT 0;
UPDATE identities SET session = (SELECT u.life FROM untimed u WHERE u.name = identities.name);
ALTER TABLE identities DROP COLUMN name;
CREATE UNIQUE INDEX identities_address ON identities (session, address);
CREATE INDEX identities_id ON identities (session, id);

CREATE TABLE set_timers (
  session BIGINT NOT NULL,
  chat    TEXT NOT NULL,
  seconds BIGINT NOT NULL,
  -- In seconds, by WhatsApp's clock: what was said before it does not count any more.
  set_at  BIGINT NOT NULL,
  PRIMARY KEY (session, chat)
);
INSERT INTO set_timers SELECT (SELECT u.life FROM untimed u WHERE u.name = t.session), t.chat, t.seconds, t.set_at FROM timers t;
DROP TABLE timers;
ALTER TABLE set_timers RENAME TO timers;

-- Which post is the last that was told is known of the one who followed last.
CREATE TABLE followed (
  session    BIGINT NOT NULL,
  newsletter TEXT NOT NULL,
  place      BIGINT NOT NULL,
  PRIMARY KEY (session, newsletter)
);
INSERT INTO followed SELECT (SELECT c.life FROM cuts c WHERE c.name = n.session ORDER BY c.seq DESC LIMIT 1), n.newsletter, n.place FROM newsletters n;
DROP TABLE newsletters;
ALTER TABLE followed RENAME TO newsletters;

-- From which life on a key has each of its names, as a JSON object; NULL: as it is at the first start from now.
ALTER TABLE api_keys ADD COLUMN lives TEXT;

DROP TABLE cuts;
DROP TABLE untimed;
