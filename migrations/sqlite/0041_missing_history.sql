-- When a phone was given up on that was asked for its history and sent nothing; NULL: it has begun, or has time.
ALTER TABLE pasts ADD COLUMN missing_at INTEGER;
