-- Where a poll was asked, so that votes on it go nowhere else; NULL: nobody noted it.
ALTER TABLE polls ADD COLUMN chat TEXT;
