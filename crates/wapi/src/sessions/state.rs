//! The state of a session, and its transitions on each link event. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::event::Account;
use crate::store::Past;
use crate::whatsapp::Signal;

/// The status of a session, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its file is being opened, or a QR code is being requested.
    Starting,
    /// A QR code waits to be scanned; with the reason `expired`, it was not scanned in time.
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

impl Status {
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
    pub const fn word(self) -> &'static str {
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
    pub const fn connection(self) -> Connection {
        match self {
            Self::Online => Connection::Online,
            Self::Connecting | Self::Starting => Connection::Connecting,
            Self::ScanQr | Self::Offline | Self::LoggedOut | Self::Failed | Self::Stopped => {
                Connection::Offline
            }
        }
    }
}

/// The state of a session's connection to WhatsApp as a logged-in device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    Offline,
    Connecting,
    Online,
}

impl Connection {
    /// Returns the state as it appears in JSON.
    pub const fn word(self) -> &'static str {
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
pub enum AppState {
    /// The phone has not shared the keys for it. Messages are sent and received all the same.
    Waiting,
    Synced,
}

impl AppState {
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
    pub status: Status,
    /// An explanation, if the status alone is not enough.
    pub reason: Option<String>,
    /// Time of the last change of the status.
    pub since: Timestamp,
    /// Time of the last change of the connection state.
    pub connection_since: Timestamp,
    /// Whether the account's app state has been read; `None` while the session is offline.
    pub app_state: Option<AppState>,
    /// Whether it holds the keys of a linked device.
    pub paired: bool,
    pub account: Option<Account>,
    pub qr: Option<QrCode>,
    /// Progress of history sync; `None` if it was not requested.
    pub past: Option<Past>,
}

impl SessionState {
    pub fn new(now: Timestamp) -> Self {
        Self {
            status: Status::Starting,
            reason: None,
            since: now,
            connection_since: now,
            app_state: None,
            paired: false,
            account: None,
            qr: None,
            past: None,
        }
    }

    /// Changes the status and reason; `since` changes only with the status.
    pub fn move_to(&mut self, status: Status, reason: Option<String>, now: Timestamp) {
        if self.status != status {
            self.since = now;
        }
        if self.status.connection() != status.connection() {
            self.connection_since = now;
        }
        self.status = status;
        self.reason = reason;
        if status != Status::ScanQr {
            self.qr = None;
        }
        if status != Status::Online {
            self.app_state = None;
        }
    }

    /// Sets the QR code to scan, replacing the previous one.
    pub fn show(&mut self, qr: QrCode, now: Timestamp) {
        self.move_to(Status::ScanQr, None, now);
        self.qr = Some(qr);
    }

    /// Applies a link event, except for QR codes, which are [shown](Self::show) once they are
    /// drawn.
    pub fn apply(&mut self, signal: &Signal, now: Timestamp) {
        match signal {
            Signal::Qr { .. } => {}
            Signal::QrExpired => {
                self.qr = None;
                self.move_to(Status::ScanQr, Some("expired".to_owned()), now);
            }
            Signal::Paired => {
                self.paired = true;
                self.move_to(Status::Connecting, None, now);
            }
            // The reason for being offline is kept during the next attempt. An unpaired session is
            // still waiting for its first QR code.
            Signal::Dialling if matches!(self.status, Status::Offline | Status::Online) => {
                let reason = self.reason.take();
                self.move_to(Status::Connecting, reason, now);
            }
            Signal::Dialling => {}
            Signal::Unreachable { reason } | Signal::Offline { reason } => {
                self.move_to(Status::Offline, Some(reason.clone()), now)
            }
            // A session that is not online already has a reason.
            Signal::Left if self.status == Status::Online => {
                self.move_to(
                    Status::Offline,
                    Some("WhatsApp ended the connection".to_owned()),
                    now,
                );
            }
            Signal::Left => {}
            Signal::Refused { reason, .. } | Signal::Stuck { reason } => {
                self.move_to(Status::Offline, Some(reason.clone()), now)
            }
            Signal::LetIn | Signal::Online => {
                self.move_to(Status::Online, None, now);
                let is_complete =
                    matches!(signal, Signal::Online) || self.app_state == Some(AppState::Synced);
                self.app_state = Some(if is_complete {
                    AppState::Synced
                } else {
                    AppState::Waiting
                });
            }
            Signal::LoggedOut { reason } => {
                self.paired = false;
                self.move_to(Status::LoggedOut, Some(reason.clone()), now);
            }
            Signal::Replaced => {
                let reason = "another program logged in with the same device";
                self.move_to(Status::Offline, Some(reason.to_owned()), now);
            }
            Signal::Happened(_) | Signal::ReadElsewhere { .. } | Signal::Ended => {}
        }
    }

    /// Clears the QR code when the link ends. An unannounced end leaves the session offline.
    pub fn unlink(&mut self, now: Timestamp) {
        self.qr = None;
        if matches!(
            self.status,
            Status::Online | Status::Connecting | Status::Starting
        ) {
            let reason = self
                .reason
                .take()
                .unwrap_or_else(|| "the connection ended".to_owned());
            self.move_to(Status::Offline, Some(reason), now);
        }
    }

    /// Whether the QR code was withdrawn because it was not scanned in time.
    pub fn is_expired(&self) -> bool {
        self.status == Status::ScanQr && self.qr.is_none()
    }

    /// Whether the session does nothing until it is requested to.
    pub fn is_resting(&self) -> bool {
        self.is_expired() || matches!(self.status, Status::LoggedOut | Status::Failed)
    }
}

/// The reason why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
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
    Impatient,
    /// The owner's desired state changed.
    Told,
    /// The engine gave up without a reason.
    Unexplained,
    Stopped,
}

/// The next action after the end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Open a new link after this time, or on request.
    After(Duration),
    /// Open a new link on request.
    WhenAsked,
    Never,
}

const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Two programs with the same device disconnect each other at each login, so we are slow to insist.
const AFTER_REPLACED: Duration = Duration::from_secs(300);
const AFTER_REFUSED: Duration = Duration::from_secs(60);

/// Returns the action after `end`, the `failures`-th in a row, counted from 0.
pub fn next(end: &End, failures: u32) -> Next {
    let backoff = FIRST_RETRY
        .saturating_mul(2u32.saturating_pow(failures))
        .min(LONGEST_RETRY);
    match end {
        End::Stopped => Next::Never,
        End::Expired | End::LoggedOut | End::Failed => Next::WhenAsked,
        End::Impatient | End::Told => Next::After(Duration::ZERO),
        End::Replaced => Next::After(AFTER_REPLACED),
        End::Refused { wait: Some(wait) } => Next::After(*wait),
        End::Refused { wait: None } => Next::After(backoff.max(AFTER_REFUSED)),
        End::Unexplained => Next::After(backoff),
    }
}

#[cfg(test)]
mod tests;
