-- What somebody is called by the account, by WhatsApp, which has checked the name of a business, and by themselves. Which of these the one name
-- of before was is not known; the most it can be taken for is what they call themselves.
ALTER TABLE contacts RENAME COLUMN name TO push_name;
ALTER TABLE contacts ADD COLUMN saved_name TEXT;
ALTER TABLE contacts ADD COLUMN verified_name TEXT;
