-- The lives of sessions: a name, linked to an account. Other tables name a life in their column `session`.
CREATE TABLE lives (
  life      INTEGER PRIMARY KEY AUTOINCREMENT,
  -- The session's name.
  session   TEXT NOT NULL,
  -- Its number, digits only; NULL: no phone has linked it, or it cannot be told any more whose it was.
  account   TEXT,
  from_at   BIGINT NOT NULL,
  -- NULL: the session is in it.
  to_at     BIGINT,
  -- The first life since the session was made.
  tenure    BIGINT NOT NULL,
  -- 1: it began before lives were told apart, and ids of its files follow from the name alone.
  is_old    BIGINT NOT NULL DEFAULT 0,
  -- 1: what it has left is to be removed.
  is_purged BIGINT NOT NULL DEFAULT 0
);
-- What concerns the whole gateway.
INSERT INTO lives (life, session, from_at, tenure) VALUES (0, '', 0, 0);

-- For the next step alone: from which event and time on what is of a name belongs to which life. Filled by store/cutting.rs.
CREATE TABLE cuts (
  name TEXT NOT NULL,
  seq  BIGINT NOT NULL,
  at   BIGINT NOT NULL,
  life BIGINT NOT NULL,
  PRIMARY KEY (name, seq)
) WITHOUT ROWID;
-- And what has no time.
CREATE TABLE untimed (
  name TEXT PRIMARY KEY,
  life BIGINT NOT NULL
) WITHOUT ROWID;
