//! Webhook signatures according to Standard Webhooks, which prove the sender to a receiver. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Prefix of a secret, in settings and in receivers' code.
const SECRET_PREFIX: &str = "whsec_";

/// A secret shared with a receiver. Never shown.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Parses `whsec_` and 24 to 64 bytes of base64. The error explains the mistake without showing
    /// the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "must be whsec_ and 24 to 64 bytes of base64, as from `echo whsec_$(openssl rand -base64 32)`";
        let encoded = text
            .strip_prefix(SECRET_PREFIX)
            .ok_or_else(|| format!("{form}; whsec_ is missing"))?;
        let key = STANDARD
            .decode(encoded)
            .map_err(|_| format!("{form}; this is no base64"))?;
        if !(24..=64).contains(&key.len()) {
            return Err(format!("{form}; these are {} bytes", key.len()));
        }
        Hmac::new_from_slice(&key)
            .map(Self)
            .map_err(|_| form.to_owned())
    }

    /// Formats random bytes as a secret that [`Self::parse`] reads.
    pub fn format_secret(bytes: [u8; 32]) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))
    }

    /// Returns one signature for the header `webhook-signature`, over the event's id, the time of
    /// this attempt (seconds since 1970) and the body.
    pub(crate) fn sign_event(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = self.0.clone();
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signing_key::*;

    #[test]
    fn the_worked_example_of_the_specification() {
        // From the specification's own test data.
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign_event(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn bytes_make_a_secret() {
        let secret = SigningKey::format_secret([7; 32]);
        assert!(secret.starts_with("whsec_BwcH"), "{secret}");
        SigningKey::parse(&secret).unwrap();
    }

    #[test]
    fn a_wrong_secret_is_explained_and_not_repeated() {
        for (text, words) in [
            ("abc", "missing"),
            ("whsec_!!", "no base64"),
            ("whsec_c2hvcnQ=", "5 bytes"),
        ] {
            let error = SigningKey::parse(text).unwrap_err();
            assert!(
                error.contains(words) && !error.contains("c2hvcnQ"),
                "{error}"
            );
        }
    }
}
