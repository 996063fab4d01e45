//! Identifiers the gateway makes up.

/// 26 characters of Crockford base 32, 128 random bits, behind a prefix that says what it names.
fn random(prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bits: u128 = rand::random();
    let mut id = String::from(prefix);
    for _ in 0..26 {
        id.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    id
}

/// Names one event over all its deliveries.
pub fn event_id() -> String {
    random("evt_")
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

/// Names one HTTP request, in its answer and in the log.
pub fn request_id() -> String {
    random("req_")
}

/// A WhatsApp message id, in the form WhatsApp Web gives them: `3EB0` and 18 hexadecimal digits, 72 random bits.
pub fn message_id() -> String {
    let random: [u8; 9] = rand::random();
    random.iter().fold(String::from("3EB0"), |id, byte| id + &format!("{byte:02X}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_long_enough_and_never_the_same() {
        let (one, two) = (super::event_id(), super::event_id());
        assert_eq!(one.len(), "evt_".len() + 26);
        assert_ne!(one, two);
    }
}
