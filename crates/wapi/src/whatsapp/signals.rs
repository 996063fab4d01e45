//! Link events: the engine's reports about a link, as the session reads them. The conversion is
//! pure.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

use super::observer::Happening;
use crate::store::Lifeline;

/// An event of a link.
#[derive(Debug, Clone)]
pub enum Signal {
    /// This text, as a QR code, waits to be scanned; the next one replaces it.
    Qr { text: String, valid_for: Duration },
    /// WhatsApp has no more QR codes; the link is over.
    QrExpired,
    /// A phone scanned the code.
    Paired,
    /// The link dials WhatsApp.
    Dialling,
    /// Dialling failed; the link tries again by itself.
    Unreachable { reason: String },
    /// Logged in, but the phone has not shared the app-state keys.
    LetIn,
    /// Logged in, with nothing missing.
    Online,
    /// The connection broke; the link tries again by itself.
    Offline { reason: String },
    /// The engine has closed a working connection, as it does when WhatsApp ends the stream; the
    /// link tries again by itself.
    Left,
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
    Happened(Box<Happening>),
    /// These messages were read on another device of the account. Their chat is not given.
    ReadElsewhere { ids: Vec<String> },
    /// The link is over; always the last signal.
    Ended,
}

/// The receiving end, read by the session.
pub type Signals = mpsc::UnboundedReceiver<Signal>;

/// The sending end, for the engine's callbacks. Unbounded, because they must not block; a
/// connection has only a handful of events.
#[derive(Clone)]
pub(super) struct Reports(mpsc::UnboundedSender<Signal>, Lifeline);

/// Creates the channel. The life of `session` begins or goes on when a phone links the device.
pub(super) fn channel(session: Lifeline) -> (Reports, Signals) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Reports(sender, session), receiver)
}

impl Reports {
    /// Sends an event. If the session is gone, nobody needs it.
    pub fn send(&self, signal: Signal) {
        let _ = self.0.send(signal);
    }
}

/// Reports the end of the link when dropped, also in a panic, which must not leave a session
/// waiting forever.
pub(super) struct Farewell(pub Reports);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.send(Signal::Ended);
    }
}

/// Reports that the link is unusable when dropped in a panic. The engine goes on without a task
/// that it needs.
pub(super) struct Alarm(pub Reports);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send(Signal::Stuck {
                reason: "a part of the connection crashed".to_owned(),
            });
        }
    }
}

impl Reports {
    /// The events that [`signal`] knows.
    const INTEREST: [EventKind; 10] = [
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

impl EventHandler for Reports {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::PairSuccess(paired) = &*event {
            // Recorded here, so that the account is known before its first message can come in.
            self.1.linked(paired.id.user_base());
        }
        if let Some(signal) = signal(&event) {
            self.send(signal);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&Self::INTEREST)
    }
}

fn signal(event: &Event) -> Option<Signal> {
    Some(match event {
        Event::PairingQrCode(code) => Signal::Qr {
            text: code.code.clone(),
            valid_for: code.timeout,
        },
        Event::PairingQrCodesExhausted(_) => Signal::QrExpired,
        Event::PairSuccess(_) => Signal::Paired,
        // The engine's own text names the account.
        Event::PairError(_) => Signal::Refused {
            reason: "the phone and this device did not agree".to_owned(),
            wait: None,
        },
        Event::Disconnected(gone) => Signal::Offline {
            reason: format!("the connection broke: {}", gone.reason),
        },
        Event::LoggedOut(out) => Signal::LoggedOut {
            reason: logged_out(out.reason.code()),
        },
        Event::StreamReplaced(_) => Signal::Replaced,
        Event::ClientOutdated(_) => Signal::Refused {
            reason: "WhatsApp says this version of its protocol is outdated".to_owned(),
            wait: None,
        },
        Event::TemporaryBan(ban) => Signal::Refused {
            reason: format!("WhatsApp banned this account for a while: {}", ban.code),
            wait: ban.expire.to_std().ok(),
        },
        Event::ConnectFailure(failure) => Signal::Refused {
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
fn logged_out(code: i32) -> String {
    match code {
        403 => "WhatsApp locked this account; the phone says more".to_owned(),
        _ => format!("this device is no longer linked to the account (code {code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use whatsapp_rust::types::events;

    #[test]
    fn each_event_of_interest_has_its_signal() {
        let code = events::PairingQrCode::builder()
            .code("2@x".to_owned())
            .timeout(Duration::from_secs(60))
            .build();
        let Some(Signal::Qr { text, valid_for }) = signal(&Event::PairingQrCode(code)) else {
            panic!("no signal")
        };
        assert_eq!((text.as_str(), valid_for), ("2@x", Duration::from_secs(60)));
        let out = events::LoggedOut::builder()
            .on_connect(true)
            .reason(events::ConnectFailureReason::LoggedOut)
            .build();
        let Some(Signal::LoggedOut { reason }) = signal(&Event::LoggedOut(out)) else {
            panic!("no signal")
        };
        assert_eq!(
            reason,
            "this device is no longer linked to the account (code 401)"
        );
    }
}
