-- Lists of a session's files.
CREATE INDEX media_by_session ON media (session, created_at, id);
