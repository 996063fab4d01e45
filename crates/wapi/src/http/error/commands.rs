//! Problems of failed commands to sessions, and of refused changes to API keys.

use super::Problem;
use crate::http::access::api_keys::ApiKeyError;
use crate::sessions::CommandError;
use crate::whatsapp::PairingCodeError;

impl From<ApiKeyError> for Problem {
    fn from(refused: ApiKeyError) -> Self {
        match refused {
            ApiKeyError::NotFound => Self::NoApiKey,
            ApiKeyError::AdminFirst => Self::AdminKeyFirst,
            ApiKeyError::LastAdmin => Self::LastAdminKey,
            ApiKeyError::Store(error) => {
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
            CommandError::RoundTrip(error) => Self::WhatsappTimeout {
                detail: error.to_string(),
            },
            CommandError::PairingCode(PairingCodeError::Timeout(within)) => Self::WhatsappTimeout {
                detail: format!("no pairing code came within {within:?}"),
            },
            CommandError::PairingCode(PairingCodeError::Refused(detail)) => {
                Self::PairingCodeRefused { detail }
            }
            CommandError::Store(error) => Self::NotReady {
                detail: error.to_string(),
            },
        }
    }
}
