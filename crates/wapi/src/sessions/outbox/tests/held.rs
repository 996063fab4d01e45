//! Held messages: the reason reaches all that wait, and what has certainly not left does not count as
//! possibly sent.

use std::collections::HashSet;

use super::super::*;
use super::{PATIENCE, attempt, chat_of, hand_over, message, online};
use crate::model::send_hold::{HoldReason, Pacing, SendHold};

const LOCK: SendHold = SendHold {
    reason: HoldReason::Timelock,
    not_before: None,
};

fn locked() -> NewChatLimits {
    NewChatLimits {
        hold: Some(LOCK),
        quota: None,
    }
}

fn add(outbox: &mut Outbox, message: QueuedMessage, mode: SendMode, at: OutboxClock) {
    outbox.add_message(Arc::new(message), mode, at);
}

fn unrecorded(seq: i64) -> QueuedMessage {
    QueuedMessage {
        is_recorded: false,
        ..message(seq)
    }
}

#[test]
fn a_person_who_writes_while_they_are_looked_up_is_looked_up_anew() {
    let (mut outbox, at) = online();
    outbox.set_new_chat_limits(locked());
    add(&mut outbox, unrecorded(1), SendMode::Queued, at);
    let check = OutboxStep::CheckChats(vec![MessageSeq(1)]);
    assert_eq!(outbox.next_steps(at), std::slice::from_ref(&check));
    outbox.recheck_chats(&HashSet::from([chat_of(0)]));
    outbox.finish_check(MessageSeq(1), Some(ChatFamiliarity::New), at);
    assert_eq!(outbox.next_steps(at), [check]);
}

#[test]
fn a_connection_that_comes_back_asks_anew_what_the_former_one_was_asked() {
    let (mut outbox, at) = online();
    outbox.set_new_chat_limits(locked());
    add(&mut outbox, unrecorded(1), SendMode::Queued, at);
    let check = OutboxStep::CheckChats(vec![MessageSeq(1)]);
    assert_eq!(outbox.next_steps(at), std::slice::from_ref(&check));
    outbox.set_connectivity(OutboxConnectivity::Offline);
    outbox.set_connectivity(OutboxConnectivity::Online);
    outbox.finish_check(MessageSeq(1), Some(ChatFamiliarity::New), at);
    assert_eq!(outbox.next_steps(at), [check]);
}

#[test]
fn a_person_who_writes_while_their_message_is_refused_gets_it() {
    let (mut outbox, at) = online();
    add(&mut outbox, message(1), SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
    outbox.set_new_chat_limits(locked());
    outbox.recheck_chats(&HashSet::from([chat_of(0)]));
    outbox.finish_trust_check(check, false);
    let again = OutboxStep::CheckChats(vec![MessageSeq(1)]);
    assert_eq!(outbox.next_steps(at), [again]);
}

#[test]
fn a_refused_message_is_held_without_its_mark_and_with_all_behind_it() {
    let (mut outbox, at) = online();
    for seq in 1..=3 {
        add(&mut outbox, message(seq), SendMode::Queued, at);
    }
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
    outbox.set_new_chat_limits(locked());
    outbox.finish_trust_check(check, false);
    let all = [1, 2, 3].map(MessageSeq);
    let mut expected: Vec<_> = all.map(|seq| OutboxStep::Hold(seq, LOCK)).into();
    expected.push(OutboxStep::ClearAttempts(all.to_vec()));
    assert_eq!(outbox.next_steps(at), expected);
    // Until the store has written that, nothing leaves.
    outbox.set_new_chat_limits(NewChatLimits::default());
    assert_eq!(outbox.next_steps(at), []);
    outbox.finish_clearing(&all);
    let steps = outbox.next_steps(at);
    let released = all.map(OutboxStep::Release);
    assert_eq!(steps[..3], released);
    assert!(
        matches!(&steps[3..], [OutboxStep::RecordAttempts(marks)] if marks[0].seq == all[0]),
        "{steps:?}"
    );
}

#[test]
fn a_refused_message_that_may_have_left_before_keeps_its_mark() {
    let (mut outbox, at) = online();
    let before = QueuedMessage {
        may_have_left: true,
        ..message(1)
    };
    add(&mut outbox, before, SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
    outbox.set_new_chat_limits(locked());
    outbox.finish_trust_check(check, false);
    assert_eq!(
        outbox.next_steps(at),
        [OutboxStep::Hold(MessageSeq(1), LOCK)]
    );
    assert!(!outbox.cancel_message(MessageSeq(1)));
}

#[test]
fn a_refused_message_that_waits_for_a_connection_has_not_left() {
    for (is_trusted, waiting) in [(true, vec![1, 2]), (false, vec![2])] {
        let (mut outbox, at) = online();
        for seq in [1, 2] {
            add(&mut outbox, message(seq), SendMode::Queued, at);
        }
        assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
        let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
        outbox.set_connectivity(OutboxConnectivity::Offline);
        assert_eq!(outbox.next_steps(at), []);
        outbox.finish_trust_check(check, is_trusted);
        // All of the chat together, or the second one would overtake after a crash.
        let waiting = waiting.into_iter().map(MessageSeq).collect();
        let steps = outbox.next_steps(at);
        assert_eq!(steps.last(), Some(&OutboxStep::ClearAttempts(waiting)));
        assert!(outbox.cancel_message(MessageSeq(2)));
    }
}

#[test]
fn a_message_whose_refusal_is_final_counts_also_when_the_connection_has_ended() {
    let (mut outbox, at) = online();
    outbox.set_pacing(Pacing {
        per_day: Some(2),
        ..Pacing::default()
    });
    outbox.load_departures(Vec::new(), at);
    add(&mut outbox, message(1), SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
    outbox.set_connectivity(OutboxConnectivity::Offline);
    outbox.finish_trust_check(check, false);
    let steps = outbox.next_steps(at);
    assert!(
        matches!(
            steps[..],
            [OutboxStep::RecordOutcome(_, SendOutcome::Failed(_))]
        ),
        "{steps:?}"
    );
    assert_eq!(outbox.pace.counted(at.now), [(MessageSeq(1), false)]);
}

fn refused() -> SendOutcome {
    SendOutcome::Failed(SendFailure::WhatsappRefused("".into()))
}

#[test]
fn a_refusal_is_final_for_the_only_attempt_and_says_nothing_of_another() {
    let outcome = |outcome| [OutboxStep::RecordOutcome(MessageSeq(1), outcome)];
    // The answer to the only attempt comes late.
    let (mut outbox, mut at) = online();
    add(&mut outbox, message(1), SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    (at.now, at.uptime) = (at.now + PATIENCE, at.uptime + PATIENCE);
    assert_eq!(outbox.next_steps(at), outcome(SendOutcome::Unconfirmed));
    outbox.record_answer(MessageSeq(1), refused());
    assert_eq!(outbox.next_steps(at), outcome(refused()));

    // A second attempt is refused: by itself, or as one to a new contact.
    for is_new_chat in [false, true] {
        let (mut outbox, at) = online();
        add(&mut outbox, message(1), SendMode::Queued, at);
        assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
        outbox.set_connectivity(OutboxConnectivity::Offline);
        outbox.set_connectivity(OutboxConnectivity::Online);
        assert_eq!(outbox.next_steps(at)[1..], [hand_over(1, 2)]);
        if is_new_chat {
            let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
            outbox.finish_trust_check(check, false);
        } else {
            outbox.record_answer(MessageSeq(1), refused());
        }
        assert_eq!(outbox.next_steps(at), outcome(SendOutcome::LeftUnconfirmed));
    }

    // Nobody knows how often an earlier run tried.
    let (mut outbox, at) = online();
    let before = QueuedMessage {
        may_have_left: true,
        ..message(1)
    };
    add(&mut outbox, before, SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    outbox.record_answer(MessageSeq(1), refused());
    assert_eq!(outbox.next_steps(at), outcome(SendOutcome::LeftUnconfirmed));

    // An attempt that never reached WhatsApp needs no answer.
    let (mut outbox, mut at) = online();
    add(&mut outbox, message(1), SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    outbox.finish_handover(attempt(1, 1), Err(HandoverError::Offline), at);
    outbox.next_steps(at);
    outbox.finish_clearing(&[MessageSeq(1)]);
    (at.now, at.uptime) = (at.now + PATIENCE, at.uptime + PATIENCE);
    outbox.next_steps(at);
    outbox.finish_recording(&[MessageSeq(1)], Ok(()), at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 2)]);
    outbox.record_answer(MessageSeq(1), refused());
    assert_eq!(outbox.next_steps(at), outcome(refused()));
}

#[test]
fn those_that_join_a_held_chat_are_told_at_once() {
    let (mut outbox, at) = online();
    outbox.set_new_chat_limits(locked());
    add(&mut outbox, unrecorded(1), SendMode::Queued, at);
    outbox.next_steps(at);
    outbox.finish_check(MessageSeq(1), Some(ChatFamiliarity::New), at);
    add(&mut outbox, unrecorded(2), SendMode::Immediate, at);
    let failed = |seq| {
        let failure = SendOutcome::Failed(SendFailure::NewChatsHeld);
        OutboxStep::RecordOutcome(MessageSeq(seq), failure)
    };
    // It came before the decision.
    let first = OutboxStep::Hold(MessageSeq(1), LOCK);
    assert_eq!(outbox.next_steps(at), [first, failed(2)]);
    add(&mut outbox, unrecorded(3), SendMode::Queued, at);
    add(&mut outbox, unrecorded(4), SendMode::Immediate, at);
    let third = OutboxStep::Hold(MessageSeq(3), LOCK);
    assert_eq!(outbox.next_steps(at), [third, failed(4)]);
    // One that cancels the first leaves the other held.
    assert!(outbox.cancel_message(MessageSeq(1)));
    outbox.next_steps(at);
    outbox.finish_check(MessageSeq(3), Some(ChatFamiliarity::New), at);
    assert_eq!(outbox.next_steps(at), []);
}

#[test]
fn what_waits_for_its_turn_is_queued_when_the_connection_ends() {
    let (mut outbox, at) = online();
    for seq in 1..=2 {
        add(&mut outbox, message(seq), SendMode::Queued, at);
    }
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    outbox.set_connectivity(OutboxConnectivity::Offline);
    // One that was accepted as the connection ended.
    add(&mut outbox, message(3), SendMode::Queued, at);
    let expected = [
        OutboxStep::RecordOutcome(MessageSeq(1), SendOutcome::Unconfirmed),
        OutboxStep::ClearAttempts(vec![MessageSeq(2)]),
        OutboxStep::ClearAttempts(vec![MessageSeq(3)]),
    ];
    assert_eq!(outbox.next_steps(at), expected);
}

#[test]
fn a_result_of_an_earlier_attempt_does_not_count() {
    let (mut outbox, at) = online();
    add(&mut outbox, message(1), SendMode::Queued, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    outbox.set_connectivity(OutboxConnectivity::Offline);
    outbox.set_connectivity(OutboxConnectivity::Online);
    let steps = outbox.next_steps(at);
    assert_eq!(steps[1..], [hand_over(1, 2)]);
    for late in [
        HandoverError::Unconfirmed,
        HandoverError::Offline,
        HandoverError::Failed(String::new()),
        HandoverError::Rejected(SendFailure::NotOnWhatsapp),
    ] {
        outbox.finish_handover(attempt(1, 1), Err(late), at);
        assert_eq!(outbox.next_steps(at), []);
    }
    let check = outbox.start_trust_check(MessageSeq(1)).unwrap();
    outbox.finish_trust_check(attempt(1, 2), true);
    assert_eq!(outbox.next_steps(at), []);
    outbox.finish_trust_check(check, true);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 4)]);
}
