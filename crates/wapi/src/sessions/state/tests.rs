//! The effects of link events on a session's state.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The status and reason after some link events, one a second.
fn after(signals: &[Signal]) -> (Status, Option<String>, SessionState) {
    let mut state = SessionState::new(at(0));
    for (second, signal) in (1..).zip(signals) {
        state.apply(signal, at(second));
        if let Signal::Qr { text, .. } = signal {
            state.show(
                QrCode {
                    text: text.clone(),
                    png: Vec::new(),
                    expires_at: at(60),
                },
                at(second),
            );
        }
    }
    (state.status, state.reason.clone(), state)
}

fn qr() -> Signal {
    Signal::Qr {
        text: "2@x".to_owned(),
        valid_for: Duration::from_secs(60),
    }
}

fn offline() -> Signal {
    Signal::Offline {
        reason: "cut".to_owned(),
    }
}

#[test]
fn a_connection_that_the_engine_left_is_offline_unless_it_is_known_why() {
    let (status, reason, _) = after(&[Signal::Online, Signal::Left]);
    assert_eq!(
        (status, reason.as_deref()),
        (Status::Offline, Some("WhatsApp ended the connection"))
    );
    let (_, reason, _) = after(&[Signal::Online, offline(), Signal::Left]);
    assert_eq!(reason.as_deref(), Some("cut"));
    let out = Signal::LoggedOut {
        reason: "a phone".to_owned(),
    };
    assert_eq!(
        after(&[Signal::Online, out, Signal::Left]).0,
        Status::LoggedOut
    );
    // The engine also leaves the connection on which a device was linked.
    assert_eq!(
        after(&[Signal::Dialling, qr(), Signal::Paired, Signal::Left]).0,
        Status::Connecting
    );
}

#[test]
fn from_the_first_code_to_online() {
    assert_eq!(after(&[Signal::Dialling]).0, Status::Starting);
    assert_eq!(after(&[Signal::Dialling, qr()]).0, Status::ScanQr);
    let (status, _, state) = after(&[Signal::Dialling, qr(), Signal::Paired, Signal::Dialling]);
    assert_eq!((status, state.paired), (Status::Connecting, true));
    let (status, reason, state) = after(&[
        Signal::Dialling,
        qr(),
        Signal::Paired,
        Signal::Dialling,
        Signal::Online,
    ]);
    assert_eq!((status, reason, state.since), (Status::Online, None, at(5)));
}

#[test]
fn who_is_let_in_is_online_whatever_is_missing() {
    let (status, _, state) = after(&[
        Signal::Dialling,
        qr(),
        Signal::Paired,
        Signal::Dialling,
        Signal::LetIn,
    ]);
    assert_eq!(
        (status, state.app_state),
        (Status::Online, Some(AppState::Waiting))
    );
    let (_, _, state) = after(&[Signal::LetIn, Signal::Online]);
    assert_eq!(
        (state.app_state, state.since),
        (Some(AppState::Synced), at(1)),
        "it was online before"
    );
    assert_eq!(
        after(&[Signal::Online, Signal::LetIn]).2.app_state,
        Some(AppState::Synced)
    );
    assert_eq!(after(&[Signal::Online, offline()]).2.app_state, None);
}

#[test]
fn the_connection_has_a_time_of_its_own() {
    let (_, _, state) = after(&[
        Signal::Dialling,
        qr(),
        Signal::Paired,
        Signal::Dialling,
        Signal::Online,
    ]);
    assert_eq!(
        (state.status.connection(), state.connection_since),
        (Connection::Online, at(5))
    );
    // Logged out is another status, but the connection was gone before.
    let (_, _, state) = after(&[
        Signal::Online,
        offline(),
        Signal::LoggedOut {
            reason: "gone".to_owned(),
        },
    ]);
    assert_eq!((state.since, state.connection_since), (at(3), at(2)));
}

#[test]
fn a_code_is_nothing_to_print() {
    let (_, _, state) = after(&[qr()]);
    assert!(!format!("{state:?}").contains("2@x"), "{state:?}");
}

#[test]
fn an_expired_code_is_said_to_be() {
    let (status, reason, state) = after(&[qr(), Signal::QrExpired, Signal::Ended]);
    assert_eq!(
        (status, reason.as_deref(), state.qr.clone()),
        (Status::ScanQr, Some("expired"), None)
    );
    assert!(state.is_expired() && state.is_resting());
}

#[test]
fn the_reason_to_be_offline_outlives_the_next_try() {
    let (status, reason, _) = after(&[Signal::Online, offline(), Signal::Dialling]);
    assert_eq!(
        (status, reason.as_deref()),
        (Status::Connecting, Some("cut"))
    );
    let (status, reason, _) = after(&[Signal::Online, offline(), Signal::Dialling, Signal::Online]);
    assert_eq!((status, reason), (Status::Online, None));
}

#[test]
fn a_connection_that_is_dialled_again_is_not_online_meanwhile() {
    assert_eq!(
        after(&[Signal::Online, Signal::Dialling]).0,
        Status::Connecting
    );
}

#[test]
fn a_link_that_ends_without_a_word_leaves_the_session_offline() {
    let (_, _, mut state) = after(&[Signal::Online]);
    state.unlink(at(9));
    assert_eq!(
        (state.status, state.reason.as_deref()),
        (Status::Offline, Some("the connection ended"))
    );
    let (_, _, mut state) = after(&[qr(), Signal::QrExpired]);
    state.unlink(at(9));
    assert!(state.is_expired());
}

#[test]
fn a_logged_out_device_is_paired_no_more() {
    let (status, _, state) = after(&[
        Signal::Paired,
        Signal::Online,
        Signal::LoggedOut {
            reason: "gone".to_owned(),
        },
    ]);
    assert_eq!(
        (status, state.paired, state.is_resting()),
        (Status::LoggedOut, false, true)
    );
}

#[test]
fn retries_slow_down_and_have_a_ceiling() {
    let delays = [0, 1, 2, 20].map(|failures| next(&End::Unexplained, failures));
    assert_eq!(
        delays,
        [2, 4, 8, 300].map(|seconds| Next::After(Duration::from_secs(seconds)))
    );
    let banned = End::Refused {
        wait: Some(Duration::from_secs(3600)),
    };
    assert_eq!(next(&banned, 0), Next::After(Duration::from_secs(3600)));
    assert_eq!(next(&End::Expired, 9), Next::WhenAsked);
}
