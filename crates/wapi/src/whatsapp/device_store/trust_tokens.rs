//! Cache of a session's trusted-contact tokens, which the engine asks for before each message it
//! sends.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use whatsapp_rust::wacore::store::traits::TcTokenEntry;

/// Maximum number of contacts remembered, 100 bytes each. A full cache is cleared.
const MAX_CONTACTS: usize = 1_000;

/// Saved entries for the contacts asked for; most have no token.
#[derive(Default)]
pub(crate) struct TokenCache(Mutex<CachedTokens>);

#[derive(Default)]
struct CachedTokens {
    by_contact: HashMap<String, Option<TcTokenEntry>>,
    /// Incremented with every change of the file.
    version: u64,
}

impl TokenCache {
    /// Returns a contact's entry, or `Err` with the current version of the file if it is not
    /// cached.
    pub fn find_token(&self, contact: &str) -> Result<Option<TcTokenEntry>, u64> {
        let known = self.lock();
        known.by_contact.get(contact).cloned().ok_or(known.version)
    }

    /// Remembers an entry read from the file, unless the file has changed since `version`.
    pub fn remember_token(&self, contact: &str, token: Option<TcTokenEntry>, version: u64) {
        let mut known = self.lock();
        if known.version == version {
            if known.by_contact.len() >= MAX_CONTACTS {
                known.by_contact.clear();
            }
            known.by_contact.insert(contact.to_owned(), token);
        }
    }

    /// Clears the cache after a change of the file.
    pub fn clear_tokens(&self) {
        let mut known = self.lock();
        known.by_contact.clear();
        known.version += 1;
    }

    fn lock(&self) -> MutexGuard<'_, CachedTokens> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::device_store::trust_tokens::*;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered() {
        let tokens = TokenCache::default();
        let version = tokens.find_token("1").unwrap_err();
        tokens.remember_token("1", None, version);
        assert!(tokens.find_token("1").is_ok());
        let version = tokens.find_token("2").unwrap_err();
        tokens.clear_tokens();
        tokens.remember_token("2", None, version);
        assert!(tokens.find_token("1").is_err() && tokens.find_token("2").is_err());
    }

    #[test]
    fn however_many_contacts_there_are_few_are_remembered() {
        let tokens = TokenCache::default();
        for number in 0..=MAX_CONTACTS {
            tokens.remember_token(&number.to_string(), None, 0);
        }
        assert_eq!(tokens.lock().by_contact.len(), 1);
    }
}
