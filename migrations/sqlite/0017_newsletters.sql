-- Up to which post each newsletter was told of, by WhatsApp's numbers for them: what came while nobody listened is looked for from there.
CREATE TABLE newsletters (
  session    TEXT NOT NULL,
  newsletter TEXT NOT NULL,
  place      BIGINT NOT NULL,
  PRIMARY KEY (session, newsletter)
);
