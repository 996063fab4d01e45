-- The username that somebody chose on WhatsApp, where WhatsApp tells it.
ALTER TABLE contacts ADD COLUMN username TEXT;
