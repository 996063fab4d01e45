-- What was ordered for sessions. Their keys are in files of their own; a session that nobody gave an order to has no row.
CREATE TABLE sessions (
  name       TEXT PRIMARY KEY,
  -- 1: stopped by hand, until it is started by hand.
  stopped    BIGINT NOT NULL DEFAULT 0,
  -- A JSON object of the owner's.
  metadata   TEXT NOT NULL DEFAULT '{}',
  created_at BIGINT NOT NULL
);

-- When each session received its last message. Every message up to the newest `seq` in here is taken into account; later ones are
-- still to be looked at.
CREATE TABLE received (
  session TEXT PRIMARY KEY,
  last_at BIGINT NOT NULL,
  seq     BIGINT NOT NULL
);
INSERT INTO received (session, last_at, seq)
  SELECT session, max(created_at), max(seq) FROM events WHERE type = 'message.received' GROUP BY session;
