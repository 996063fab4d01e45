//! The trusted-contact tokens of a session that the engine asks for before each message it sends, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use whatsapp_rust::wacore::store::traits::TcTokenEntry;

/// Contacts remembered at most, 100 bytes each. When they are more, all are asked for again.
const MOST: usize = 1_000;

/// What the session's file says of each contact that was asked for; most have no token.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_contact: HashMap<String, Option<TcTokenEntry>>,
    /// Goes up with every change of the file.
    version: u64,
}

impl Tokens {
    /// What is known of a contact, or the version that the file has now.
    pub fn find(&self, contact: &str) -> Result<Option<TcTokenEntry>, u64> {
        let known = self.lock();
        known.by_contact.get(contact).cloned().ok_or(known.version)
    }

    /// Remembers what the file said, unless it was changed meanwhile.
    pub fn remember(&self, contact: &str, token: Option<TcTokenEntry>, version: u64) {
        let mut known = self.lock();
        if known.version == version {
            if known.by_contact.len() >= MOST {
                known.by_contact.clear();
            }
            known.by_contact.insert(contact.to_owned(), token);
        }
    }

    /// The file was changed.
    pub fn forget(&self) {
        let mut known = self.lock();
        known.by_contact.clear();
        known.version += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered() {
        let tokens = Tokens::default();
        let version = tokens.find("1").unwrap_err();
        tokens.remember("1", None, version);
        assert!(tokens.find("1").is_ok());
        let version = tokens.find("2").unwrap_err();
        tokens.forget();
        tokens.remember("2", None, version);
        assert!(tokens.find("1").is_err() && tokens.find("2").is_err());
    }

    #[test]
    fn however_many_contacts_there_are_few_are_remembered() {
        let tokens = Tokens::default();
        for number in 0..=MOST {
            tokens.remember(&number.to_string(), None, 0);
        }
        assert_eq!(tokens.lock().by_contact.len(), 1);
    }
}
