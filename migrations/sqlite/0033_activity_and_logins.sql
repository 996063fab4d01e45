-- What callers did to the gateway: a row for each change and each login, and one an hour for all requests of one kind that send or
-- read. Routes are patterns, so that no text, chat, or secret is in it. A row of one request has its id in `request`, a row of many
-- has its hour in `hour`.
CREATE TABLE activity (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    request  TEXT,
    hour     BIGINT,
    kind     TEXT   NOT NULL,
    actor    TEXT   NOT NULL,
    key_id   TEXT   NOT NULL,
    key_name TEXT   NOT NULL,
    login    TEXT   NOT NULL,
    door     TEXT   NOT NULL,
    method   TEXT   NOT NULL,
    route    TEXT   NOT NULL,
    session  TEXT   NOT NULL,
    address  TEXT   NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    status   BIGINT,
    problem  TEXT
);
CREATE UNIQUE INDEX activity_request ON activity (request) WHERE request IS NOT NULL;
CREATE UNIQUE INDEX activity_hour ON activity (hour, kind, actor, key_id, login, door, method, route, session, address)
    WHERE hour IS NOT NULL;
CREATE INDEX activity_session ON activity (session, seq);
CREATE INDEX activity_key ON activity (key_id, seq);
CREATE INDEX activity_kind ON activity (kind, seq);
CREATE INDEX activity_time ON activity (last_at);

-- When the key of a login was typed last; NULL: when it began. Dangerous things ask for it again after a while.
ALTER TABLE logins ADD COLUMN shown_at BIGINT;

-- The one-time links to the dashboard that were printed on a terminal. `hash` is the SHA-256 of the token.
CREATE TABLE login_links (
    hash       BLOB   NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
