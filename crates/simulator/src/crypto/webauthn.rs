//! Passkeys: the authenticator that holds one, and WhatsApp's check of what it signs (WebAuthn,
//! ES256).

use anyhow::{Context, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The party that passkeys of WhatsApp are for, and the page that may ask for them.
const RELYING_PARTY: &str = "whatsapp.com";
const ORIGIN: &str = "https://web.whatsapp.com";
/// Flags of authenticator data: a person was there, and proved to be the owner.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
/// Hash of the relying party, flags, and a counter.
const AUTHENTICATOR_DATA: usize = 37;
/// How long WhatsApp waits for an assertion.
const TIMEOUT_MS: u64 = 600_000;

/// A passkey of an account, as WhatsApp knows it.
pub struct Passkey {
    id: Vec<u8>,
    /// An uncompressed point on P-256.
    public_key: Vec<u8>,
    /// The private key, where the simulator's own authenticator holds it.
    key: Option<EcdsaKeyPair>,
}

/// A place where an authenticator may be asked for an assertion.
#[derive(Clone, Copy, Debug)]
pub struct AssertionPlace<'a> {
    /// The page that asks, such as `https://web.whatsapp.com`.
    pub origin: &'a str,
    /// The party the assertion is for, such as `whatsapp.com`.
    pub relying_party: &'a str,
    /// Whether a person was there.
    pub user_present: bool,
    /// Whether that person proved to be the owner.
    pub user_verified: bool,
}

impl Default for AssertionPlace<'_> {
    fn default() -> Self {
        Self {
            origin: ORIGIN,
            relying_party: RELYING_PARTY,
            user_present: true,
            user_verified: true,
        }
    }
}

impl Passkey {
    /// Creates a passkey in an authenticator of the simulator.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .map_err(|_| anyhow!("generating a key"))?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .map_err(|error| anyhow!("reading a generated key: {error}"))?;
        Ok(Self {
            id: rand::random::<[u8; 16]>().to_vec(),
            public_key: key.public_key().as_ref().to_vec(),
            key: Some(key),
        })
    }

    /// Reads a passkey of somebody else's authenticator: its id, and its public key as an
    /// uncompressed point, both in base64url.
    pub(crate) fn from_public(id: &str, public_key: &str) -> anyhow::Result<Self> {
        let decode = |what: &str, text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            bytes.with_context(|| format!("{what} is not base64url"))
        };
        let (id, public_key) = (decode("the id", id)?, decode("the public key", public_key)?);
        ensure!(!id.is_empty(), "the id is empty");
        ensure!(
            public_key.len() == 65 && public_key[0] == 4,
            "the public key is no uncompressed point on P-256: 04, and 64 bytes"
        );
        Ok(Self {
            id,
            public_key,
            key: None,
        })
    }

    /// Its id in base64url.
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.id)
    }

    /// The options with which WhatsApp asks for an assertion.
    pub(crate) fn request_options(&self, challenge: &[u8; 32]) -> Value {
        json!({
            "challenge": URL_SAFE_NO_PAD.encode(challenge),
            "timeout": TIMEOUT_MS,
            "rpId": RELYING_PARTY,
            "allowCredentials": [{"type": "public-key", "id": self.id()}],
            "userVerification": "required",
        })
    }

    /// Makes an assertion for these options, as `navigator.credentials.get` in WhatsApp's page does.
    pub fn signs(&self, options: &Value) -> anyhow::Result<Value> {
        self.signs_in(options, AssertionPlace::default())
    }

    /// Makes an assertion for these options in any place.
    pub fn signs_in(&self, options: &Value, place: AssertionPlace<'_>) -> anyhow::Result<Value> {
        let key = self
            .key
            .as_ref()
            .context("another authenticator holds this passkey")?;
        let challenge = options["challenge"].as_str().context("no challenge")?;
        let client_data = json!({
            "type": "webauthn.get",
            "challenge": challenge,
            "origin": place.origin,
            "crossOrigin": false,
        })
        .to_string();
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags =
            flag(place.user_present, USER_PRESENT) | flag(place.user_verified, USER_VERIFIED);
        let mut authenticator_data = Sha256::digest(place.relying_party).to_vec();
        authenticator_data.push(flags);
        authenticator_data.extend([0; 4]);
        let signed = [&authenticator_data[..], &Sha256::digest(&client_data)].concat();
        let signature = key
            .sign(&SystemRandom::new(), &signed)
            .map_err(|_| anyhow!("signing"))?;
        Ok(json!({
            "id": self.id(),
            "rawId": self.id(),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(&client_data),
                "authenticatorData": URL_SAFE_NO_PAD.encode(&authenticator_data),
                "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
                "userHandle": URL_SAFE_NO_PAD.encode(b"owner"),
            },
        }))
    }

    /// Checks an assertion as a relying party has to: the passkey, the challenge, the page, the
    /// party, the person, and the signature over all of it.
    pub(crate) fn check_assertion(
        &self,
        credential_id: &[u8],
        assertion: &[u8],
        challenge: &[u8; 32],
    ) -> anyhow::Result<()> {
        let assertion: Value = serde_json::from_slice(assertion).context("it is not JSON")?;
        let field = |value: &Value, name: &str| {
            let text = value[name].as_str();
            let text = text.with_context(|| format!("{name} is missing"))?;
            let bytes = URL_SAFE_NO_PAD.decode(text);
            bytes.with_context(|| format!("{name} is not base64url"))
        };
        ensure!(
            assertion["type"] == "public-key",
            "its type is not public-key"
        );
        let named = [field(&assertion, "id")?, field(&assertion, "rawId")?];
        ensure!(
            credential_id == self.id && named.iter().all(|id| *id == self.id),
            "it is of a passkey that the account does not have"
        );
        let response = &assertion["response"];
        let client_data = field(response, "clientDataJSON")?;
        let authenticator_data = field(response, "authenticatorData")?;
        let signature = field(response, "signature")?;
        let said: Value =
            serde_json::from_slice(&client_data).context("clientDataJSON is not JSON")?;
        ensure!(said["type"] == "webauthn.get", "it is no assertion");
        ensure!(
            field(&said, "challenge")? == challenge,
            "it is for another challenge"
        );
        ensure!(said["origin"] == ORIGIN, "another page asked for it");
        ensure!(
            said.get("crossOrigin").is_none_or(|cross| *cross == false),
            "a frame of another page asked for it"
        );
        ensure!(
            authenticator_data.len() >= AUTHENTICATOR_DATA,
            "the authenticator data is too short"
        );
        ensure!(
            authenticator_data[..32] == *Sha256::digest(RELYING_PARTY),
            "it is for another party"
        );
        let required = USER_PRESENT | USER_VERIFIED;
        ensure!(
            authenticator_data[32] & required == required,
            "nobody was there to confirm it"
        );
        let signed = [&authenticator_data[..], &Sha256::digest(&client_data)].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public_key)
            .verify(&signed, &signature)
            .map_err(|_| anyhow!("its signature is wrong"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An assertion with one thing wrong, and the reason for its refusal.
    fn refusal(change: impl FnOnce(&Passkey, &Value) -> Value) -> String {
        let (passkey, challenge) = (Passkey::generate().unwrap(), [7; 32]);
        let assertion = change(&passkey, &passkey.request_options(&challenge));
        let bytes = assertion.to_string().into_bytes();
        let checked = passkey.check_assertion(&passkey.id, &bytes, &challenge);
        checked.map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }

    #[test]
    fn an_assertion_counts_only_with_everything_right() {
        let place = AssertionPlace::default;
        let signed_in = |place: AssertionPlace<'static>| {
            move |passkey: &Passkey, options: &Value| passkey.signs_in(options, place).unwrap()
        };
        assert_eq!(refusal(signed_in(place())), "none");
        let origin = "https://web.whatsapp.com.example";
        assert_eq!(
            refusal(signed_in(AssertionPlace { origin, ..place() })),
            "another page asked for it"
        );
        let relying_party = "web.whatsapp.com";
        let elsewhere = AssertionPlace {
            relying_party,
            ..place()
        };
        assert_eq!(refusal(signed_in(elsewhere)), "it is for another party");
        let alone = AssertionPlace {
            user_present: false,
            ..place()
        };
        assert_eq!(refusal(signed_in(alone)), "nobody was there to confirm it");
        let anybody = AssertionPlace {
            user_verified: false,
            ..place()
        };
        assert_eq!(
            refusal(signed_in(anybody)),
            "nobody was there to confirm it"
        );
        assert_eq!(
            refusal(|passkey, _| passkey.signs(&passkey.request_options(&[8; 32])).unwrap()),
            "it is for another challenge"
        );
        assert_eq!(
            refusal(|_, options| Passkey::generate().unwrap().signs(options).unwrap()),
            "it is of a passkey that the account does not have"
        );
        assert_eq!(
            refusal(|passkey, options| {
                let mut assertion = passkey.signs(options).unwrap();
                let other = Passkey::generate().unwrap().signs(options).unwrap();
                assertion["response"]["signature"] = other["response"]["signature"].clone();
                assertion
            }),
            "its signature is wrong"
        );
    }
}
