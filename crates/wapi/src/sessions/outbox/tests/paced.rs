//! The pace: what does not leave does not count, and what has left counts whatever changes.

use super::super::*;
use super::{attempt, chat_of, message, online};
use crate::model::send_hold::{HoldReason, Pacing};
use crate::store::Departure;

fn add(outbox: &mut Outbox, seq: i64, at: OutboxClock) {
    let message = QueuedMessage {
        is_recorded: false,
        to: chat_of(u8::try_from(seq).unwrap()),
        ..message(seq)
    };
    outbox.add_message(Arc::new(message), SendMode::Queued, at);
}

fn later(at: OutboxClock, seconds: u64) -> OutboxClock {
    let time = Duration::from_secs(seconds);
    OutboxClock {
        now: at.now + time,
        uptime: at.uptime + time,
    }
}

/// Lists the messages that are about to be recorded as possibly sent.
fn leaving(steps: &[OutboxStep]) -> Vec<i64> {
    let leaving = steps.iter().filter_map(|step| match step {
        OutboxStep::RecordAttempts(marks) => Some(marks.iter().map(|mark| mark.seq.0)),
        _ => None,
    });
    leaving.flatten().collect()
}

fn held(steps: &[OutboxStep]) -> Vec<(i64, HoldReason)> {
    let held = steps.iter().filter_map(|step| match step {
        OutboxStep::Hold(seq, hold) => Some((seq.0, hold.reason)),
        _ => None,
    });
    held.collect()
}

fn departure(seq: i64, at: Timestamp) -> Departure {
    Departure {
        seq: MessageSeq(seq),
        id: format!("3EB0{seq}"),
        at,
        new_chat: None,
    }
}

#[test]
fn a_caller_who_would_wait_in_vain_is_told_as_soon_as_that_is_known() {
    let (mut outbox, at) = online();
    outbox.set_pacing(Pacing {
        min_gap: 6,
        ..Pacing::default()
    });
    outbox.load_departures(Vec::new(), at);
    add(&mut outbox, 1, at);
    assert_eq!(leaving(&outbox.next_steps(at)), [1]);
    outbox.finish_recording(&[MessageSeq(1)], Ok(()), at);
    outbox.next_steps(at);
    let add = |outbox: &mut Outbox, seq: i64, within: u64| {
        let message = QueuedMessage {
            is_recorded: false,
            expires_at: Some(later(at, within).now),
            to: chat_of(u8::try_from(seq).unwrap()),
            ..message(seq)
        };
        outbox.add_message(Arc::new(message), SendMode::Immediate, at);
    };
    let failed = |seq| {
        let failure = SendOutcome::Failed(SendFailure::PaceHeld);
        OutboxStep::RecordOutcome(MessageSeq(seq), failure)
    };
    add(&mut outbox, 2, 6);
    assert_eq!(outbox.next_steps(at), [failed(2)]);
    // Both could be the next one, and one of them is.
    add(&mut outbox, 3, 10);
    add(&mut outbox, 4, 10);
    let gap = |seq| (seq, HoldReason::MinGap);
    assert_eq!(held(&outbox.next_steps(at)), [gap(3), gap(4)]);
    let steps = outbox.next_steps(later(at, 6));
    assert_eq!(leaving(&steps), [3]);
    assert!(steps.contains(&failed(4)), "{steps:?}");
}

#[test]
fn what_a_failing_disk_keeps_from_leaving_does_not_count() {
    let pacings = [
        Pacing {
            min_gap: 3_600,
            ..Pacing::default()
        },
        Pacing {
            per_day: Some(1),
            ..Pacing::default()
        },
    ];
    for pacing in pacings {
        let (mut outbox, at) = online();
        outbox.set_pacing(pacing);
        outbox.load_departures(Vec::new(), at);
        add(&mut outbox, 1, at);
        add(&mut outbox, 2, at);
        let steps = outbox.next_steps(at);
        assert_eq!((leaving(&steps), held(&steps).len()), (vec![1], 1));
        outbox.finish_recording(&[MessageSeq(1)], Err(()), at);
        // The other one takes its place.
        assert_eq!(leaving(&outbox.next_steps(at)), [2]);
        outbox.finish_recording(&[MessageSeq(2)], Err(()), at);
        let at = later(at, 2);
        assert_eq!(leaving(&outbox.next_steps(at)), [1]);
        outbox.finish_recording(&[MessageSeq(1)], Ok(()), at);
        // It is handed over, and the other one waits on.
        assert!(leaving(&outbox.next_steps(later(at, 10))).is_empty());
    }
}

#[test]
fn the_pause_goes_on_over_a_restart_and_another_pace() {
    let gap = |min_gap| Pacing {
        min_gap,
        ..Pacing::default()
    };
    let (mut outbox, start) = online();
    let at = OutboxClock {
        now: start.now + Duration::from_secs(1_000),
        ..start
    };
    // Eight of the sixty seconds are over.
    outbox.set_pacing(gap(60));
    outbox.load_departures(vec![departure(1, at.now - Duration::from_secs(8))], at);
    add(&mut outbox, 2, at);
    assert_eq!(held(&outbox.next_steps(at)), [(2, HoldReason::MinGap)]);
    outbox.set_pacing(gap(70));
    assert!(leaving(&outbox.next_steps(later(at, 61))).is_empty());
    outbox.set_pacing(gap(60));
    assert!(leaving(&outbox.next_steps(later(at, 51))).is_empty());
    assert_eq!(leaving(&outbox.next_steps(later(at, 52))), [2]);
}

#[test]
fn nothing_leaves_while_nobody_knows_how_many_have() {
    let (mut outbox, at) = online();
    outbox.set_pacing(Pacing {
        per_day: Some(2),
        ..Pacing::default()
    });
    add(&mut outbox, 2, at);
    assert_eq!(held(&outbox.next_steps(at)), [(2, HoldReason::PerDay)]);
    outbox.load_departures(vec![departure(1, at.now)], at);
    assert_eq!(leaving(&outbox.next_steps(at)), [2]);
    add(&mut outbox, 3, at);
    assert_eq!(held(&outbox.next_steps(at)), [(3, HoldReason::PerDay)]);
}

#[test]
fn a_message_that_is_typed_may_be_cancelled_and_then_does_not_count() {
    let (mut outbox, at) = online();
    outbox.set_pacing(Pacing {
        typing: true,
        per_day: Some(1),
        min_gap: 10,
        ..Pacing::default()
    });
    outbox.load_departures(Vec::new(), at);
    assert!(!outbox.can_leave(&chat_of(1)), "it is typed first");
    add(&mut outbox, 1, at);
    add(&mut outbox, 2, at);
    let steps = outbox.next_steps(at);
    assert_eq!(steps[0], OutboxStep::ShowTyping(attempt(1, 1)));
    assert!(outbox.cancel_message(MessageSeq(1)));
    let steps = outbox.next_steps(at);
    let typing = OutboxStep::ShowTyping(attempt(2, 1));
    assert!(steps.contains(&typing), "{steps:?}");
    outbox.finish_typing(attempt(2, 1));
    assert_eq!(leaving(&outbox.next_steps(at)), [2]);
}

#[test]
fn the_pause_begins_when_a_typed_message_leaves() {
    let (mut outbox, at) = online();
    outbox.set_pacing(Pacing {
        typing: true,
        min_gap: 3,
        ..Pacing::default()
    });
    outbox.load_departures(Vec::new(), at);
    add(&mut outbox, 1, at);
    add(&mut outbox, 2, at);
    assert_eq!(held(&outbox.next_steps(at)), [(2, HoldReason::MinGap)]);
    let at = later(at, 5);
    assert!(leaving(&outbox.next_steps(at)).is_empty());
    outbox.finish_typing(attempt(1, 1));
    assert_eq!(leaving(&outbox.next_steps(at)), [1]);
    outbox.finish_recording(&[MessageSeq(1)], Ok(()), at);
    let typing = OutboxStep::ShowTyping(attempt(2, 1));
    assert!(!outbox.next_steps(later(at, 2)).contains(&typing));
    assert!(outbox.next_steps(later(at, 3)).contains(&typing));
}

#[test]
fn a_connection_that_ends_while_a_message_is_typed_leaves_no_doubt() {
    let (mut outbox, at) = online();
    outbox.set_pacing(Pacing {
        typing: true,
        ..Pacing::default()
    });
    add(&mut outbox, 1, at);
    let typing = |number| OutboxStep::ShowTyping(attempt(1, number));
    assert_eq!(outbox.next_steps(at), [typing(1)]);
    outbox.set_connectivity(OutboxConnectivity::Offline);
    assert_eq!(outbox.next_steps(at), []);
    outbox.set_connectivity(OutboxConnectivity::Online);
    assert_eq!(outbox.next_steps(at), [typing(2)]);
    outbox.finish_typing(attempt(1, 1));
    assert_eq!(
        outbox.next_steps(at),
        [],
        "it belongs to the former connection"
    );
    outbox.finish_typing(attempt(1, 2));
    assert_eq!(leaving(&outbox.next_steps(at)), [1]);
}
