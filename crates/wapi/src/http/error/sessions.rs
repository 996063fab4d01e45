//! Problems of sessions and of requests to WhatsApp.

use super::Problem;
use crate::sessions::{SessionError, SessionPhase};
use crate::whatsapp::RequestError;

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::NoSession,
            SessionError::Exists => Self::SessionExists,
            SessionError::NotPaired => Self::NotPaired,
            SessionError::AlreadyPaired => Self::AlreadyPaired,
            SessionError::NotOnline { status, reason } => Self::NotOnline { status, reason },
            SessionError::Busy => Self::SessionBusy,
            SessionError::QueueFull(limit) => Self::QueueFull(limit),
            SessionError::Stopping => Self::Stopping,
            SessionError::MessageNotFound => Self::NoMessage,
            SessionError::LabelsUnread => Self::LabelsUnread,
            SessionError::PairingCodeRefused(detail) => Self::PairingCodeRefused { detail },
            SessionError::UnexpectedPasskeyStep(detail) => Self::UnexpectedPasskeyStep(detail),
            SessionError::Assertion(error) => Self::invalid_field(error.field, error.detail),
            SessionError::PasskeyRefused(detail) => Self::PasskeyRefused { detail },
            SessionError::NoProxy => Self::NoProxy,
            SessionError::ProxyUnchecked(detail) => Self::NotReady { detail },
            SessionError::NotSent(failure) => failure.into(),
            SessionError::Whatsapp(error) => error.into(),
            SessionError::Store(error) => Self::NotReady {
                detail: error.to_string(),
            },
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = error.to_string();
        match error {
            RequestError::Offline => Self::NotOnline {
                status: SessionPhase::Offline,
                reason: None,
            },
            RequestError::Timeout(_) => Self::WhatsappTimeout { detail },
            RequestError::Changed => Self::WhatsappChanged { detail },
            RequestError::Refused(_) | RequestError::Rejected(_) | RequestError::Failed => {
                Self::WhatsappRefused { detail }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failed_request_to_whatsapp_says_whether_it_was_refused_unanswered_or_not_made() {
        for (error, code) in [
            (RequestError::Offline, "session_not_online"),
            (RequestError::Timeout(Duration::ZERO), "whatsapp_timeout"),
            (RequestError::Refused(403), "whatsapp_refused"),
            (RequestError::Rejected("why".to_owned()), "whatsapp_refused"),
            (RequestError::Failed, "whatsapp_refused"),
            (RequestError::Changed, "whatsapp_changed"),
        ] {
            let alone = Problem::from(error.clone()).into_document();
            let of_session = Problem::from(SessionError::from(error)).into_document();
            assert_eq!((alone.code, of_session.code), (code, code));
        }
    }
}
