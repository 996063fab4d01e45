//! Identifiers that the gateway generates.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::model::event::MessageKey;

/// Returns `prefix` and 26 characters of Crockford base 32: 128 random bits.
fn random_id(prefix: &str) -> String {
    encode_id(prefix, rand::random())
}

/// Encodes a number; the texts sort like the numbers.
fn encode_id(prefix: &str, bits: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digits = (0..26)
        .rev()
        .map(|index| char::from(ALPHABET[((bits >> (5 * index)) & 31) as usize]));
    prefix.chars().chain(digits).collect()
}

/// Returns an event id, the same in all deliveries of the event. Later ids sort behind earlier
/// ones, so that an index of them grows at its end: 48 bits of milliseconds since 1970, and 80
/// random bits.
pub fn new_event_id(now: Timestamp) -> String {
    let (milliseconds, dice) = (now.as_millisecond().unsigned_abs(), rand::random::<u128>());
    encode_id("evt_", u128::from(milliseconds) << 80 | dice >> 48)
}

/// Returns the id of an API key.
pub fn new_api_key_id() -> String {
    random_id("key_")
}

/// Returns an API key itself: the secret that callers present.
pub fn new_api_key() -> String {
    random_id("wapi_")
}

/// Returns the id of a connect link.
pub fn new_connect_link_id() -> String {
    random_id("cln_")
}

/// Returns the token of a connect link: the secret in its path.
pub fn new_connect_token() -> String {
    random_id("")
}

/// Returns the id of an endpoint that a caller created.
pub fn new_webhook_id() -> String {
    random_id("whk_")
}

/// Returns the id of a message's media file; the same each time WhatsApp delivers that message.
pub fn message_media_id(session: &str, message: &MessageKey) -> String {
    let mut hash = Sha256::new();
    for part in [session, &message.chat, &message.sender, &message.id] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let (bits, _) = hash
        .split_first_chunk::<16>()
        .expect("SHA-256 is longer than that");
    encode_id("med_", u128::from_be_bytes(*bits))
}

/// Returns the id of an uploaded file.
pub fn new_media_id() -> String {
    random_id("med_")
}

/// Returns the id of a data folder.
pub fn new_folder_id() -> String {
    random_id("fld_")
}

/// Returns a reference for a payment request whose sender gives none: 11 characters, like the ones
/// phones generate.
pub fn new_payment_reference() -> String {
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    (0..11)
        .map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]))
        .collect()
}

/// Encodes bytes, such as a hash, as lower-case hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the id of an HTTP request, for its response and the log.
pub fn new_request_id() -> String {
    random_id("req_")
}

/// Returns a WhatsApp message id in the form of WhatsApp Web: `3EB0` and 18 hexadecimal digits, 72
/// random bits.
pub fn new_message_id() -> String {
    let random: [u8; 9] = rand::random();
    random
        .iter()
        .fold(String::from("3EB0"), |id, byte| id + &format!("{byte:02X}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_long_enough_and_never_the_same() {
        let (one, two) = (super::new_request_id(), super::new_request_id());
        assert_eq!(one.len(), "req_".len() + 26);
        assert_ne!(one, two);
    }

    #[test]
    fn ids_of_later_events_sort_behind_those_of_earlier_ones() {
        let at = |second| super::new_event_id(jiff::Timestamp::from_second(second).unwrap());
        let ids = [at(0), at(1), at(1_800_000_000), at(4_000_000_000)];
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == "evt_".len() + 26));
        assert_ne!(at(5), at(5));
    }
}
