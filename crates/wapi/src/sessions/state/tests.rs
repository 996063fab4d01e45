//! The effects of link events on a session's state.

use super::*;
use crate::model::event::ConnectionState;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The status and reason after some link events, one a second.
fn after(signals: &[LinkEvent]) -> (SessionPhase, Option<String>, SessionState) {
    let mut state = SessionState::new(at(0));
    for (second, signal) in (1..).zip(signals) {
        state.apply_event(signal, at(second));
        if let LinkEvent::Qr { text, .. } = signal {
            state.set_qr_code(
                QrCode {
                    text: text.clone(),
                    png: Vec::new(),
                    expires_at: at(60),
                    number: QrNumber {
                        number: 1,
                        total: 6,
                    },
                },
                at(second),
            );
        }
    }
    (state.status, state.reason.clone(), state)
}

fn qr() -> LinkEvent {
    LinkEvent::Qr {
        text: "2@x".to_owned(),
        valid_for: Duration::from_secs(60),
        number: QrNumber {
            number: 1,
            total: 6,
        },
    }
}

fn offline() -> LinkEvent {
    LinkEvent::Offline {
        reason: "cut".to_owned(),
    }
}

#[test]
fn a_connection_that_the_engine_left_is_offline_unless_it_is_known_why() {
    let (status, reason, _) = after(&[LinkEvent::Online, LinkEvent::Closed]);
    assert_eq!(
        (status, reason.as_deref()),
        (SessionPhase::Offline, Some("WhatsApp ended the connection"))
    );
    let (_, reason, _) = after(&[LinkEvent::Online, offline(), LinkEvent::Closed]);
    assert_eq!(reason.as_deref(), Some("cut"));
    let out = LinkEvent::LoggedOut {
        reason: "a phone".to_owned(),
    };
    assert_eq!(
        after(&[LinkEvent::Online, out, LinkEvent::Closed]).0,
        SessionPhase::LoggedOut
    );
    // The engine also leaves the connection on which a device was linked.
    assert_eq!(
        after(&[
            LinkEvent::Dialling,
            qr(),
            LinkEvent::Paired,
            LinkEvent::Closed
        ])
        .0,
        SessionPhase::Connecting
    );
}

#[test]
fn from_the_first_code_to_online() {
    assert_eq!(after(&[LinkEvent::Dialling]).0, SessionPhase::Starting);
    assert_eq!(after(&[LinkEvent::Dialling, qr()]).0, SessionPhase::ScanQr);
    let (status, _, state) = after(&[
        LinkEvent::Dialling,
        qr(),
        LinkEvent::Paired,
        LinkEvent::Dialling,
    ]);
    assert_eq!((status, state.paired), (SessionPhase::Connecting, true));
    let (status, reason, state) = after(&[
        LinkEvent::Dialling,
        qr(),
        LinkEvent::Paired,
        LinkEvent::Dialling,
        LinkEvent::Online,
    ]);
    assert_eq!(
        (status, reason, state.since),
        (SessionPhase::Online, None, at(5))
    );
}

#[test]
fn who_is_let_in_is_online_whatever_is_missing() {
    let (status, _, state) = after(&[
        LinkEvent::Dialling,
        qr(),
        LinkEvent::Paired,
        LinkEvent::Dialling,
        LinkEvent::LoggedIn,
    ]);
    assert_eq!(
        (status, state.app_state),
        (SessionPhase::Online, Some(AppStateSync::Waiting))
    );
    let (_, _, state) = after(&[LinkEvent::LoggedIn, LinkEvent::Online]);
    assert_eq!(
        (state.app_state, state.since),
        (Some(AppStateSync::Synced), at(1)),
        "it was online before"
    );
    assert_eq!(
        after(&[LinkEvent::Online, LinkEvent::LoggedIn]).2.app_state,
        Some(AppStateSync::Synced)
    );
    assert_eq!(after(&[LinkEvent::Online, offline()]).2.app_state, None);
}

#[test]
fn the_connection_has_a_time_of_its_own() {
    let (_, _, state) = after(&[
        LinkEvent::Dialling,
        qr(),
        LinkEvent::Paired,
        LinkEvent::Dialling,
        LinkEvent::Online,
    ]);
    assert_eq!(
        (state.status.connection_state(), state.connection_since),
        (ConnectionState::Online, at(5))
    );
    // Logged out is another status, but the connection was gone before.
    let (_, _, state) = after(&[
        LinkEvent::Online,
        offline(),
        LinkEvent::LoggedOut {
            reason: "gone".to_owned(),
        },
    ]);
    assert_eq!((state.since, state.connection_since), (at(3), at(2)));
}

fn passkey() -> LinkEvent {
    LinkEvent::PasskeyRequested {
        options: r#"{"challenge": "AQID", "timeout": 600000}"#.to_owned(),
    }
}

fn refused() -> LinkEvent {
    LinkEvent::PasskeyFailed {
        reason: "no".to_owned(),
    }
}

#[test]
fn a_passkey_is_waited_for_until_the_connection_ends() {
    let (status, _, state) = after(&[qr(), passkey(), qr()]);
    assert_eq!((status, &state.qr), (SessionPhase::Passkey, &None));
    // Five codes of 20 seconds follow the first, which expires after 60.
    assert_eq!(state.passkey.unwrap().expires_at, at(160));
    let (status, reason, _) = after(&[qr(), passkey(), LinkEvent::QrExpired]);
    assert_eq!(status, SessionPhase::ScanQr);
    assert_eq!(
        reason.as_deref(),
        Some("not linked with the passkey: it took too long")
    );
}

#[test]
fn a_second_request_for_a_passkey_changes_nothing_once_the_first_is_answered() {
    let again = || LinkEvent::PasskeyRequested {
        options: r#"{"challenge": "BAUG"}"#.to_owned(),
    };
    let (_, _, mut state) = after(&[qr(), passkey(), again()]);
    let shown = state.passkey.clone().unwrap();
    assert_eq!(shown.options.json["challenge"], "BAUG");
    state.advance_passkey(PasskeyStep::Checking, None, at(5));
    let code = LinkEvent::PasskeyCode {
        code: "ABCD-EFGH".to_owned(),
    };
    for (signal, step) in [
        (passkey(), PasskeyStep::Checking),
        (code, PasskeyStep::Confirmation),
        (passkey(), PasskeyStep::Confirmation),
    ] {
        state.apply_event(&signal, at(6));
        let shown = state.passkey.clone().unwrap();
        assert_eq!(shown.step, step);
        assert_eq!(shown.options.json["challenge"], "BAUG");
    }
    assert!(state.passkey.unwrap().code.is_some());
}

#[test]
fn a_spent_row_of_codes_keeps_the_link_for_a_pairing_code() {
    let (status, _, mut state) = after(&[qr(), LinkEvent::QrSpent]);
    assert_eq!(status, SessionPhase::ScanQr);
    assert!(state.waits_for_code && !state.is_resting());
    state.clear_link(at(9));
    assert!(!state.waits_for_code && state.is_resting());
    let (_, _, state) = after(&[qr(), LinkEvent::QrSpent, LinkEvent::QrExpired]);
    assert!(!state.waits_for_code && state.is_resting());
    assert!(!after(&[qr(), LinkEvent::QrSpent, qr()]).2.waits_for_code);
}

#[test]
fn a_refused_passkey_leaves_a_session_to_link_again_unless_it_is_linked() {
    let (status, _, state) = after(&[qr(), passkey(), refused()]);
    assert_eq!(status, SessionPhase::ScanQr);
    assert!(state.is_resting() && state.passkey.is_none());
    let (status, ..) = after(&[qr(), passkey(), LinkEvent::Paired, refused()]);
    assert_eq!(status, SessionPhase::Connecting);
}

#[test]
fn a_request_for_a_passkey_that_cannot_be_read_is_told() {
    let options = "{}".to_owned();
    let (status, reason, state) = after(&[qr(), LinkEvent::PasskeyRequested { options }]);
    assert_eq!((status, state.qr), (SessionPhase::ScanQr, None));
    assert!(reason.unwrap().contains("cannot be read"));
}

#[test]
fn a_code_is_nothing_to_print() {
    let (_, _, state) = after(&[qr()]);
    assert!(!format!("{state:?}").contains("2@x"), "{state:?}");
}

#[test]
fn an_expired_code_is_said_to_be() {
    let (status, reason, state) = after(&[qr(), LinkEvent::QrExpired, LinkEvent::Ended]);
    assert_eq!(
        (status, reason.as_deref(), state.qr.clone()),
        (SessionPhase::ScanQr, Some("expired"), None)
    );
    assert!(state.is_qr_expired() && state.is_resting());
}

#[test]
fn the_reason_to_be_offline_outlives_the_next_try() {
    let (status, reason, _) = after(&[LinkEvent::Online, offline(), LinkEvent::Dialling]);
    assert_eq!(
        (status, reason.as_deref()),
        (SessionPhase::Connecting, Some("cut"))
    );
    let (status, reason, _) = after(&[
        LinkEvent::Online,
        offline(),
        LinkEvent::Dialling,
        LinkEvent::Online,
    ]);
    assert_eq!((status, reason), (SessionPhase::Online, None));
}

#[test]
fn a_connection_that_is_dialled_again_is_not_online_meanwhile() {
    assert_eq!(
        after(&[LinkEvent::Online, LinkEvent::Dialling]).0,
        SessionPhase::Connecting
    );
}

#[test]
fn a_link_that_ends_without_a_word_leaves_the_session_offline() {
    let (_, _, mut state) = after(&[LinkEvent::Online]);
    state.clear_link(at(9));
    assert_eq!(
        (state.status, state.reason.as_deref()),
        (SessionPhase::Offline, Some("the connection ended"))
    );
    let (_, _, mut state) = after(&[qr(), LinkEvent::QrExpired]);
    state.clear_link(at(9));
    assert!(state.is_qr_expired());
}

#[test]
fn a_logged_out_device_is_paired_no_more() {
    let (status, _, state) = after(&[
        LinkEvent::Paired,
        LinkEvent::Online,
        LinkEvent::LoggedOut {
            reason: "gone".to_owned(),
        },
    ]);
    assert_eq!(
        (status, state.paired, state.is_resting()),
        (SessionPhase::LoggedOut, false, true)
    );
}

#[test]
fn retries_slow_down_and_have_a_ceiling() {
    let delays = [0, 1, 2, 20].map(|failures| next_action(&LinkEnd::Unexplained, failures));
    assert_eq!(
        delays,
        [2, 4, 8, 300].map(|seconds| NextAction::After(Duration::from_secs(seconds)))
    );
    let banned = LinkEnd::Refused {
        wait: Some(Duration::from_secs(3600)),
    };
    assert_eq!(
        next_action(&banned, 0),
        NextAction::After(Duration::from_secs(3600))
    );
    assert_eq!(next_action(&LinkEnd::Expired, 9), NextAction::OnRequest);
}
