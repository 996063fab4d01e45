-- Messages of ours as they left, for phones that could not read them and ask for them again. The engine has old ones removed.
CREATE TABLE payloads (
  session    TEXT NOT NULL,
  -- As the engine addresses it.
  chat       TEXT NOT NULL,
  id         TEXT NOT NULL,
  -- WhatsApp's protobuf.
  payload    BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (session, chat, id)
);
