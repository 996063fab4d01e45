-- Links for the owners of phones, to link a session without a key. Of a link's token only a hash is kept.
CREATE TABLE connect_links (
  id         TEXT PRIMARY KEY,
  hash       BLOB NOT NULL UNIQUE,
  -- By its name: a session has a life only once it is linked.
  session    TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  -- When a phone linked the session.
  used_at    BIGINT
);
CREATE INDEX connect_links_session ON connect_links (session);
