-- Which addresses are one person: the number's and the LID. The first that was told of them names them for ever.
CREATE TABLE identities (
  -- In the order they became known.
  place   INTEGER PRIMARY KEY AUTOINCREMENT,
  session TEXT NOT NULL,
  -- `…@s.whatsapp.net` or `…@lid`.
  address TEXT NOT NULL,
  id      TEXT NOT NULL
);
CREATE UNIQUE INDEX identities_address ON identities (session, address);
CREATE INDEX identities_id ON identities (session, id);
