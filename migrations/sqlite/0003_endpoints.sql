-- Whom an endpoint is told of: one session, or all (empty); some types of events, separated by commas, or all (empty).
ALTER TABLE endpoints ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN types TEXT NOT NULL DEFAULT '';
-- What is sent along with every post, as a JSON object.
ALTER TABLE endpoints ADD COLUMN headers TEXT NOT NULL DEFAULT '{}';
-- 1: it has an address for each session, as the original's webhook has.
ALTER TABLE endpoints ADD COLUMN per_session BIGINT NOT NULL DEFAULT 0;
-- Goes up with every change, so that whoever remembers an endpoint knows when that is out of date.
ALTER TABLE endpoints ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
-- Why it is not told at the moment (asked, gone or failing), and since when; its deliveries wait.
ALTER TABLE endpoints ADD COLUMN disabled_at BIGINT;
ALTER TABLE endpoints ADD COLUMN disabled_reason TEXT;
-- Since when it has taken nothing, and how many attempts that were.
ALTER TABLE endpoints ADD COLUMN failing_since BIGINT;
ALTER TABLE endpoints ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
-- Its deliveries still name it, so its row stays.
ALTER TABLE endpoints ADD COLUMN deleted_at BIGINT;

-- What signs an endpoint's posts: all keys that have not expired. They are needed in the clear to sign with.
CREATE TABLE endpoint_keys (
  endpoint   TEXT NOT NULL REFERENCES endpoints (id),
  secret     TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  PRIMARY KEY (endpoint, secret)
);

-- A gate is what may be slow or broken on its own: an endpoint, or an endpoint's address for one session. Each has so many posts
-- under way at most, so the next thing to do is looked for gate by gate.
ALTER TABLE lanes ADD COLUMN gate TEXT NOT NULL DEFAULT '';
UPDATE lanes SET gate = endpoint || CASE WHEN endpoint = 'original' THEN '/' || session ELSE '' END;
UPDATE endpoints SET per_session = 1 WHERE id = 'original';
DROP INDEX lanes_due;
CREATE INDEX lanes_gate ON lanes (gate, due_at, head);
-- For a head that has held its chat for long: when it is tried again (0: when the lane is due), and from when on what waits behind it
-- may be tried in its place (0: not yet).
ALTER TABLE lanes ADD COLUMN retry_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN probe_from BIGINT NOT NULL DEFAULT 0;

-- Attempts that do not count any more, because somebody asked for another round.
ALTER TABLE deliveries ADD COLUMN forgiven BIGINT NOT NULL DEFAULT 0;
-- 1: somebody asked for it again, so it is posted whoever has posted it before.
ALTER TABLE deliveries ADD COLUMN resent BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN first_failed_at BIGINT;
ALTER TABLE deliveries ADD COLUMN last_failed_at BIGINT;
UPDATE deliveries SET first_failed_at = (SELECT min(at) FROM attempts WHERE delivery = deliveries.id),
                      last_failed_at  = (SELECT max(at) FROM attempts WHERE delivery = deliveries.id)
 WHERE state = 'waiting' AND attempts > 0;
CREATE INDEX deliveries_dead ON deliveries (endpoint, id) WHERE state = 'dead';

-- What was answered: the status, and the beginning of the body.
ALTER TABLE attempts ADD COLUMN status BIGINT;
ALTER TABLE attempts ADD COLUMN answer TEXT;
