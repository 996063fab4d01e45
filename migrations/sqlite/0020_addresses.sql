-- Whether an endpoint may lead wherever it does: 1 for those that were made when every address was open, until they are given another one;
-- nothing yet for those that are there when the program is brought up to date.
ALTER TABLE endpoints ADD COLUMN keeps_address BIGINT;
