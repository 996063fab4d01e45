-- How far the log is delivered: up to `seq`, each delivery is accepted, or has a row. What comes behind it is in memory, and is read
-- from the log again after a crash, without what `accepted` lists. `delivery` is the first id that may have been given to any of it.
CREATE TABLE positions (
    -- The process that delivers; there is one.
    owner BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    delivery BIGINT NOT NULL
);
INSERT INTO positions (owner, seq, delivery)
SELECT 0, (SELECT COALESCE(max(seq), 0) FROM events), (SELECT COALESCE(max(id), 0) + 1 FROM deliveries);

-- Deliveries that were accepted at the first attempt and never had a row, many together: see `store/webhooks/open/accepted.rs`.
CREATE TABLE accepted (
    endpoint TEXT NOT NULL,
    -- The ids of a row are in one bucket, so those of a range are found.
    bucket BIGINT NOT NULL,
    first_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (endpoint, bucket, first_id)
) WITHOUT ROWID;
CREATE INDEX accepted_age ON accepted (at);
