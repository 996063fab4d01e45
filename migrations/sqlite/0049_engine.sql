-- What the engine keeps of linked devices: keys, and what it has learnt of the protocol. The session is a life. The kinds are in
-- `store/engine_keys`; the key is what the engine names a row by, and the number is the one that the engine asks for: when a secret
-- expires, whether a key is uploaded. A value begins with the number of the key that it is sealed with, 0 for none.
CREATE TABLE engine (
    session BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    key TEXT NOT NULL,
    extra BIGINT NOT NULL DEFAULT 0,
    value BLOB NOT NULL,
    PRIMARY KEY (session, kind, key)
) WITHOUT ROWID;
CREATE INDEX engine_expiry ON engine (session, extra) WHERE kind = 16 AND extra > 0;
