//! Session events that follow from a change of a session's state. Pure.

use jiff::Timestamp;

use super::history_sync::progress;
use super::{SessionPhase, SessionState};
use crate::model::event::{
    ConnectionInfo, EventData, HistoryProgress, PasskeyStep, SessionHistory, SessionPasskey,
    SessionQr, SessionStatus,
};
use crate::model::session_name::SessionName;

/// The part of the state before a change that is compared with the state after it.
pub(super) struct StateSnapshot {
    status: SessionPhase,
    reason: Option<String>,
    paired: bool,
    qr_expires_at: Option<Timestamp>,
    qr_text: Option<String>,
    passkey_step: Option<PasskeyStep>,
    history: Option<HistoryProgress>,
}

impl StateSnapshot {
    pub fn from_state(state: &SessionState) -> Self {
        Self {
            status: state.status,
            reason: state.reason.clone(),
            paired: state.paired,
            qr_expires_at: state.qr.as_ref().map(|qr| qr.expires_at),
            qr_text: state.qr.as_ref().map(|qr| qr.text.clone()),
            passkey_step: state.passkey.as_ref().map(|passkey| passkey.step),
            history: state.sync_progress.as_ref().map(progress::history_progress),
        }
    }
}

/// Returns the events of a change, in order.
pub(super) fn state_events(
    name: &SessionName,
    before: &StateSnapshot,
    after: &SessionState,
) -> Vec<EventData> {
    let mut events = Vec::new();
    if (before.status, &before.reason, before.paired) != (after.status, &after.reason, after.paired)
    {
        events.push(EventData::SessionStatus(Box::new(status_event(
            name, after,
        ))));
    }
    if let Some(qr) = &after.qr {
        let is_new = before.qr_text.as_ref() != Some(&qr.text)
            || before.qr_expires_at != Some(qr.expires_at);
        if is_new {
            events.push(EventData::SessionQr(SessionQr {
                session: name.as_str().to_owned(),
                text: qr.text.clone(),
                path: format!("/v1/sessions/{}/qr", name.url_segment()),
                expires_at: qr.expires_at,
                number: qr.number.number,
                total: qr.number.total,
            }));
        }
    }
    if let Some(passkey) = &after.passkey
        && before.passkey_step != Some(passkey.step)
    {
        events.push(EventData::SessionPasskey(Box::new(SessionPasskey {
            session: name.as_str().to_owned(),
            step: passkey.step,
            options: passkey.options.json.clone(),
            code: passkey.code.clone(),
            expires_at: passkey.expires_at,
        })));
    }
    if let Some(history) = after.sync_progress.as_ref().map(progress::history_progress)
        && before.history.as_ref() != Some(&history)
    {
        events.push(EventData::SessionHistory(SessionHistory {
            session: name.as_str().to_owned(),
            history,
        }));
    }
    events
}

fn status_event(name: &SessionName, state: &SessionState) -> SessionStatus {
    SessionStatus {
        session: name.as_str().to_owned(),
        status: state.status,
        reason: state.reason.clone(),
        since: state.since,
        paired: state.paired,
        connection: ConnectionInfo {
            state: state.status.connection_state(),
            since: state.connection_since,
        },
        account: state.account.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::event::ConnectionState;
    use crate::model::qr_number::QrNumber;
    use crate::sessions::QrCode;
    use crate::sessions::state_events::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The events of a change.
    fn changes(state: &mut SessionState, change: impl FnOnce(&mut SessionState)) -> Vec<EventData> {
        let before = StateSnapshot::from_state(state);
        change(state);
        state_events(&SessionName::parse("a shop").unwrap(), &before, state)
    }

    fn qr(text: &str) -> QrCode {
        QrCode {
            text: text.to_owned(),
            png: Vec::new(),
            expires_at: at(60),
            number: QrNumber {
                number: 1,
                total: 6,
            },
        }
    }

    #[test]
    fn only_what_is_new_is_told() {
        let mut state = SessionState::new(at(0));
        assert!(changes(&mut state, |_| {}).is_empty());
        let first = changes(&mut state, |state| state.set_qr_code(qr("2@x"), at(1)));
        let kinds: Vec<_> = first.iter().map(EventData::kind).collect();
        assert_eq!(kinds, ["session.status", "session.qr"]);
        assert!(changes(&mut state, |state| state.set_qr_code(qr("2@x"), at(2))).is_empty());
        let next = changes(&mut state, |state| state.set_qr_code(qr("2@y"), at(3)));
        let [EventData::SessionQr(code)] = &next[..] else {
            panic!("{next:?}")
        };
        assert_eq!(
            (code.text.as_str(), code.path.as_str()),
            ("2@y", "/v1/sessions/a%20shop/qr")
        );
    }

    #[test]
    fn another_reason_is_news() {
        let mut state = SessionState::new(at(0));
        let offline = |reason: &str| Some(reason.to_owned());
        changes(&mut state, |state| {
            state.set_status(SessionPhase::Offline, offline("cut"), at(1))
        });
        let again = changes(&mut state, |state| {
            state.set_status(SessionPhase::Offline, offline("refused"), at(2))
        });
        let [EventData::SessionStatus(status)] = &again[..] else {
            panic!("{again:?}")
        };
        assert_eq!(
            (status.status, status.reason.as_deref(), status.since),
            (SessionPhase::Offline, Some("refused"), at(1))
        );
        assert_eq!(
            (status.connection.state, status.connection.since),
            (ConnectionState::Offline, at(1))
        );
    }
}
