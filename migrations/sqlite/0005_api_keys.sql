-- Who may call. Of a key itself only a hash is kept; the hint is its last letters, for people who look for it in their settings.
CREATE TABLE api_keys (
  id           TEXT PRIMARY KEY,
  hash         BLOB NOT NULL UNIQUE,
  hint         TEXT NOT NULL,
  name         TEXT NOT NULL,
  -- Separated by commas: read, send, admin.
  scopes       TEXT NOT NULL,
  -- A JSON list of names; NULL stands for all sessions.
  sessions     TEXT,
  created_at   BIGINT NOT NULL,
  expires_at   BIGINT,
  -- Written now and then, not at every use.
  last_used_at BIGINT
);

-- For retention: what became of an event must be found without looking at all deliveries.
CREATE INDEX deliveries_event ON deliveries (event);
