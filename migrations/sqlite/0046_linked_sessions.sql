-- Sessions whose file has a linked device, so that the start need not open each. A file that is not listed is opened.
CREATE TABLE linked_sessions (
  name TEXT PRIMARY KEY
) WITHOUT ROWID;
