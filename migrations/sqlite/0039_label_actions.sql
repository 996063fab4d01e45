-- The whole action of a label, as a device of the account wrote it: it has fields that only phones use, and a change of the name
-- must not lose them. Every account's labels are read again, to have the actions of all.
ALTER TABLE labels ADD COLUMN action BLOB;
DELETE FROM labels_read;
