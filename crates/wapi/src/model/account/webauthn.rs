//! Passkeys (WebAuthn): the options with which WhatsApp asks for an assertion, and a check of the
//! answer before it leaves. Pure.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

/// The time that WhatsApp gives a person where its options name none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// The party that assertions are for where WhatsApp's options name none.
const DEFAULT_RELYING_PARTY: &str = "web.whatsapp.com";
/// Hash of the relying party, flags, and a counter.
const SHORTEST_AUTHENTICATOR_DATA: usize = 37;
/// Flag of authenticator data: a person was there.
const USER_PRESENT: u8 = 0x01;
/// Flag of authenticator data: that person proved to be the owner.
const USER_VERIFIED: u8 = 0x04;

/// WhatsApp's options for `navigator.credentials.get`, as it sent them.
#[derive(Clone, PartialEq, Eq)]
pub struct PasskeyOptions {
    /// The verbatim object.
    pub json: Value,
    challenge: Vec<u8>,
    relying_party: String,
    /// Ids of the passkeys that may answer; all, if there are none.
    allowed: Vec<Vec<u8>>,
    requires_verification: bool,
    /// The time for an answer.
    pub timeout: Duration,
}

impl std::fmt::Debug for PasskeyOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PasskeyOptions")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl PasskeyOptions {
    /// Returns `None` if the text is not such options.
    pub fn parse(text: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let challenge = decode(json.get("challenge")?.as_str()?)?;
        let relying_party = json.get("rpId").and_then(Value::as_str);
        let allowed = json.get("allowCredentials").and_then(Value::as_array);
        let allowed: Option<Vec<_>> = allowed
            .into_iter()
            .flatten()
            .map(|passkey| decode(passkey.get("id")?.as_str()?))
            .collect();
        let timeout = json.get("timeout").and_then(Value::as_u64);
        Some(Self {
            challenge,
            relying_party: relying_party.unwrap_or(DEFAULT_RELYING_PARTY).to_owned(),
            allowed: allowed?,
            requires_verification: json
                .get("userVerification")
                .is_some_and(|it| it == "required"),
            timeout: timeout.map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            json,
        })
    }
}

/// A passkey's answer.
#[derive(Clone, PartialEq, Eq)]
pub struct PasskeyAssertion {
    pub credential_id: Vec<u8>,
    pub client_data_json: Vec<u8>,
    pub authenticator_data: Vec<u8>,
    pub signature: Vec<u8>,
    pub user_handle: Option<Vec<u8>>,
}

/// A fault of an assertion, with the field that has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {detail}")]
pub struct AssertionError {
    pub field: &'static str,
    pub detail: &'static str,
}

const CLIENT_DATA: &str = "assertion.response.clientDataJSON";
const AUTHENTICATOR_DATA: &str = "assertion.response.authenticatorData";

impl PasskeyAssertion {
    /// Checks it against the options it answers. Only WhatsApp can check the signature.
    pub fn check(&self, options: &PasskeyOptions) -> Result<(), AssertionError> {
        let refuse = |field, detail| Err(AssertionError { field, detail });
        if !options.allowed.is_empty() && !options.allowed.contains(&self.credential_id) {
            return refuse(
                "assertion.id",
                "is not one of the passkeys in the options; use a passkey of this account",
            );
        }
        let said: Value = serde_json::from_slice(&self.client_data_json).unwrap_or_default();
        let said = |name: &str| said.get(name).and_then(Value::as_str);
        if said("type") != Some("webauthn.get") {
            return refuse(
                CLIENT_DATA,
                "is not the data of an assertion: its `type` must be `webauthn.get`",
            );
        }
        if said("challenge").and_then(decode).as_ref() != Some(&options.challenge) {
            return refuse(
                CLIENT_DATA,
                "is for another challenge; answer the current options of GET …/passkey",
            );
        }
        if !said("origin").is_some_and(|origin| is_page_of(origin, &options.relying_party)) {
            return refuse(
                CLIENT_DATA,
                "was not made in a page of https://web.whatsapp.com",
            );
        }
        if self.authenticator_data.len() < SHORTEST_AUTHENTICATOR_DATA {
            return refuse(AUTHENTICATOR_DATA, "is shorter than 37 bytes");
        }
        if self.authenticator_data[..32] != *Sha256::digest(&options.relying_party) {
            return refuse(AUTHENTICATOR_DATA, "is for another site than WhatsApp's");
        }
        if self.authenticator_data[32] & USER_PRESENT == 0 {
            return refuse(AUTHENTICATOR_DATA, "shows that nobody confirmed it");
        }
        if options.requires_verification && self.authenticator_data[32] & USER_VERIFIED == 0 {
            return refuse(
                AUTHENTICATOR_DATA,
                "shows no verification of the owner (PIN, finger, or face), which the options require",
            );
        }
        Ok(())
    }
}

/// Whether an origin is an `https` page of this host or below it.
fn is_page_of(origin: &str, relying_party: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    url.scheme() == "https"
        && url.host_str().is_some_and(|host| {
            host.strip_suffix(relying_party)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
}

/// Decodes base64url, with or without padding.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::model::account::webauthn::*;

    fn options() -> PasskeyOptions {
        let options = json!({
            "challenge": "AQID",
            "rpId": "web.whatsapp.com",
            "allowCredentials": [{"type": "public-key", "id": "CQ"}],
        });
        PasskeyOptions::parse(&options.to_string()).unwrap()
    }

    fn assertion(client_data: Value) -> PasskeyAssertion {
        let mut authenticator_data = Sha256::digest("web.whatsapp.com").to_vec();
        authenticator_data.extend([5, 0, 0, 0, 0]);
        PasskeyAssertion {
            credential_id: vec![9],
            client_data_json: client_data.to_string().into_bytes(),
            authenticator_data,
            signature: vec![1],
            user_handle: None,
        }
    }

    fn client_data() -> Value {
        json!({"type": "webauthn.get", "challenge": "AQID", "origin": "https://web.whatsapp.com"})
    }

    #[test]
    fn an_assertion_for_something_else_is_refused_with_its_field() {
        let check = |assertion: &PasskeyAssertion| match assertion.check(&options()) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(check(&assertion(client_data())), "fine");
        for (name, value, fault) in [
            ("type", "webauthn.create", "is not the data of an assertion"),
            ("challenge", "AQIE", "is for another challenge"),
            (
                "origin",
                "https://notweb.whatsapp.com",
                "was not made in a page",
            ),
            (
                "origin",
                "http://web.whatsapp.com",
                "was not made in a page",
            ),
        ] {
            let mut wrong = client_data();
            wrong[name] = json!(value);
            let said = check(&assertion(wrong));
            assert!(
                said.starts_with(&format!("{CLIENT_DATA} {fault}")),
                "{said}"
            );
        }
        let mut other = assertion(client_data());
        other.credential_id = vec![8];
        assert!(check(&other).starts_with("assertion.id is not one of the passkeys"));
        let mut absent = assertion(client_data());
        absent.authenticator_data[32] = 4;
        assert_eq!(
            check(&absent),
            format!("{AUTHENTICATOR_DATA} shows that nobody confirmed it")
        );
        let mut elsewhere = assertion(client_data());
        elsewhere.authenticator_data[0] ^= 1;
        assert_eq!(
            check(&elsewhere),
            format!("{AUTHENTICATOR_DATA} is for another site than WhatsApp's")
        );
        let mut short = assertion(client_data());
        short.authenticator_data.truncate(36);
        assert_eq!(
            check(&short),
            format!("{AUTHENTICATOR_DATA} is shorter than 37 bytes")
        );
    }

    #[test]
    fn an_owner_who_was_not_verified_is_refused_where_that_is_required() {
        let mut unverified = assertion(client_data());
        unverified.authenticator_data[32] = USER_PRESENT;
        let mut options = options();
        for (verification, is_fine) in [
            ("required", false),
            ("preferred", true),
            ("discouraged", true),
        ] {
            options.json["userVerification"] = json!(verification);
            let asked = PasskeyOptions::parse(&options.json.to_string()).unwrap();
            let checked = unverified.check(&asked);
            assert_eq!(checked.is_ok(), is_fine, "{verification}: {checked:?}");
            assert_eq!(assertion(client_data()).check(&asked), Ok(()));
        }
    }

    #[test]
    fn options_without_a_challenge_or_with_unreadable_passkeys_are_none() {
        assert_eq!(options().timeout, Duration::from_secs(600));
        for text in [
            "",
            "{}",
            r#"{"challenge": ""}"#,
            r#"{"challenge": "AQID", "allowCredentials": [{"id": 7}]}"#,
        ] {
            assert_eq!(PasskeyOptions::parse(text), None, "{text}");
        }
    }
}
