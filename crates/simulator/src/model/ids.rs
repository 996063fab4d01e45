//! Names of accounts, devices and chats.

use std::sync::Arc;

use crate::model::group::GroupId;
use crate::model::newsletter::NewsletterId;

/// A phone number in digits, without `+`: the identifier of an account.
pub(crate) type PhoneNumber = Arc<str>;

/// A device of an account; 0 is the phone itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceId {
    pub(crate) number: PhoneNumber,
    pub(crate) device: u16,
}

/// The chat a message belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chat {
    Person(PhoneNumber),
    Group(GroupId),
    /// The chat of statuses.
    Status,
    Newsletter(NewsletterId),
}

impl std::fmt::Display for Chat {
    /// Formats the address as a test reads it: `…@s.whatsapp.net`, `…@g.us`, `…@newsletter` or
    /// `status@broadcast`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(number) => write!(formatter, "{number}@s.whatsapp.net"),
            Self::Group(id) => write!(formatter, "{id}@g.us"),
            Self::Status => formatter.write_str("status@broadcast"),
            Self::Newsletter(id) => write!(formatter, "{id}@newsletter"),
        }
    }
}

/// Why a scan or a code did not link a device.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PairingError {
    /// The QR text does not have the form `ref,noise key,identity key,secret[,client type]`.
    #[error("this is no WhatsApp pairing QR: {0}")]
    InvalidQr(String),
    /// The reference is unknown or has expired.
    #[error("the QR (or link code) has expired or belongs to no client that is waiting")]
    Expired,
    /// The keys in the QR are not those the client registered with.
    #[error("the keys in the QR are not those of the client that is waiting")]
    KeyMismatch,
    /// The typed code does not match the one the client shows.
    #[error("the link code is wrong")]
    WrongCode,
    /// The client refused pair-success.
    #[error("the client refused the pairing: {code} {text}")]
    Refused {
        /// The code the client answered with, such as 401.
        code: u16,
        /// The client's error text, such as `hmac-mismatch`.
        text: String,
    },
    /// The client's own signature on its device identity is wrong.
    #[error("the client's device signature is wrong")]
    DeviceSignature,
    /// The account has used up its device numbers.
    #[error("this account can link no further device")]
    TooManyDevices,
    /// WhatsApp refused the passkey, or the client broke the handshake after it.
    #[error("the passkey did not link the client: {0}")]
    Passkey(String),
    /// The client went away before it answered.
    #[error("the client went away in the middle of the pairing")]
    ClientGone,
}
