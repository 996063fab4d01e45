-- The full-text index in parts by place, for a page of a common word not to gather its messages of all time: `history_words_NUMBER` has
-- the words of the messages from `first` to `last`. The index there was is the first part; further ones are made by
-- store/history/words.rs, which also drops those whose messages are all gone.
CREATE TABLE history_word_parts (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  first  BIGINT NOT NULL UNIQUE,
  last   BIGINT NOT NULL
);
ALTER TABLE history_words RENAME TO history_words_1;
INSERT INTO history_word_parts (number, first, last)
  SELECT 1, COALESCE(min(place), 0), COALESCE(max(place), 131071) FROM history_messages;
