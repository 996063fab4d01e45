//! The state of a session, and its transitions on each link event. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::event::Account;
use crate::store::SyncProgress;
use crate::whatsapp::LinkEvent;

/// The status of a session, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPhase {
    /// Its file is being opened, or a QR code is being requested.
    Starting,
    /// A QR code waits to be scanned; with the reason `message_expired`, it was not scanned in time.
    ScanQr,
    Connecting,
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
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::ScanQr,
        Self::Connecting,
        Self::Online,
        Self::Offline,
        Self::LoggedOut,
        Self::Failed,
        Self::Stopped,
    ];

    /// Returns the status as it appears in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::ScanQr => "scan_qr",
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::LoggedOut => "logged_out",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Returns the state of the connection that follows from the status.
    pub const fn connection_state(self) -> ConnectionState {
        match self {
            Self::Online => ConnectionState::Online,
            Self::Connecting | Self::Starting => ConnectionState::Connecting,
            Self::ScanQr | Self::Offline | Self::LoggedOut | Self::Failed | Self::Stopped => {
                ConnectionState::Offline
            }
        }
    }
}

/// The state of a session's connection to WhatsApp as a logged-in device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    Offline,
    Connecting,
    Online,
}

impl ConnectionState {
    /// Returns the state as it appears in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Connecting => "connecting",
            Self::Online => "online",
        }
    }
}

/// Whether a session has read the account's app state: archived and muted chats, contacts, the
/// account's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppStateSync {
    /// The phone has not shared the keys for it. Messages are sent and received all the same.
    Waiting,
    Synced,
}

impl AppStateSync {
    /// All values as they appear in JSON.
    pub const WORDS: [&'static str; 2] = ["waiting", "synced"];
}

/// A QR code waiting to be scanned. Scanning it links this session to the scanning phone's account.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// The encoded text.
    pub text: String,
    pub png: Vec<u8>,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for QrCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("QrCode")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Everything known of a session at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    pub status: SessionPhase,
    /// An explanation, if the status alone is not enough.
    pub reason: Option<String>,
    /// Time of the last change of the status.
    pub since: Timestamp,
    /// Time of the last change of the connection state.
    pub connection_since: Timestamp,
    /// Whether the account's app state has been read; `None` while the session is offline.
    pub app_state: Option<AppStateSync>,
    /// Whether it holds the keys of a linked device.
    pub paired: bool,
    pub account: Option<Account>,
    pub qr: Option<QrCode>,
    /// Progress of history sync; `None` if it was not requested.
    pub sync_progress: Option<SyncProgress>,
}

impl SessionState {
    pub fn new(now: Timestamp) -> Self {
        Self {
            status: SessionPhase::Starting,
            reason: None,
            since: now,
            connection_since: now,
            app_state: None,
            paired: false,
            account: None,
            qr: None,
            sync_progress: None,
        }
    }

    /// Changes the status and reason; `since` changes only with the status.
    pub fn set_status(&mut self, status: SessionPhase, reason: Option<String>, now: Timestamp) {
        if self.status != status {
            self.since = now;
        }
        if self.status.connection_state() != status.connection_state() {
            self.connection_since = now;
        }
        self.status = status;
        self.reason = reason;
        if status != SessionPhase::ScanQr {
            self.qr = None;
        }
        if status != SessionPhase::Online {
            self.app_state = None;
        }
    }

    /// Sets the QR code to scan, replacing the previous one.
    pub fn set_qr_code(&mut self, qr: QrCode, now: Timestamp) {
        self.set_status(SessionPhase::ScanQr, None, now);
        self.qr = Some(qr);
    }

    /// Applies a link event, except for QR codes, which are [shown](Self::set_qr_code) once they are
    /// drawn.
    pub fn apply_event(&mut self, signal: &LinkEvent, now: Timestamp) {
        match signal {
            LinkEvent::Qr { .. } => {}
            LinkEvent::QrExpired => {
                self.qr = None;
                self.set_status(SessionPhase::ScanQr, Some("expired".to_owned()), now);
            }
            LinkEvent::Paired => {
                self.paired = true;
                self.set_status(SessionPhase::Connecting, None, now);
            }
            // The reason for being offline is kept during the next attempt. An unpaired session is
            // still waiting for its first QR code.
            LinkEvent::Dialling
                if matches!(self.status, SessionPhase::Offline | SessionPhase::Online) =>
            {
                let reason = self.reason.take();
                self.set_status(SessionPhase::Connecting, reason, now);
            }
            LinkEvent::Dialling => {}
            LinkEvent::Unreachable { reason } | LinkEvent::Offline { reason } => {
                self.set_status(SessionPhase::Offline, Some(reason.clone()), now)
            }
            // A session that is not online already has a reason.
            LinkEvent::Closed if self.status == SessionPhase::Online => {
                self.set_status(
                    SessionPhase::Offline,
                    Some("WhatsApp ended the connection".to_owned()),
                    now,
                );
            }
            LinkEvent::Closed => {}
            LinkEvent::Refused { reason, .. } | LinkEvent::Stuck { reason } => {
                self.set_status(SessionPhase::Offline, Some(reason.clone()), now)
            }
            LinkEvent::LoggedIn | LinkEvent::Online => {
                self.set_status(SessionPhase::Online, None, now);
                let is_complete = matches!(signal, LinkEvent::Online)
                    || self.app_state == Some(AppStateSync::Synced);
                self.app_state = Some(if is_complete {
                    AppStateSync::Synced
                } else {
                    AppStateSync::Waiting
                });
            }
            LinkEvent::LoggedOut { reason } => {
                self.paired = false;
                self.set_status(SessionPhase::LoggedOut, Some(reason.clone()), now);
            }
            LinkEvent::Replaced => {
                let reason = "another program logged in with the same device";
                self.set_status(SessionPhase::Offline, Some(reason.to_owned()), now);
            }
            LinkEvent::Chat(_) | LinkEvent::ReadElsewhere { .. } | LinkEvent::Ended => {}
        }
    }

    /// Clears the QR code when the link ends. An unannounced end leaves the session offline.
    pub fn clear_link(&mut self, now: Timestamp) {
        self.qr = None;
        if matches!(
            self.status,
            SessionPhase::Online | SessionPhase::Connecting | SessionPhase::Starting
        ) {
            let reason = self
                .reason
                .take()
                .unwrap_or_else(|| "the connection ended".to_owned());
            self.set_status(SessionPhase::Offline, Some(reason), now);
        }
    }

    /// Whether the QR code was withdrawn because it was not scanned in time.
    pub fn is_qr_expired(&self) -> bool {
        self.status == SessionPhase::ScanQr && self.qr.is_none()
    }

    /// Whether the session does nothing until it is requested to.
    pub fn is_resting(&self) -> bool {
        self.is_qr_expired()
            || matches!(self.status, SessionPhase::LoggedOut | SessionPhase::Failed)
    }
}

/// The reason why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// The QR code was not scanned in time.
    Expired,
    LoggedOut,
    Replaced,
    Refused {
        wait: Option<Duration>,
    },
    /// The saved state cannot be used.
    Failed,
    /// A caller does not want to wait for the engine's next attempt to connect, which is far off.
    ReconnectRequested,
    /// The owner's desired state changed.
    DesiredStateChanged,
    /// The engine gave up without a reason.
    Unexplained,
    Stopped,
}

/// The next action after the end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAction {
    /// Open a new link after this time, or on request.
    After(Duration),
    /// Open a new link on request.
    OnRequest,
    Never,
}

const FIRST_RETRY: Duration = Duration::from_secs(2);
const MAX_RETRY: Duration = Duration::from_secs(300);
/// Two programs with the same device disconnect each other at each login, so we are slow to insist.
const REPLACED_PAUSE: Duration = Duration::from_secs(300);
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Returns the action after `end`, the `failures`-th in a row, counted from 0.
pub fn next_action(end: &LinkEnd, failures: u32) -> NextAction {
    let backoff = FIRST_RETRY
        .saturating_mul(2u32.saturating_pow(failures))
        .min(MAX_RETRY);
    match end {
        LinkEnd::Stopped => NextAction::Never,
        LinkEnd::Expired | LinkEnd::LoggedOut | LinkEnd::Failed => NextAction::OnRequest,
        LinkEnd::ReconnectRequested | LinkEnd::DesiredStateChanged => {
            NextAction::After(Duration::ZERO)
        }
        LinkEnd::Replaced => NextAction::After(REPLACED_PAUSE),
        LinkEnd::Refused { wait: Some(wait) } => NextAction::After(*wait),
        LinkEnd::Refused { wait: None } => NextAction::After(backoff.max(REFUSED_PAUSE)),
        LinkEnd::Unexplained => NextAction::After(backoff),
    }
}

#[cfg(test)]
mod tests;
