//! Identifiers the gateway makes up.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::event::MessageKey;

/// 26 characters of Crockford base 32, 128 random bits, behind a prefix that says what it names.
fn random(prefix: &str) -> String {
    spelt(prefix, rand::random())
}

/// In the order of the numbers.
fn spelt(prefix: &str, bits: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digits = (0..26)
        .rev()
        .map(|place| char::from(ALPHABET[((bits >> (5 * place)) & 31) as usize]));
    prefix.chars().chain(digits).collect()
}

/// Names one event over all its deliveries. Later ones sort behind earlier ones, so that an index of them grows at its end: 48 bits of
/// milliseconds since 1970, and 80 random ones.
pub fn event_id(now: Timestamp) -> String {
    let (milliseconds, dice) = (now.as_millisecond().unsigned_abs(), rand::random::<u128>());
    spelt("evt_", u128::from(milliseconds) << 80 | dice >> 48)
}

/// Names one API key.
pub fn api_key_id() -> String {
    random("key_")
}

/// An API key itself: what callers show.
pub fn api_key() -> String {
    random("wapi_")
}

/// Names an endpoint that callers have made.
pub fn webhook_id() -> String {
    random("whk_")
}

/// Names the file of a message; the same whenever WhatsApp delivers that message.
pub fn media_id_of(session: &str, message: &MessageKey) -> String {
    let mut hash = Sha256::new();
    for part in [session, &message.chat, &message.sender, &message.id] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let (bits, _) = hash
        .split_first_chunk::<16>()
        .expect("SHA-256 is longer than that");
    spelt("med_", u128::from_be_bytes(*bits))
}

/// Names a file that somebody uploaded.
pub fn media_id() -> String {
    random("med_")
}

/// Names one data folder.
pub fn folder_id() -> String {
    random("fld_")
}

/// What a request to pay is known by where its sender gives it no name: 11 characters, as phones make them up.
pub fn payment_reference() -> String {
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (0..11)
        .map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]))
        .collect()
}

/// Bytes as a lower-case text, such as of hashes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names one HTTP request, in its answer and in the log.
pub fn request_id() -> String {
    random("req_")
}

/// A WhatsApp message id, in the form WhatsApp Web gives them: `3EB0` and 18 hexadecimal digits, 72 random bits.
pub fn message_id() -> String {
    let random: [u8; 9] = rand::random();
    random
        .iter()
        .fold(String::from("3EB0"), |id, byte| id + &format!("{byte:02X}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_long_enough_and_never_the_same() {
        let (one, two) = (super::request_id(), super::request_id());
        assert_eq!(one.len(), "req_".len() + 26);
        assert_ne!(one, two);
    }

    #[test]
    fn ids_of_later_events_sort_behind_those_of_earlier_ones() {
        let at = |second| super::event_id(jiff::Timestamp::from_second(second).unwrap());
        let ids = [at(0), at(1), at(1_800_000_000), at(4_000_000_000)];
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == "evt_".len() + 26));
        assert_ne!(at(5), at(5));
    }
}
