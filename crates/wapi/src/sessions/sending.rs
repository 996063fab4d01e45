//! Sends through a session that is online.

use super::{SessionName, Sessions, Status};
use crate::message::{ChatId, Outgoing};
use crate::whatsapp::{SendFailure, Sent};

/// Why a session did not send.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("there is no session of this name")]
    Unknown,
    #[error("the session is not online")]
    NotOnline { status: Status, reason: Option<String> },
    #[error(transparent)]
    Failure(SendFailure),
}

impl Sessions {
    /// Sends a message and waits until WhatsApp has taken it.
    pub async fn send(&self, name: &SessionName, to: &ChatId, message: Outgoing) -> Result<Sent, SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        let offline = || {
            let state = session.state();
            SendError::NotOnline { status: state.status, reason: state.reason }
        };
        let link = session.link().filter(|_| session.state().status == Status::Online).ok_or_else(offline)?;
        match link.send(to, message, self.inner.around.whatsapp_timeout).await {
            Err(SendFailure::Offline) => Err(offline()),
            result => result.map_err(SendError::Failure),
        }
    }

    /// Whether a message could be sent right now; worth asking before fetching what to send.
    pub fn is_ready(&self, name: &SessionName) -> Result<(), SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        match session.state() {
            state if state.status == Status::Online => Ok(()),
            state => Err(SendError::NotOnline { status: state.status, reason: state.reason }),
        }
    }
}
