-- How many pages a document has; NULL: nobody knows.
ALTER TABLE media ADD COLUMN pages BIGINT;

-- Files that nothing may name any more and that may still be where they were kept, by their hash: they are removed until that works.
CREATE TABLE media_leftovers (
  sha256 TEXT PRIMARY KEY
);
