//! Linking with a passkey: the steps that the owner of the account takes.

use std::sync::Arc;

use crate::model::account::webauthn::{AssertionError, PasskeyAssertion};
use crate::model::session_name::SessionName;
use crate::sessions::{PasskeyState, PasskeyStep, Session, SessionError, Sessions};
use crate::whatsapp::{Link, RequestError};

impl Sessions {
    /// Sends a passkey's assertion to WhatsApp, which asks for one answer only.
    pub async fn answer_passkey(
        &self,
        name: &SessionName,
        assertion: PasskeyAssertion,
    ) -> Result<PasskeyState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let (link, claimed) = claim_step(&session, PasskeyStep::Assertion, |passkey| {
            assertion.check(&passkey.options)?;
            Ok(PasskeyStep::Checking)
        })?;
        let limit = self.inner.deps.whatsapp_timeout;
        let sent = link.answer_passkey(assertion, limit).await;
        passkey_answer(&session, claimed, sent)
    }

    /// Confirms that the phone shows the same code.
    pub async fn confirm_passkey(&self, name: &SessionName) -> Result<PasskeyState, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let (link, claimed) = claim_step(&session, PasskeyStep::Confirmation, |_| {
            Ok(PasskeyStep::Linking)
        })?;
        let limit = self.inner.deps.whatsapp_timeout;
        let sent = link.confirm_passkey_code(limit).await;
        passkey_answer(&session, claimed, sent)
    }
}

/// Goes on to the next step of the passkey, for one caller only.
fn claim_step(
    session: &Session,
    due: PasskeyStep,
    next: impl FnOnce(&PasskeyState) -> Result<PasskeyStep, AssertionError>,
) -> Result<(Arc<Link>, PasskeyState), SessionError> {
    let link = session.link();
    let mut claimed = Err(SessionError::AlreadyPaired);
    session.update_state(|state| {
        if state.paired {
            return;
        }
        let passkey = state.passkey.as_ref();
        let step = match passkey.filter(|passkey| passkey.step == due) {
            None => Err(SessionError::UnexpectedPasskeyStep(explain_step(passkey))),
            Some(passkey) => next(passkey).map_err(SessionError::from),
        };
        claimed = step.map(|step| {
            state.advance_passkey(step, None, session.now());
            state.passkey.clone()
        });
    });
    let claimed = claimed?.ok_or(SessionError::NotFound)?;
    let link = link.ok_or(SessionError::Whatsapp(RequestError::Offline))?;
    Ok((link, claimed))
}

fn explain_step(passkey: Option<&PasskeyState>) -> &'static str {
    match passkey.map(|passkey| passkey.step) {
        None => "WhatsApp does not ask this session for a passkey",
        Some(PasskeyStep::Assertion) => "WhatsApp waits for an assertion: POST …/passkey",
        Some(PasskeyStep::Checking) => {
            "an assertion was sent already; GET …/passkey shows the code to confirm when it is there"
        }
        Some(PasskeyStep::Confirmation) => {
            "the assertion was accepted already; compare the code, and POST …/passkey/confirm"
        }
        Some(PasskeyStep::Linking) => "the code was confirmed already",
    }
}

/// Returns the state after a step that WhatsApp has taken.
fn passkey_answer(
    session: &Session,
    claimed: PasskeyState,
    sent: Result<(), RequestError>,
) -> Result<PasskeyState, SessionError> {
    match sent {
        // The next step may be due already, or the session linked.
        Ok(()) => Ok(session.state().passkey.unwrap_or(claimed)),
        Err(RequestError::Rejected(said)) => Err(SessionError::PasskeyRefused(format!(
            "WhatsApp refused it ({said}); link the session again"
        ))),
        Err(error) => Err(error.into()),
    }
}
