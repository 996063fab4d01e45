-- Asking WhatsApp about people, and sessions to prove themselves, needs a scope of its own. Keys that could do so before still can.
UPDATE api_keys SET scopes = scopes || ',ask' WHERE ',' || scopes || ',' LIKE '%,read,%';
