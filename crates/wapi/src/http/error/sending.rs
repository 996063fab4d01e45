//! Problems of failed messages, requests to WhatsApp, and file downloads.

use super::Problem;
use crate::fetch::NoFile;
use crate::sessions::{AskError, NotDeleted, NotSet, SendError};
use crate::whatsapp::NotAnswered;

impl From<SendError> for Problem {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unknown => Self::NoSession,
            SendError::NotOnline { status, reason } => Self::NotOnline { status, reason },
            SendError::NotPaired => Self::NotPaired,
            SendError::Full(most) => Self::QueueFull(most),
            SendError::Stopping => Self::Stopping,
            SendError::Store(error) => Self::NotReady {
                detail: error.to_string(),
            },
        }
    }
}

impl From<NotDeleted> for Problem {
    fn from(error: NotDeleted) -> Self {
        match error {
            NotDeleted::NotReady(error) => error.into(),
            NotDeleted::NoAnswer(detail) => Self::NoAnswer { detail },
        }
    }
}

impl From<NotSet> for Problem {
    fn from(error: NotSet) -> Self {
        match error {
            NotSet::NotAsked(error) => error.into(),
            NotSet::NotSent(error) => error.into(),
            NotSet::Failed(failure) => Self::NotSent(failure),
            NotSet::NoAnswer => Self::NoAnswer {
                detail: error.to_string(),
            },
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unknown => Self::NoSession,
            AskError::NotPaired => Self::NotPaired,
            AskError::NotOnline { status, reason } => Self::NotOnline { status, reason },
            AskError::NoMessage => Self::NoMessage,
            AskError::Store(error) => Self::NotReady {
                detail: error.to_string(),
            },
            AskError::NotAnswered(NotAnswered::Silence(within)) => Self::NoAnswer {
                detail: format!("WhatsApp did not answer within {within:?}"),
            },
            AskError::NotAnswered(error) => Self::Refused {
                detail: error.to_string(),
            },
        }
    }
}

impl From<NoFile> for Problem {
    fn from(error: NoFile) -> Self {
        match error {
            NoFile::Crowded(most) => Self::TooManyLinks(most),
            error => Self::field("image_url", error.to_string()),
        }
    }
}
