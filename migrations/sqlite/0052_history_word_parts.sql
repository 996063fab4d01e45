-- The full-text index in parts by place, so that a page of a common word does not gather its messages of all time: `history_words_NUMBER`
-- has the words of the messages from `first` to `last`. The index that there was is the first part; further ones are made by
-- store/history/words.rs, which also drops those whose messages are all gone.
CREATE TABLE history_word_parts (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  first  BIGINT NOT NULL UNIQUE,
  last   BIGINT NOT NULL
);
ALTER TABLE history_words RENAME TO history_words_1;
-- Without messages, it gets the next ones.
INSERT INTO history_word_parts (number, first, last)
  SELECT 1, COALESCE(least, next), COALESCE((SELECT max(place) FROM history_messages), next + 131071)
  FROM (SELECT (SELECT min(place) FROM history_messages) AS least,
               COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) / 131072 * 131072 AS next);
