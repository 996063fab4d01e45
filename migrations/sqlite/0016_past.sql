-- Sessions whose phone is asked for the time before the device was linked, and how far it has told it. Others have no row.
CREATE TABLE pasts (
  session    TEXT PRIMARY KEY,
  -- 0: the recent messages, 1: all there are; phones tell them one after the other, each from 0 to 100.
  stage      BIGINT NOT NULL DEFAULT 0,
  -- In percent of the stage, as the phone says.
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
