-- Polls and the votes on them, events and the answers to them: see store/polls.rs.

-- A poll that was sent or came in, with what its votes are sealed with.
CREATE TABLE polls (
  session    TEXT NOT NULL,
  id         TEXT NOT NULL,
  -- Whose it is; the address it was told under.
  creator    TEXT NOT NULL,
  -- 32 bytes.
  secret     BLOB NOT NULL,
  question   TEXT NOT NULL,
  -- JSON list of texts. A vote names them by a hash.
  options    TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (session, id)
) WITHOUT ROWID;
CREATE INDEX polls_age ON polls (created_at);

-- What each voter chose last.
CREATE TABLE poll_votes (
  session TEXT NOT NULL,
  poll    TEXT NOT NULL,
  voter   TEXT NOT NULL,
  -- JSON list of texts; empty when they took their vote back.
  options TEXT NOT NULL,
  -- By the voter's clock, in milliseconds.
  voted_at BIGINT NOT NULL,
  PRIMARY KEY (session, poll, voter),
  FOREIGN KEY (session, poll) REFERENCES polls (session, id) ON DELETE CASCADE
) WITHOUT ROWID;
