//! Session events. A public contract.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

/// The WhatsApp account that a session is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Account {
    /// International number, digits only.
    pub phone: String,
    /// WhatsApp's identifier that hides the number, `…@lid`.
    pub lid: Option<String>,
    /// The account's own push name.
    pub name: Option<String>,
}

/// A device of the account, as far as WhatsApp tells the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AccountDevice {
    /// WhatsApp's number of it.
    pub device: u16,
    /// The phone, which has the account.
    pub phone: bool,
    /// The device of this session.
    pub this: bool,
}

impl Account {
    /// Returns the account's number as an address.
    pub fn phone_address(&self) -> String {
        format!("{}@s.whatsapp.net", self.phone)
    }
}

/// The status of a session, for people.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum SessionPhase {
    /// Its file is being opened, or a QR code is being requested.
    Starting,
    /// A QR code waits to be scanned; with the reason `expired`, it was not scanned in time.
    ScanQr,
    /// WhatsApp asks for a passkey of the account before it links the session.
    Passkey,
    /// The linked device is logging in.
    Connecting,
    /// It sends and receives.
    Online,
    /// It will reconnect by itself.
    Offline,
    /// The device is no longer linked; registering the session again shows a QR code.
    LoggedOut,
    /// It cannot work until a person acts; the reason explains how.
    Failed,
    /// The owner stopped it, and it stays stopped until started again; or the program is ending.
    Stopped,
}

impl SessionPhase {
    /// Returns the state of the connection that follows from the status.
    pub const fn connection_state(self) -> ConnectionState {
        match self {
            Self::Online => ConnectionState::Online,
            Self::Connecting | Self::Starting => ConnectionState::Connecting,
            Self::ScanQr
            | Self::Passkey
            | Self::Offline
            | Self::LoggedOut
            | Self::Failed
            | Self::Stopped => ConnectionState::Offline,
        }
    }
}

/// The state of a session's connection to WhatsApp as a logged-in device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    Offline,
    Connecting,
    Online,
}

/// `session.status`: the status of a session, or the reason for it, changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStatus {
    pub session: String,
    pub status: SessionPhase,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConnectionInfo {
    pub state: ConnectionState,
    /// The time since which it has this state.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub since: Timestamp,
}

/// `session.history`: more of the history sync arrived, or a part of it was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionHistory {
    pub session: String,
    #[serde(flatten)]
    pub history: HistoryProgress,
}

/// Progress of the history sync that a phone sends to a newly linked device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryProgress {
    pub status: HistoryStatus,
    /// Percent, as reported by the phone.
    #[schemars(range(max = 100))]
    pub progress: u8,
    /// The time of the first part.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub started_at: Option<Timestamp>,
    /// The time of the latest part.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub updated_at: Option<Timestamp>,
}

/// The state of a history sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryStatus {
    /// Nothing has arrived.
    Waiting,
    /// Nothing has arrived, although the phone has had its time. It may have no history; if it begins
    /// after all, the status changes.
    None,
    /// A part has arrived, and more are to come.
    Receiving,
    /// The phone has sent everything, and it is imported.
    Complete,
    /// A part was lost.
    Incomplete,
}

/// `session.qr`: a QR code waits to be scanned; it replaces the previous one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionQr {
    pub session: String,
    /// The content of the code, for clients that draw it themselves.
    pub text: String,
    /// Path of the code's image on this gateway.
    pub path: String,
    /// After this time the code can no longer be scanned.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub expires_at: Timestamp,
    /// The number of the code, from 1.
    #[serde(default)]
    pub number: u32,
    /// How many codes there are until WhatsApp must be asked for new ones.
    #[serde(default)]
    pub total: u32,
}

/// A step of linking with a passkey.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PasskeyStep {
    /// WhatsApp waits for an assertion of the passkey.
    Assertion,
    /// WhatsApp and the phone check the assertion.
    Checking,
    /// The owner compares the code with that of the phone, and it is confirmed.
    Confirmation,
    /// The phone links the session.
    Linking,
}

/// `session.passkey`: WhatsApp asks for a passkey of the account, or the next step of that is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionPasskey {
    pub session: String,
    pub step: PasskeyStep,
    /// WhatsApp's options for `navigator.credentials.get`, as it sent them.
    pub options: serde_json::Value,
    /// The code that the phone shows, too; in the step `confirmation`.
    pub code: Option<String>,
    /// After this time the session must be linked anew.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub expires_at: Timestamp,
}

/// `session.paired`: a phone has linked the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairedSession {
    pub session: String,
    pub account: Option<Account>,
}

/// `session.logged_out`: the session is no longer linked and needs a new QR code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedOutSession {
    pub session: String,
    pub reason: String,
    /// The account it was linked to.
    pub account: Option<Account>,
}
