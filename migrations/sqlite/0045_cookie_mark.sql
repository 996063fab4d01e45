-- Part of the names of the dashboard's cookies: browsers show a cookie to all ports of a host, so that gateways beside each other
-- need names of their own. It is no secret.
CREATE TABLE cookie_mark (mark TEXT NOT NULL);
INSERT INTO cookie_mark (mark) VALUES (lower(hex(randomblob(4))));
