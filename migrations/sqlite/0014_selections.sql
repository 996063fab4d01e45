-- How many options of a poll one person may choose; 0: it is an event. What is not known any more is taken for all of them.
ALTER TABLE polls ADD COLUMN max_selections BIGINT NOT NULL DEFAULT 1000;
UPDATE polls SET max_selections = 0 WHERE options = '["going","not_going","maybe"]';
