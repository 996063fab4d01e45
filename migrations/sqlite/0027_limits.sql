-- The limits that WhatsApp sets the account of a life, as last reported: the JSON of the event `session.limits`.
CREATE TABLE account_limits (
  session BIGINT PRIMARY KEY,
  limits  TEXT NOT NULL
);

-- The pace at which a session's messages leave: a JSON object.
ALTER TABLE sessions ADD COLUMN pacing TEXT;
