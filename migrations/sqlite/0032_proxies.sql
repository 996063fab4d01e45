-- The session's own proxy as an address, with its user and password; NULL: the operator's, if there is one.
ALTER TABLE sessions ADD COLUMN proxy TEXT;
