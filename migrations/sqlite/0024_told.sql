-- What the feed is read by: the events of a life that still say something, by their place, and of which type each is. Whoever wants few
-- types of few lives is answered from this index alone, however much else there is.
CREATE INDEX events_told ON events (session, seq, type) WHERE body <> '';
