//! Envelopes: bytes sealed with AES-256-GCM and bound to the place where they belong.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::system::master_key::KEY_BYTES;

/// Returns random bytes that nobody can guess.
pub(in crate::store) fn random_bytes<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system has random bytes once it runs programs");
    bytes
}

/// The place that an envelope is bound to: what it is, and where. Each part has its length before
/// it, so that no two places are the same bytes.
pub(in crate::store) struct Binding(Vec<u8>);

impl Binding {
    /// Begins with a title, which no other kind of envelope has.
    pub fn new(title: &str) -> Self {
        Self(Vec::with_capacity(128)).text(title)
    }

    pub fn text(mut self, part: &str) -> Self {
        self.0.extend((part.len() as u64).to_be_bytes());
        self.0.extend(part.as_bytes());
        self
    }

    pub fn number(mut self, part: i64) -> Self {
        self.0.extend(part.to_be_bytes());
        self
    }
}

/// A key that seals and opens. A nonce is random, so one key is good for four thousand million
/// envelopes.
pub(in crate::store) struct EnvelopeKey(LessSafeKey);

impl EnvelopeKey {
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the right length");
        Self(LessSafeKey::new(key))
    }

    /// Seals bytes behind a first byte, which says what opens them.
    pub fn seal(&self, first: u8, binding: &Binding, content: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random_bytes();
        let start = 1 + NONCE_LEN;
        let mut sealed = Vec::with_capacity(start + content.len() + AES_256_GCM.tag_len());
        sealed.push(first);
        sealed.extend(nonce);
        sealed.extend(content);
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&binding.0),
                &mut sealed[start..],
            )
            .expect("nothing that is sealed has gigabytes");
        sealed.extend(tag.as_ref());
        sealed
    }

    /// Opens what [`Self::seal`] has sealed for the same place; `None` if it is anything else.
    pub fn open(&self, binding: &Binding, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, content) = sealed.get(1..)?.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = content.to_vec();
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(&binding.0), &mut content);
        let length = opened.ok()?.len();
        content.truncate(length);
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(life: i64) -> Binding {
        Binding::new("test").number(life).text("key")
    }

    #[test]
    fn what_is_sealed_is_opened_at_its_place_with_its_key_alone() {
        let (key, other) = (EnvelopeKey::new(&[1; 32]), EnvelopeKey::new(&[2; 32]));
        for content in [&b""[..], b"secret", &[7; 10_000]] {
            let sealed = key.seal(3, &place(1), content);
            assert_eq!(sealed[0], 3);
            assert_eq!(sealed.len(), content.len() + 29);
            assert_eq!(key.open(&place(1), &sealed).as_deref(), Some(content));
            assert_eq!(key.open(&place(2), &sealed), None);
            assert_eq!(other.open(&place(1), &sealed), None);
            assert_ne!(
                key.seal(3, &place(1), content),
                sealed,
                "a nonce came twice"
            );
        }
    }

    #[test]
    fn every_bit_and_every_length_matters() {
        let key = EnvelopeKey::new(&[1; 32]);
        let sealed = key.seal(1, &place(1), b"secret");
        // The first byte chooses the key, so it is not part of the envelope.
        for bit in 8..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&place(1), &changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(&place(1), &sealed[..length]), None, "{length}");
        }
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(key.open(&place(1), &longer), None);
    }

    #[test]
    fn parts_of_a_place_cannot_be_moved_into_each_other() {
        let binding = |parts: &[&str]| {
            let all = parts.iter();
            all.fold(Binding::new("test"), |binding, part| binding.text(part))
                .0
        };
        assert_ne!(binding(&["ab", "c"]), binding(&["a", "bc"]));
        assert_ne!(binding(&["ab"]), binding(&["ab", ""]));
        assert_ne!(Binding::new("a").text("b").0, Binding::new("ab").0);
    }
}
