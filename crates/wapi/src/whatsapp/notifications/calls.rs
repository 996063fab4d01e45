//! Ringing calls: their beginning and end as events, and their rejection. The media of calls is not
//! touched.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use whatsapp_rust::Jid;
use whatsapp_rust::types::call::{
    CallAction, CallEndedElsewhere, ElsewhereOutcome, IncomingCall, MissedCall, MissedReason,
};

use super::observer::{ChatEvent, KnownAddresses};
use crate::model::event::{CallEndReason, CallEnded, CallIncoming, EventData};

/// Maximum number of calls ringing at the same time; above it the oldest are forgotten.
const MAX_CALLS: usize = 64;

/// Details needed to reject a call.
#[derive(Debug, Clone)]
pub(in crate::whatsapp) struct RingingCall {
    pub id: String,
    pub from: Jid,
    pub creator: Jid,
}

/// Ringing calls of one session.
#[derive(Clone, Default)]
pub(in crate::whatsapp) struct RingingCalls(Arc<Mutex<VecDeque<RingingCall>>>);

impl RingingCalls {
    fn add_call(&self, call: RingingCall) {
        let mut calls = self.0.lock();
        calls.retain(|known| known.id != call.id);
        if calls.len() >= MAX_CALLS {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Removes a call, which no longer rings, and returns it; `None` if it was not ringing.
    pub fn take_call(&self, id: &str) -> Option<RingingCall> {
        let mut calls = self.0.lock();
        let index = calls.iter().position(|call| call.id == id)?;
        calls.remove(index)
    }
}

/// Converts a call stanza to its event and updates `ringing`; `None` for stanzas during a call.
pub(in crate::whatsapp) fn convert_call(
    session: &str,
    call: &IncomingCall,
    others: &KnownAddresses,
    ringing: &RingingCalls,
) -> Option<ChatEvent> {
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
            ringing.add_call(RingingCall {
                id: call_id.clone(),
                from: call.from.clone(),
                creator: call_creator.clone(),
            });
            let from = others.build_person(&call.from, caller_pn.as_ref(), call.notify.as_deref());
            let chat = from.id.clone();
            let data = CallIncoming {
                session: session.to_owned(),
                id: call_id.clone(),
                from,
                video: *is_video,
                group: group_jid.as_ref().map(Jid::to_non_ad_string),
                timestamp,
            };
            Some(ChatEvent {
                chat,
                id: None,
                data: EventData::CallIncoming(Box::new(data)),
            })
        }
        CallAction::Terminate {
            call_id, reason, ..
        } => {
            let known = ringing.take_call(call_id)?;
            let reason = match reason.as_deref() {
                Some("accepted_elsewhere") => CallEndReason::AcceptedElsewhere,
                Some("rejected_elsewhere") => CallEndReason::Rejected,
                _ => CallEndReason::Missed,
            };
            Some(build_call_ended(
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
pub(in crate::whatsapp) fn convert_missed_call(
    session: &str,
    call: &MissedCall,
    others: &KnownAddresses,
) -> ChatEvent {
    let reason = if matches!(call.reason, MissedReason::Offline) {
        CallEndReason::Offline
    } else {
        CallEndReason::Missed
    };
    let timestamp = Timestamp::from_second(call.timestamp.timestamp()).unwrap_or_default();
    build_call_ended(
        session,
        &call.call_id,
        &call.from,
        reason,
        timestamp,
        others,
    )
}

/// Converts a call that another device of the account has handled to its event.
pub(in crate::whatsapp) fn convert_call_elsewhere(
    session: &str,
    call: &CallEndedElsewhere,
    others: &KnownAddresses,
) -> ChatEvent {
    let reason = match call.outcome {
        ElsewhereOutcome::Accepted => CallEndReason::AcceptedElsewhere,
        _ => CallEndReason::Rejected,
    };
    let timestamp = Timestamp::from_second(call.timestamp.timestamp()).unwrap_or_default();
    build_call_ended(
        session,
        &call.call_id,
        &call.from,
        reason,
        timestamp,
        others,
    )
}

pub(in crate::whatsapp) fn build_call_ended(
    session: &str,
    id: &str,
    from: &Jid,
    reason: CallEndReason,
    timestamp: Timestamp,
    others: &KnownAddresses,
) -> ChatEvent {
    let from = others.build_person(from, None, None);
    let chat = from.id.clone();
    let data = CallEnded {
        session: session.to_owned(),
        id: id.to_owned(),
        from,
        reason,
        timestamp,
    };
    ChatEvent {
        chat,
        id: None,
        data: EventData::CallEnded(Box::new(data)),
    }
}
