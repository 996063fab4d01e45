-- The timeline of a session: its last changes of status, however many messages came since. Few events are in it, so that messages
-- do not pay for it. The type comes first, since it stands before the body in a row.
CREATE INDEX events_session_changes ON events (session, seq, type)
    WHERE type IN ('session.status', 'session.paired', 'session.logged_out') AND body <> '';
