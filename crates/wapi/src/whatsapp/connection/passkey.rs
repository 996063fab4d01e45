//! The passkey step of linking: answers for WhatsApp.

use std::time::Duration;

use whatsapp_rust::passkey::{Assertion, PasskeyError, build_webauthn_assertion_json};

use super::link::Link;
use super::link_events::LinkEvent;
use crate::model::account::webauthn::PasskeyAssertion;
use crate::whatsapp::request_error::RequestError;

impl Link {
    /// Sends an assertion in the form of WhatsApp's own page. [`LinkEvent::PasskeyCode`] follows.
    /// A failure ends the link, because WhatsApp asks for each answer once.
    pub async fn answer_passkey(
        &self,
        assertion: PasskeyAssertion,
        limit: Duration,
    ) -> Result<(), RequestError> {
        let assertion_json = build_webauthn_assertion_json(
            &assertion.credential_id,
            &assertion.client_data_json,
            &assertion.authenticator_data,
            &assertion.signature,
            assertion.user_handle.as_deref(),
        );
        let assertion = Assertion {
            assertion_json,
            credential_id: assertion.credential_id,
        };
        let sending = self.client.send_passkey_response(assertion);
        self.finish_passkey_step(self.clock.timeout(limit, sending).await, limit)
    }

    /// Confirms that the phone shows the same code. [`LinkEvent::Paired`] follows.
    pub async fn confirm_passkey_code(&self, limit: Duration) -> Result<(), RequestError> {
        let sending = self.client.send_passkey_confirmation();
        self.finish_passkey_step(self.clock.timeout(limit, sending).await, limit)
    }

    fn finish_passkey_step<E>(
        &self,
        sent: Result<Result<(), PasskeyError>, E>,
        limit: Duration,
    ) -> Result<(), RequestError> {
        let error = match sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => RequestError::Rejected(explain_passkey_error(&error.to_string())),
            Err(_) => RequestError::Timeout(limit),
        };
        self.reports.send(LinkEvent::PasskeyFailed {
            reason: error.to_string(),
        });
        Err(error)
    }
}

/// Returns the part of the engine's text that WhatsApp said.
pub(super) fn explain_passkey_error(text: &str) -> String {
    let said = text.rsplit("iq failed: ").next().unwrap_or(text);
    said.trim_start_matches("passkey linking flow error: ")
        .trim_start_matches("received a server error response: ")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::explain_passkey_error;

    #[test]
    fn only_the_words_of_whatsapp_are_shown() {
        let whole = "passkey linking flow error: passkey_prologue iq failed: passkey linking flow error: received a \
                     server error response: code=403, text='forbidden'";
        assert_eq!(explain_passkey_error(whole), "code=403, text='forbidden'");
        assert_eq!(
            explain_passkey_error("missing primary_ephemeral_identity"),
            "missing primary_ephemeral_identity"
        );
    }
}
