//! Reasons why a session cannot do what its caller wants.

use crate::model::account::webauthn::AssertionError;
use crate::model::send_failure::SendFailure;
use crate::store::StoreError;
use crate::whatsapp::RequestError;

use super::SessionPhase;

/// The reason why a command, a message or a request to a session failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("no session has this name")]
    NotFound,
    #[error("a session has this name already")]
    Exists,
    #[error("the session is not linked")]
    NotPaired,
    #[error("the session is linked already")]
    AlreadyPaired,
    #[error("the session is not online")]
    NotOnline {
        status: SessionPhase,
        reason: Option<String>,
    },
    /// An earlier command takes long. This one was not carried out; a removal continues in the
    /// background.
    #[error("the session is still executing an earlier command")]
    Busy,
    /// That many of the session's messages are waiting.
    #[error("{0} messages are pending already")]
    QueueFull(usize),
    /// The program no longer accepts commands and messages.
    #[error("the program is ending")]
    Stopping,
    /// No such message was received in the chat.
    #[error("no such message was received in this chat")]
    MessageNotFound,
    /// Ids of labels may be used that are not known yet.
    #[error("the labels of the account are not read yet")]
    LabelsUnread,
    /// WhatsApp gave no pairing code; contains its explanation.
    #[error("WhatsApp gave no pairing code: {0}")]
    PairingCodeRefused(String),
    /// Another step of the passkey is due, or none.
    #[error("{0}")]
    UnexpectedPasskeyStep(&'static str),
    /// The assertion is not an answer to WhatsApp's options.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// WhatsApp did not accept the passkey; contains its explanation.
    #[error("{0}")]
    PasskeyRefused(String),
    #[error("the session has no proxy")]
    NoProxy,
    /// The gateway could not even try the proxy; contains the reason.
    #[error("{0}")]
    ProxyUnchecked(String),
    /// The message that carries the change was not sent.
    #[error("{}", .0.detail())]
    NotSent(SendFailure),
    #[error(transparent)]
    Whatsapp(#[from] RequestError),
    /// It could not be saved, and nothing was done.
    #[error(transparent)]
    Store(#[from] StoreError),
}
