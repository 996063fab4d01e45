//! What is known of a session, and what each signal makes of it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::event::Account;
use crate::store::Past;
use crate::whatsapp::Signal;

/// One word for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its file is being opened, or a QR code is on its way.
    Starting,
    /// A QR code waits to be scanned; or, with the reason `expired`, waited in vain.
    ScanQr,
    Connecting,
    Online,
    /// It will connect again by itself.
    Offline,
    /// The device is linked no more; registering the session again shows a QR code.
    LoggedOut,
    /// It cannot work until a person does something; the reason says what.
    Failed,
    /// Somebody stopped it, and it stays so until somebody starts it; or the program is ending.
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

    /// The word itself, as it appears in JSON.
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

    /// How far its connection is.
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

/// How far a connection to WhatsApp is, as a device that is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    Offline,
    Connecting,
    Online,
}

impl Connection {
    /// The word itself, as it appears in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Connecting => "connecting",
            Self::Online => "online",
        }
    }
}

/// Whether a session has read what the account's devices share: chats that are archived or muted, contacts, the account's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// The phone has not shared the keys to it. Messages come and go all the same.
    Waiting,
    Synced,
}

impl AppState {
    /// The words as they appear in JSON.
    pub const WORDS: [&'static str; 2] = ["waiting", "synced"];
}

/// A QR code that waits to be scanned. Whoever scans it links this session to their account.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// What the code says.
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
    /// Why, where the status does not say it all.
    pub reason: Option<String>,
    /// Since when it has this status.
    pub since: Timestamp,
    /// Since when its connection is as far as it is.
    pub connection_since: Timestamp,
    /// Whether the account's app state is read; `None` while it is not online.
    pub app_state: Option<AppState>,
    /// Whether it holds the keys of a linked device.
    pub paired: bool,
    pub account: Option<Account>,
    pub qr: Option<QrCode>,
    /// How far its past has come; `None` when it was not asked for.
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

    /// Moves to another status; the time of the change is kept when nothing changes.
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

    /// A QR code waits to be scanned; it replaces the one before.
    pub fn show(&mut self, qr: QrCode, now: Timestamp) {
        self.move_to(Status::ScanQr, None, now);
        self.qr = Some(qr);
    }

    /// Takes in what the link reports, but for the QR code, which is [shown](Self::show) once it is drawn.
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
            // A reason to be offline outlives the next try. An unpaired session is still on its way to its first QR code.
            Signal::Dialling if matches!(self.status, Status::Offline | Status::Online) => {
                let reason = self.reason.take();
                self.move_to(Status::Connecting, reason, now);
            }
            Signal::Dialling => {}
            Signal::Unreachable { reason } | Signal::Offline { reason } => {
                self.move_to(Status::Offline, Some(reason.clone()), now)
            }
            // Where the session is not online, it is known why.
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

    /// The link is gone, and with it the QR code. An end that nobody announced leaves the session offline.
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

    /// Whether the QR code stopped being offered because nobody scanned it.
    pub fn is_expired(&self) -> bool {
        self.status == Status::ScanQr && self.qr.is_none()
    }

    /// Whether it does nothing until someone asks for it.
    pub fn is_resting(&self) -> bool {
        self.is_expired() || matches!(self.status, Status::LoggedOut | Status::Failed)
    }
}

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nobody scanned the QR code.
    Expired,
    LoggedOut,
    Replaced,
    Refused {
        wait: Option<Duration>,
    },
    /// The saved state cannot be used.
    Failed,
    /// The connection is gone and the engine would wait long before its next try; somebody does not want to.
    Impatient,
    /// Its owner wants something else of the session now.
    Told,
    /// The engine gave up without a word.
    Unexplained,
    Stopped,
}

/// What follows the end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A new link, after this long or when someone asks.
    After(Duration),
    /// A new link when someone asks.
    WhenAsked,
    Never,
}

const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Two programs with the same device throw each other out at each login, so we are slow to insist.
const AFTER_REPLACED: Duration = Duration::from_secs(300);
const AFTER_REFUSED: Duration = Duration::from_secs(60);

/// What follows `end`, the `failures`-th in a row (from 0).
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
