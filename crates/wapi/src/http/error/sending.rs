//! Problems of failed messages, requests to WhatsApp, and file downloads.

use super::Problem;
use crate::media::link_download::FetchError;
use crate::sessions::{ChatTimerError, DeleteMessageError, RequestError, SendError};
use crate::whatsapp::LinkRequestError;

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unknown => Self::NoSession,
            SendError::NotOnline { status, reason } => Self::NotOnline { status, reason },
            SendError::NotPaired => Self::NotPaired,
            SendError::QueueFull(most) => Self::QueueFull(most),
            SendError::Stopping => Self::Stopping,
            SendError::Store(error) => Self::NotReady {
                detail: error.to_string(),
            },
        }
    }
}

impl From<DeleteMessageError> for Problem {
    fn from(error: DeleteMessageError) -> Self {
        match error {
            DeleteMessageError::NotReady(error) => error.into(),
            DeleteMessageError::NoAnswer(detail) => Self::WhatsappTimeout { detail },
        }
    }
}

impl From<ChatTimerError> for Problem {
    fn from(error: ChatTimerError) -> Self {
        match error {
            ChatTimerError::Request(error) => error.into(),
            ChatTimerError::Send(error) => error.into(),
            ChatTimerError::Failed(failure) => Self::NotSent(failure),
            ChatTimerError::NoAnswer => Self::WhatsappTimeout {
                detail: error.to_string(),
            },
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unknown => Self::NoSession,
            RequestError::NotPaired => Self::NotPaired,
            RequestError::NotOnline { status, reason } => Self::NotOnline { status, reason },
            RequestError::MessageNotFound => Self::NoMessage,
            RequestError::Store(error) => Self::NotReady {
                detail: error.to_string(),
            },
            RequestError::Link(LinkRequestError::Timeout(within)) => Self::WhatsappTimeout {
                detail: format!("WhatsApp did not answer within {within:?}"),
            },
            RequestError::Link(error) => Self::WhatsappRefused {
                detail: error.to_string(),
            },
        }
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::QueueFull(most) => Self::TooManyLinks(most),
            error => Self::invalid_field("image_url", error.to_string()),
        }
    }
}
