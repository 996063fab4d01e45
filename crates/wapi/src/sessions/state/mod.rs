//! The state of a session, and its transitions on each link event. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use strum::VariantNames;

use crate::model::account::webauthn::PasskeyOptions;
use crate::model::event::Account;
pub use crate::model::event::{PasskeyStep, SessionPhase};
use crate::model::qr_number::QrNumber;
use crate::store::SyncProgress;
use crate::whatsapp::LinkEvent;

/// Whether a session has read the account's app state: archived and muted chats, contacts, the
/// account's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AppStateSync {
    /// The phone has not shared the keys for it. Messages are sent and received all the same.
    Waiting,
    Synced,
}

/// A QR code waiting to be scanned. Scanning it links this session to the scanning phone's account.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// The encoded text.
    pub text: String,
    pub png: Vec<u8>,
    pub expires_at: Timestamp,
    pub number: QrNumber,
}

/// How long each QR code after the first is shown.
const NEXT_QR_TIME: Duration = Duration::from_secs(20);

impl QrCode {
    /// Returns the end of the last code that follows on this connection, and of the connection.
    fn last_expires_at(&self) -> Timestamp {
        self.expires_at
            .saturating_add(NEXT_QR_TIME * self.number.remaining())
            .unwrap_or(Timestamp::MAX)
    }
}

/// The passkey that WhatsApp asks a phone's owner for while a session is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyState {
    pub step: PasskeyStep,
    pub options: PasskeyOptions,
    pub expires_at: Timestamp,
    /// The code that the phone shows, too.
    pub code: Option<String>,
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
    /// The QR codes have expired, and the connection stays for a pairing code.
    pub waits_for_code: bool,
    pub passkey: Option<PasskeyState>,
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
            waits_for_code: false,
            passkey: None,
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
            self.waits_for_code = false;
        }
        if status != SessionPhase::Passkey {
            self.passkey = None;
        }
        if status != SessionPhase::Online {
            self.app_state = None;
        }
    }

    /// Sets the QR code to scan, replacing the previous one. There is none to scan while WhatsApp
    /// waits for a passkey.
    pub fn set_qr_code(&mut self, qr: QrCode, now: Timestamp) {
        if self.passkey.is_some() {
            return;
        }
        self.set_status(SessionPhase::ScanQr, None, now);
        self.qr = Some(qr);
        self.waits_for_code = false;
    }

    /// Applies a link event, except for QR codes, which are [shown](Self::set_qr_code) once they are
    /// drawn.
    pub fn apply_event(&mut self, signal: &LinkEvent, now: Timestamp) {
        match signal {
            LinkEvent::Qr { .. } => {}
            // WhatsApp may ask again; the first answer is on its way, and the engine takes no other.
            LinkEvent::PasskeyRequested { .. } if self.has_answered_passkey() => {}
            LinkEvent::PasskeyRequested { options } => self.request_passkey(options, now),
            LinkEvent::PasskeyCode { code } => {
                self.advance_passkey(PasskeyStep::Confirmation, Some(code.clone()), now);
            }
            // The device is linked, whatever was said of it.
            LinkEvent::PasskeyFailed { .. } if self.paired => {}
            LinkEvent::PasskeyFailed { reason } => {
                self.set_status(SessionPhase::ScanQr, Some(passkey_failure(reason)), now);
                self.qr = None;
            }
            LinkEvent::QrExpired if self.passkey.is_some() => {
                let reason = passkey_failure("it took too long");
                self.set_status(SessionPhase::ScanQr, Some(reason), now);
            }
            // A passkey, too, keeps its connection.
            LinkEvent::QrSpent if self.passkey.is_some() => {}
            LinkEvent::QrSpent => {
                self.qr = None;
                self.waits_for_code = true;
                let reason = "the QR codes have expired; the pairing code can still be typed";
                self.set_status(SessionPhase::ScanQr, Some(reason.to_owned()), now);
            }
            LinkEvent::QrExpired => {
                self.qr = None;
                self.waits_for_code = false;
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
            LinkEvent::Chat(_)
            | LinkEvent::ReadElsewhere { .. }
            | LinkEvent::Limits(_)
            | LinkEvent::Ended => {}
        }
    }

    fn request_passkey(&mut self, options: &str, now: Timestamp) {
        let Some(options) = PasskeyOptions::parse(options) else {
            let reason = passkey_failure("WhatsApp's request for it cannot be read");
            self.qr = None;
            return self.set_status(SessionPhase::ScanQr, Some(reason), now);
        };
        // The engine closes the connection after the last QR code.
        let connection_ends = self
            .qr
            .as_ref()
            .map_or(Timestamp::MAX, QrCode::last_expires_at);
        let expires_at = now
            .saturating_add(options.timeout)
            .unwrap_or(Timestamp::MAX)
            .min(connection_ends);
        self.set_status(SessionPhase::Passkey, None, now);
        self.passkey = Some(PasskeyState {
            step: PasskeyStep::Assertion,
            options,
            expires_at,
            code: None,
        });
        self.advance_passkey(PasskeyStep::Assertion, None, now);
    }

    fn has_answered_passkey(&self) -> bool {
        self.passkey
            .as_ref()
            .is_some_and(|passkey| passkey.step != PasskeyStep::Assertion)
    }

    /// Goes on to the next step of the passkey, with its code once that is known.
    pub fn advance_passkey(&mut self, step: PasskeyStep, code: Option<String>, now: Timestamp) {
        let Some(passkey) = &mut self.passkey else {
            return;
        };
        passkey.step = step;
        passkey.code = code.or_else(|| passkey.code.take());
        let reason = match step {
            PasskeyStep::Assertion => "WhatsApp asks for a passkey of the account",
            PasskeyStep::Checking => "WhatsApp checks the passkey",
            PasskeyStep::Confirmation => "the phone shows a code that must be confirmed",
            PasskeyStep::Linking => "the phone links the session",
        };
        self.set_status(SessionPhase::Passkey, Some(reason.to_owned()), now);
    }

    /// Clears the QR code when the link ends. An unannounced end leaves the session offline.
    pub fn clear_link(&mut self, now: Timestamp) {
        self.qr = None;
        self.waits_for_code = false;
        if matches!(
            self.status,
            SessionPhase::Online
                | SessionPhase::Connecting
                | SessionPhase::Starting
                | SessionPhase::Passkey
        ) {
            let reason = self
                .reason
                .take()
                .unwrap_or_else(|| "the connection ended".to_owned());
            self.set_status(SessionPhase::Offline, Some(reason), now);
        }
    }

    /// Whether the QR code was withdrawn because it was not scanned in time, or did not link.
    pub fn is_qr_expired(&self) -> bool {
        self.status == SessionPhase::ScanQr && self.qr.is_none() && !self.waits_for_code
    }

    /// Whether the session does nothing until it is requested to.
    pub fn is_resting(&self) -> bool {
        self.is_qr_expired()
            || matches!(self.status, SessionPhase::LoggedOut | SessionPhase::Failed)
    }
}

/// Returns the reason of a session whose passkey did not link it.
fn passkey_failure(detail: &str) -> String {
    format!("not linked with the passkey: {detail}")
}

/// The reason why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEnd {
    /// The QR code was not scanned in time, or the passkey did not link the session.
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
