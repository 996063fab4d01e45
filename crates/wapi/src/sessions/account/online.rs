//! A session that is online, for requests to WhatsApp.

use std::ops::Deref;
use std::sync::Arc;

use crate::model::session_name::SessionName;
use crate::sessions::{Session, SessionError, SessionPhase, Sessions};
use crate::whatsapp::Link;

/// A session that was online a moment ago. Requests to WhatsApp are the methods of its [`Link`];
/// they fail with [`RequestError::Offline`](crate::whatsapp::RequestError::Offline) if the
/// connection has been lost since.
pub struct OnlineSession {
    pub session: Arc<Session>,
    link: Arc<Link>,
}

impl Deref for OnlineSession {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Sessions {
    /// Returns a session that is online.
    pub fn online(&self, name: &SessionName) -> Result<OnlineSession, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let state = session.state();
        match session.link() {
            Some(link) if state.status == SessionPhase::Online => {
                Ok(OnlineSession { session, link })
            }
            _ if !state.paired => Err(SessionError::NotPaired),
            _ => Err(SessionError::NotOnline {
                status: state.status,
                reason: state.reason,
            }),
        }
    }
}
