//! Ringing calls: their beginning and end as events, and their rejection. The media of calls is not
//! touched.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use whatsapp_rust::Jid;
use whatsapp_rust::types::call::{
    CallAction, CallEndedElsewhere, ElsewhereOutcome, IncomingCall, MissedCall, MissedReason,
};

use super::observer::{Happening, Others};
use crate::event::{CallEnd, CallEnded, CallIncoming, EventData};

/// Maximum number of calls ringing at the same time; above it the oldest are forgotten.
const MOST: usize = 64;

/// Details needed to reject a call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub id: String,
    pub from: Jid,
    pub creator: Jid,
}

/// Ringing calls of one session.
#[derive(Clone, Default)]
pub(super) struct Ringing(Arc<Mutex<VecDeque<Call>>>);

impl Ringing {
    fn add(&self, call: Call) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|known| known.id != call.id);
        if calls.len() >= MOST {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Removes a call, which no longer rings, and returns it; `None` if it was not ringing.
    pub fn take(&self, id: &str) -> Option<Call> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = calls.iter().position(|call| call.id == id)?;
        calls.remove(place)
    }
}

/// Converts a call stanza to its event and updates `ringing`; `None` for stanzas during a call.
pub(super) fn told(
    session: &str,
    call: &IncomingCall,
    others: &Others,
    ringing: &Ringing,
) -> Option<Happening> {
    let timestamp = Timestamp::from_second(call.timestamp.timestamp()).unwrap_or_default();
    match &call.action {
        CallAction::Offer {
            call_id,
            call_creator,
            caller_pn,
            is_video,
            group_jid,
            ..
        } => {
            ringing.add(Call {
                id: call_id.clone(),
                from: call.from.clone(),
                creator: call_creator.clone(),
            });
            let from = others.person(&call.from, caller_pn.as_ref(), call.notify.as_deref());
            let chat = from.id.clone();
            let data = CallIncoming {
                session: session.to_owned(),
                id: call_id.clone(),
                from,
                video: *is_video,
                group: group_jid.as_ref().map(Jid::to_non_ad_string),
                timestamp,
            };
            Some(Happening {
                chat,
                id: None,
                data: EventData::CallIncoming(Box::new(data)),
            })
        }
        CallAction::Terminate {
            call_id, reason, ..
        } => {
            let known = ringing.take(call_id)?;
            let reason = match reason.as_deref() {
                Some("accepted_elsewhere") => CallEnd::AcceptedElsewhere,
                Some("rejected_elsewhere") => CallEnd::Rejected,
                _ => CallEnd::Missed,
            };
            Some(ended(
                session,
                &known.id,
                &known.from,
                reason,
                timestamp,
                others,
            ))
        }
        _ => None,
    }
}

/// Converts a missed call to its event.
pub(super) fn missed(session: &str, call: &MissedCall, others: &Others) -> Happening {
    let reason = if matches!(call.reason, MissedReason::Offline) {
        CallEnd::Offline
    } else {
        CallEnd::Missed
    };
    let timestamp = Timestamp::from_second(call.timestamp.timestamp()).unwrap_or_default();
    ended(
        session,
        &call.call_id,
        &call.from,
        reason,
        timestamp,
        others,
    )
}

/// Converts a call that another device of the account has handled to its event.
pub(super) fn elsewhere(session: &str, call: &CallEndedElsewhere, others: &Others) -> Happening {
    let reason = match call.outcome {
        ElsewhereOutcome::Accepted => CallEnd::AcceptedElsewhere,
        _ => CallEnd::Rejected,
    };
    let timestamp = Timestamp::from_second(call.timestamp.timestamp()).unwrap_or_default();
    ended(
        session,
        &call.call_id,
        &call.from,
        reason,
        timestamp,
        others,
    )
}

pub(super) fn ended(
    session: &str,
    id: &str,
    from: &Jid,
    reason: CallEnd,
    timestamp: Timestamp,
    others: &Others,
) -> Happening {
    let from = others.person(from, None, None);
    let chat = from.id.clone();
    let data = CallEnded {
        session: session.to_owned(),
        id: id.to_owned(),
        from,
        reason,
        timestamp,
    };
    Happening {
        chat,
        id: None,
        data: EventData::CallEnded(Box::new(data)),
    }
}
