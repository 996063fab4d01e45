-- Whom an endpoint is told of: one session, or all (empty); some types of events, separated by commas, or all (empty).
ALTER TABLE endpoints ADD COLUMN session TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN types TEXT NOT NULL DEFAULT '';
