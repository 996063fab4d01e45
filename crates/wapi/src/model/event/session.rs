//! Session events. A public contract.

use jiff::Timestamp;
use serde::Serialize;

/// The WhatsApp account that a session is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// International number, digits only.
    pub phone: String,
    /// WhatsApp's identifier that hides the number, `…@lid`.
    pub lid: Option<String>,
    /// The account's own push name.
    pub name: Option<String>,
}

impl Account {
    /// Returns the account's number as an address.
    pub fn phone_address(&self) -> String {
        format!("{}@s.whatsapp.net", self.phone)
    }
}

/// `session.status`: the status of a session, or the reason for it, changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionStatus {
    pub session: String,
    /// `starting`, `scan_qr`, `connecting`, `online`, `session_offline`, `logged_out`, `failed` or
    /// `stay_stopped`.
    pub status: &'static str,
    /// The reason, where the status alone does not explain it.
    pub reason: Option<String>,
    /// The time since which it has this status.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub since: Timestamp,
    /// Whether the session holds the keys of a linked device.
    pub paired: bool,
    pub connection: ConnectionInfo,
    pub account: Option<Account>,
}

/// The state of a session's connection to WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ConnectionInfo {
    /// `session_offline`, `connecting` or `online`.
    pub state: &'static str,
    /// The time since which it has this state.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub since: Timestamp,
}

/// `session.history`: more of the history sync arrived, or a part of it was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionHistory {
    pub session: String,
    #[serde(flatten)]
    pub history: HistoryProgress,
}

/// Progress of the history sync that a phone sends to a newly linked device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryProgress {
    /// `waiters`: nothing has arrived. `receiving`. `complete`: the phone has sent everything, and
    /// it is imported. `incomplete`: a part was lost.
    pub status: &'static str,
    /// Percent, as reported by the phone.
    pub progress: u8,
    /// The time of the first part, and of the latest one.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub started_at: Option<Timestamp>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub updated_at: Option<Timestamp>,
}

/// `session.qr`: a QR code waits to be scanned; it replaces the previous one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionQr {
    pub session: String,
    /// The content of the code, for clients that draw it themselves.
    pub text: String,
    /// Path of the code's image on this gateway.
    pub path: String,
    /// After this time the code can no longer be scanned.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub expires_at: Timestamp,
}

/// `session.paired`: a phone has linked the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairedSession {
    pub session: String,
    pub account: Option<Account>,
}

/// `session.logged_out`: the session is no longer linked and needs a new QR code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedOutSession {
    pub session: String,
    pub reason: String,
    /// The account it was linked to.
    pub account: Option<Account>,
}
