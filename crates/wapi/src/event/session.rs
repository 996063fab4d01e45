//! What is told of sessions as a whole. A public contract.

use jiff::Timestamp;
use serde::Serialize;

/// Whose device a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// International number, digits only.
    pub phone: String,
    /// WhatsApp's identifier that hides the number, `…@lid`.
    pub lid: Option<String>,
    /// The name the account gave itself.
    pub name: Option<String>,
}

impl Account {
    /// Its number as an address.
    pub fn address(&self) -> String {
        format!("{}@s.whatsapp.net", self.phone)
    }
}

/// `session.status`: a session has another status, or another reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionStatus {
    pub session: String,
    /// `starting`, `scan_qr`, `connecting`, `online`, `offline`, `logged_out`, `failed` or `stopped`.
    pub status: &'static str,
    /// Why, where the status does not say it all.
    pub reason: Option<String>,
    /// Since when it has this status.
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub since: Timestamp,
    /// Whether it holds the keys of a linked device.
    pub paired: bool,
    pub connection: ConnectionInfo,
    pub account: Option<Account>,
}

/// How far a session's connection to WhatsApp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ConnectionInfo {
    /// `offline`, `connecting` or `online`.
    pub state: &'static str,
    /// Since when.
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub since: Timestamp,
}

/// `session.history`: a phone has told more of the time before, or something of it was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionHistory {
    pub session: String,
    #[serde(flatten)]
    pub history: HistoryProgress,
}

/// How far the history that a phone tells when it is linked has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryProgress {
    /// `waiting`: nothing has come. `receiving`. `complete`: the phone has told everything, and it is taken in. `incomplete`: a part was
    /// lost.
    pub status: &'static str,
    /// In percent, as the phone says.
    pub progress: u8,
    /// When it began to come, and when something last came of it.
    #[serde(serialize_with = "crate::stamp::optional")]
    pub started_at: Option<Timestamp>,
    #[serde(serialize_with = "crate::stamp::optional")]
    pub updated_at: Option<Timestamp>,
}

/// `session.qr`: a QR code waits to be scanned; it replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionQr {
    pub session: String,
    /// What the code says, for those who draw it themselves.
    pub text: String,
    /// Where it is as a picture, on this gateway.
    pub path: String,
    /// Nobody can scan it after this.
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub expires_at: Timestamp,
}

/// `session.paired`: a phone has linked the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairedSession {
    pub session: String,
    pub account: Option<Account>,
}

/// `session.logged_out`: the session is linked no more, and needs a new QR code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedOutSession {
    pub session: String,
    pub reason: String,
    /// Whose device it was.
    pub account: Option<Account>,
}
