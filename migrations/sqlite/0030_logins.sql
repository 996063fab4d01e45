-- Logins of the dashboard. `hash` is the SHA-256 of the cookie's token; `binding` ties the login to the key that was shown, and
-- says nothing of that key to a reader of this table, since it is a hash of both the token and the key's hash.
CREATE TABLE logins (
    hash       BLOB    NOT NULL PRIMARY KEY,
    key_id     TEXT    NOT NULL,
    binding    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) WITHOUT ROWID;
