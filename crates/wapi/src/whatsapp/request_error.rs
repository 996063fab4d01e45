//! Failures of requests to WhatsApp.

use std::time::Duration;

use whatsapp_rust::features::{CommunityError, MexError};
use whatsapp_rust::request::IqError;
use whatsapp_rust::{BlockingError, ContactError, GroupError, NewsletterError, ProfileError};

/// The code for a change whose subject another device has changed before.
const CONFLICT: u16 = 409;

/// Failure of a request to WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request was not sent, or the connection broke before its answer.
    #[error("the session is not connected to WhatsApp")]
    Offline,
    #[error("WhatsApp did not answer within {0:?}")]
    Timeout(Duration),
    /// WhatsApp's code, such as 403 or 404.
    #[error("WhatsApp refused the request with code {0}")]
    Refused(u16),
    /// WhatsApp refused it with this explanation, which names nobody.
    #[error("WhatsApp refused the request: {0}")]
    Rejected(String),
    /// WhatsApp no longer knows the request in the form in which this version makes it.
    #[error(
        "WhatsApp has changed this request; a newer version of the gateway may know its new form"
    )]
    Changed,
    /// The engine could not send the request, or not read the answer. Its own error text may name
    /// people.
    #[error("the request could not be sent, or its answer not be read")]
    Failed,
}

impl RequestError {
    /// Returns whether WhatsApp answered that the subject of the request does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(400 | 404))
    }

    /// Returns WhatsApp's code, if it gave one.
    pub const fn whatsapp_code(&self) -> Option<u16> {
        match self {
            Self::Refused(code) => Some(*code),
            _ => None,
        }
    }
}

impl From<GroupError> for RequestError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Iq(error) => error.into(),
            GroupError::Mex(error) => error.into(),
            GroupError::DescriptionConflict => Self::Refused(CONFLICT),
            _ => Self::Failed,
        }
    }
}

impl From<MexError> for RequestError {
    fn from(error: MexError) -> Self {
        match error {
            MexError::Request(error) => error.into(),
            MexError::ExtensionError { code, .. } => {
                u16::try_from(code).map_or(Self::Failed, Self::Refused)
            }
            _ => Self::Failed,
        }
    }
}

impl From<CommunityError> for RequestError {
    fn from(error: CommunityError) -> Self {
        match error {
            CommunityError::Iq(error) => error.into(),
            CommunityError::Mex(error) => error.into(),
            CommunityError::Group(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<IqError> for RequestError {
    fn from(error: IqError) -> Self {
        match error {
            IqError::ServerError { code, .. } => Self::Refused(code),
            // Those who wait for an answer have their channel closed when the connection ends.
            IqError::NotConnected
            | IqError::Disconnected(_)
            | IqError::Socket(_)
            | IqError::InternalChannelClosed => Self::Offline,
            _ => Self::Failed,
        }
    }
}

impl From<ContactError> for RequestError {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<ProfileError> for RequestError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<BlockingError> for RequestError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<NewsletterError> for RequestError {
    fn from(error: NewsletterError) -> Self {
        match error {
            NewsletterError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

/// Converts a send error: the engine has no single type for them, and lost connections are detected
/// elsewhere.
pub(in crate::whatsapp) fn request_failed<E>(_: E) -> RequestError {
    RequestError::Failed
}
