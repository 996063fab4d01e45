//! Link events: the engine's reports about a link, as the session reads them. The conversion is
//! pure.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

use super::passkey::explain_passkey_error;
use super::qr_references::QrReferences;
use crate::model::qr_number::QrNumber;
use crate::store::DeviceLife;
use crate::whatsapp::notifications::observer::ChatEvent;
use crate::whatsapp::queries::limits::LimitsUpdate;

/// An event of a link.
#[derive(Debug, Clone)]
pub enum LinkEvent {
    /// This text, as a QR code, waits to be scanned; the next one replaces it.
    Qr {
        text: String,
        valid_for: Duration,
        number: QrNumber,
    },
    /// WhatsApp has no more QR codes; the link is over.
    QrExpired,
    /// WhatsApp has no more QR codes; the link stays for the pairing code that was given out.
    QrSpent,
    /// WhatsApp asks for a passkey of the account, with these options as JSON.
    PasskeyRequested { options: String },
    /// The phone shows this code, and the owner compares it with ours.
    PasskeyCode { code: String },
    /// The passkey did not link the device; the link is over.
    PasskeyFailed { reason: String },
    /// A phone scanned the code.
    Paired,
    /// The link dials WhatsApp.
    Dialling,
    /// Dialling failed; the link tries again by itself.
    Unreachable { reason: String },
    /// Logged in, but the phone has not shared the app-state keys.
    LoggedIn,
    /// Logged in, with nothing missing.
    Online,
    /// The connection broke; the link tries again by itself.
    Offline { reason: String },
    /// The engine has closed a working connection, as it does when WhatsApp ends the stream; the
    /// link tries again by itself.
    Closed,
    /// The device is no longer linked; the link is over.
    LoggedOut { reason: String },
    /// Another program logged in with the same device; the link is over.
    Replaced,
    /// WhatsApp does not let the device in. `wait` is the delay it asks for, if any.
    Refused {
        reason: String,
        wait: Option<Duration>,
    },
    /// The engine hangs or has crashed; the link is no longer usable.
    Stuck { reason: String },
    /// An event around messages.
    Chat(Box<ChatEvent>),
    /// WhatsApp has reported limits of the account.
    Limits(Box<LimitsUpdate>),
    /// These messages were read on another device of the account. Their chat is not given.
    ReadElsewhere { ids: Vec<String> },
    /// The link is over; always the last signal.
    Ended,
}

/// The receiving end, read by the session.
pub type LinkEventReceiver = mpsc::UnboundedReceiver<LinkEvent>;

/// The sending end, for the engine's callbacks. Unbounded, because they must not block; a
/// connection has only a handful of events.
#[derive(Clone)]
pub(in crate::whatsapp) struct LinkEventSender(
    mpsc::UnboundedSender<LinkEvent>,
    DeviceLife,
    QrReferences,
);

/// Creates the channel. The life of `session` begins or goes on when a phone links the device.
pub(in crate::whatsapp) fn link_event_channel(
    session: DeviceLife,
) -> (LinkEventSender, LinkEventReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (
        LinkEventSender(sender, session, QrReferences::default()),
        receiver,
    )
}

impl LinkEventSender {
    /// Sends an event. If the session is gone, nobody needs it.
    pub fn send(&self, signal: LinkEvent) {
        let _ = self.0.send(signal);
    }
}

/// Reports the end of the link when dropped, also in a panic, which must not leave a session
/// waiting forever.
pub(in crate::whatsapp) struct EndGuard(pub LinkEventSender);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.send(LinkEvent::Ended);
    }
}

/// Reports that the link is unusable when dropped in a panic. The engine goes on without a task
/// that it needs.
pub(in crate::whatsapp) struct PanicGuard(pub LinkEventSender);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send(LinkEvent::Stuck {
                reason: "a task of the connection crashed".to_owned(),
            });
        }
    }
}

impl LinkEventSender {
    /// The events that [`convert_event`] knows, and stanzas, for the references in them.
    const INTEREST: [EventKind; 14] = [
        EventKind::RawNode,
        EventKind::PairPasskeyRequest,
        EventKind::PairPasskeyConfirmation,
        EventKind::PairPasskeyError,
        EventKind::PairingQrCode,
        EventKind::PairingQrCodesExhausted,
        EventKind::PairSuccess,
        EventKind::PairError,
        EventKind::Disconnected,
        EventKind::LoggedOut,
        EventKind::StreamReplaced,
        EventKind::ConnectFailure,
        EventKind::TemporaryBan,
        EventKind::ClientOutdated,
    ];
}

impl EventHandler for LinkEventSender {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::PairSuccess(paired) = &*event {
            // Recorded here, so that the account is known before its first message can come in.
            self.1.link_account(paired.id.user_base());
        }
        self.2.read_stanza(&event);
        if let Some(signal) = convert_event(&event, &self.2) {
            self.send(signal);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&Self::INTEREST)
    }
}

fn convert_event(event: &Event, references: &QrReferences) -> Option<LinkEvent> {
    Some(match event {
        Event::PairingQrCode(code) => LinkEvent::Qr {
            text: code.code.clone(),
            valid_for: code.timeout,
            number: references.number_of(&code.code),
        },
        Event::PairingQrCodesExhausted(exhausted) if exhausted.disconnected => LinkEvent::QrExpired,
        Event::PairingQrCodesExhausted(_) => LinkEvent::QrSpent,
        Event::PairPasskeyRequest(request) => LinkEvent::PasskeyRequested {
            options: request.request_options_json.clone(),
        },
        Event::PairPasskeyConfirmation(confirmation) => LinkEvent::PasskeyCode {
            code: confirmation.code.clone(),
        },
        Event::PairPasskeyError(failed) => LinkEvent::PasskeyFailed {
            reason: explain_passkey_error(&failed.error),
        },
        Event::PairSuccess(_) => LinkEvent::Paired,
        // The engine's own text names the account.
        Event::PairError(_) => LinkEvent::Refused {
            reason: "the phone and this device did not agree".to_owned(),
            wait: None,
        },
        Event::Disconnected(gone) => LinkEvent::Offline {
            reason: format!("the connection broke: {}", gone.reason),
        },
        Event::LoggedOut(out) => LinkEvent::LoggedOut {
            reason: logout_reason(out.reason.code()),
        },
        Event::StreamReplaced(_) => LinkEvent::Replaced,
        Event::ClientOutdated(_) => LinkEvent::Refused {
            reason: "WhatsApp reports that this protocol version is outdated".to_owned(),
            wait: None,
        },
        Event::TemporaryBan(ban) => LinkEvent::Refused {
            reason: format!("WhatsApp banned this account for a while: {}", ban.code),
            wait: ban.expire.to_std().ok(),
        },
        Event::ConnectFailure(failure) => LinkEvent::Refused {
            reason: format!(
                "WhatsApp refused the connection with code {}",
                failure.reason.code()
            ),
            wait: None,
        },
        _ => return None,
    })
}

/// Returns a reason that helps the phone's owner.
fn logout_reason(code: i32) -> String {
    match code {
        403 => "WhatsApp locked this account; the phone shows details".to_owned(),
        _ => format!("this device is no longer linked to the account (code {code})"),
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::connection::link_events::*;
    use whatsapp_rust::types::events;

    #[test]
    fn each_event_of_interest_has_its_signal() {
        let code = events::PairingQrCode::builder()
            .code("2@x".to_owned())
            .timeout(Duration::from_secs(60))
            .build();
        let none = QrReferences::default();
        let Some(LinkEvent::Qr {
            text, valid_for, ..
        }) = convert_event(&Event::PairingQrCode(code), &none)
        else {
            panic!("no signal")
        };
        assert_eq!((text.as_str(), valid_for), ("2@x", Duration::from_secs(60)));
        let out = events::LoggedOut::builder()
            .on_connect(true)
            .reason(events::ConnectFailureReason::LoggedOut)
            .build();
        let Some(LinkEvent::LoggedOut { reason }) = convert_event(&Event::LoggedOut(out), &none)
        else {
            panic!("no signal")
        };
        assert_eq!(
            reason,
            "this device is no longer linked to the account (code 401)"
        );
    }
}
