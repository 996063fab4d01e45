-- What callers have sent: see store/messages.rs.

-- One message a caller had accepted. Its WhatsApp id is chosen here and never changes, so that sending it again is no second message.
CREATE TABLE messages (
  -- The order in which they were accepted.
  place        INTEGER PRIMARY KEY AUTOINCREMENT,
  session      TEXT NOT NULL,
  id           TEXT NOT NULL,
  chat         TEXT NOT NULL,
  -- `text`, `image` and so on, and the whole of what it says, as JSON.
  type         TEXT NOT NULL,
  content      TEXT NOT NULL,
  -- queued (has surely not left), unknown (may have left, and WhatsApp has not said), sent, failed.
  status       TEXT NOT NULL DEFAULT 'queued',
  -- Why it failed.
  error_code   TEXT,
  error        TEXT,
  accepted_at  BIGINT NOT NULL,
  send_at      BIGINT,
  -- Must not leave after this.
  expires_at   BIGINT,
  -- Since when it may have left: written before that can happen.
  attempted_at BIGINT,
  -- When WhatsApp took it.
  sent_at      BIGINT,
  -- Since when nothing more is done about it.
  settled_at   BIGINT
);
CREATE UNIQUE INDEX messages_id ON messages (session, id);
CREATE INDEX messages_open ON messages (session, place) WHERE settled_at IS NULL;
CREATE INDEX messages_settled ON messages (settled_at) WHERE settled_at IS NOT NULL;

-- How far a message has come with each of those it went to.
CREATE TABLE receipts (
  message      BIGINT NOT NULL REFERENCES messages (place) ON DELETE CASCADE,
  recipient    TEXT NOT NULL,
  delivered_at BIGINT,
  read_at      BIGINT,
  played_at    BIGINT,
  PRIMARY KEY (message, recipient)
);

-- What was asked for under which key, so that asking again is not sending again.
CREATE TABLE idempotency (
  -- Whose key it is; callers do not see each other's.
  caller     TEXT NOT NULL,
  route      TEXT NOT NULL,
  key        TEXT NOT NULL,
  -- SHA-256 of what was asked for.
  request    TEXT NOT NULL,
  message    BIGINT NOT NULL REFERENCES messages (place) ON DELETE CASCADE,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX idempotency_message ON idempotency (message);
