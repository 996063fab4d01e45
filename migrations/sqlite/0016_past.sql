-- Sessions whose phone is asked for the time before the device was linked, and how far it has told it. Others have no row.
CREATE TABLE pasts (
  session    TEXT PRIMARY KEY,
  -- In percent, as the phone says.
  progress   BIGINT NOT NULL DEFAULT 0,
  -- When its first part was announced, and when something last came of it; in milliseconds since 1970.
  started_at BIGINT,
  updated_at BIGINT
);

-- The parts that were announced and are not taken in.
CREATE TABLE past_parts (
  session TEXT NOT NULL,
  -- Of the message that announced it.
  id      TEXT NOT NULL,
  -- 1: nobody is working on it any more.
  lost    BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (session, id)
) WITHOUT ROWID;
