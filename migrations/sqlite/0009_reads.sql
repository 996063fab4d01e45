-- How far chats were marked read through here: the place of the newest message that was. A chat is named as on the wire.
CREATE TABLE reads (
  session TEXT NOT NULL,
  chat    TEXT NOT NULL,
  seq     BIGINT NOT NULL,
  PRIMARY KEY (session, chat)
);
