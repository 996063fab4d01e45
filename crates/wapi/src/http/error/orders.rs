//! Problems of failed commands to sessions, and of refused changes to API keys.

use super::Problem;
use crate::keys::Refused;
use crate::sessions::CommandError;
use crate::whatsapp::NoCode;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown => Self::NoApiKey,
            Refused::AdminFirst => Self::AdminKeyFirst,
            Refused::LastAdmin => Self::LastAdminKey,
            Refused::Store(error) => {
                tracing::error!(%error, "the keys cannot be read or changed");
                Self::Internal
            }
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Unknown => Self::NoSession,
            CommandError::Ending => Self::Stopping,
            CommandError::Exists => Self::SessionExists,
            CommandError::NotPaired => Self::NotPaired,
            CommandError::Paired => Self::AlreadyPaired,
            CommandError::NotOnline { status, reason } => Self::NotOnline { status, reason },
            CommandError::Busy => Self::SessionBusy,
            CommandError::NoAnswer(error) => Self::NoAnswer {
                detail: error.to_string(),
            },
            CommandError::NoCode(NoCode::Silence(within)) => Self::NoAnswer {
                detail: format!("no pairing code came within {within:?}"),
            },
            CommandError::NoCode(NoCode::Refused(detail)) => Self::NoPairingCode { detail },
            CommandError::NotSaved(error) => Self::NotReady {
                detail: error.to_string(),
            },
        }
    }
}
