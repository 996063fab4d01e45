-- After how long messages of a chat disappear, by each address the chat is known by. 0: they stay.
CREATE TABLE timers (
  session TEXT NOT NULL,
  chat    TEXT NOT NULL,
  seconds BIGINT NOT NULL,
  -- In seconds, by WhatsApp's clock: what was said before it does not count any more.
  set_at  BIGINT NOT NULL,
  PRIMARY KEY (session, chat)
);
