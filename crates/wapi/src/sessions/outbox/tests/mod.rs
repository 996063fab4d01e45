//! The outbox's guarantees: when it retries, when it gives up, and how it settles the messages of
//! an unlinked device.

mod held;
mod model;
mod paced;

use super::*;
use crate::store::Life;

const PATIENCE: Duration = Duration::from_secs(20);

fn message(seq: i64) -> QueuedMessage {
    QueuedMessage {
        seq: MessageSeq(seq),
        id: format!("3EB0{seq}"),
        session: Life::for_test(1, "shop"),
        to: chat_of(0),
        accepted_at: Timestamp::UNIX_EPOCH,
        send_at: None,
        expires_at: None,
        is_recorded: true,
        may_have_left: false,
        needs_download: false,
        is_vote: false,
    }
}

fn chat_of(number: u8) -> ChatId {
    ChatId::Phone(format!("37544000000{number}"))
}

const fn attempt(seq: i64, number: u32) -> SendAttempt {
    let seq = MessageSeq(seq);
    SendAttempt { seq, number }
}

const fn hand_over(seq: i64, number: u32) -> OutboxStep {
    OutboxStep::HandOver(attempt(seq, number))
}

/// An outbox that is online, at the beginning of time.
fn online() -> (Outbox, OutboxClock) {
    let at = OutboxClock {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    let mut outbox = Outbox::new(PATIENCE);
    outbox.set_connectivity(OutboxConnectivity::Online);
    (outbox, at)
}

fn queue(outbox: &mut Outbox, seq: i64, at: OutboxClock) {
    outbox.add_message(Arc::new(message(seq)), SendMode::Queued, at);
}

#[test]
fn what_whatsapp_never_answers_is_given_up_after_a_while() {
    let mut at = OutboxClock {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    let mut outbox = Outbox::new(PATIENCE);
    outbox.set_connectivity(OutboxConnectivity::Online);
    queue(&mut outbox, 1, at);
    queue(&mut outbox, 2, at);
    let (mut asked, mut outcomes) = (0, Vec::new());
    while outcomes.last() != Some(&SendOutcome::LeftUnconfirmed) {
        for step in outbox.next_steps(at) {
            match step {
                OutboxStep::HandOver(SendAttempt {
                    seq: MessageSeq(1), ..
                }) => asked += 1,
                OutboxStep::RecordOutcome(MessageSeq(1), outcome) => outcomes.push(outcome),
                other => assert_eq!(other, hand_over(2, 1), "only after the first is given up"),
            }
        }
        let pause = outbox.time_to_deadline(at).unwrap();
        (at.now, at.uptime) = (at.now + pause, at.uptime + pause);
    }
    assert_eq!(
        (asked, outcomes),
        (
            MAX_UNANSWERED,
            vec![SendOutcome::Unconfirmed, SendOutcome::LeftUnconfirmed]
        )
    );
}

#[test]
fn what_whatsapp_says_for_good_is_not_asked_again() {
    let at = OutboxClock {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    for failure in [
        SendFailure::NotOnWhatsapp,
        SendFailure::GroupNotFound,
        SendFailure::NewsletterNotFound,
        SendFailure::NotNewsletterAdmin,
    ] {
        let mut outbox = Outbox::new(PATIENCE);
        outbox.set_connectivity(OutboxConnectivity::Online);
        queue(&mut outbox, 1, at);
        assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
        let rejected = HandoverError::Rejected(failure.clone());
        outbox.finish_handover(attempt(1, 1), Err(rejected), at);
        let steps = outbox.next_steps(at);
        let outcome = SendOutcome::Failed(failure);
        assert_eq!(steps, [OutboxStep::RecordOutcome(MessageSeq(1), outcome)]);
    }
}

#[test]
fn when_the_device_is_gone_nothing_waits_for_another_one() {
    let at = OutboxClock {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    let mut outbox = Outbox::new(PATIENCE);
    outbox.set_connectivity(OutboxConnectivity::Online);
    queue(&mut outbox, 1, at);
    queue(&mut outbox, 2, at);
    assert_eq!(outbox.next_steps(at), [hand_over(1, 1)]);
    outbox.settle_unlinked();
    let expected = [
        OutboxStep::RecordOutcome(MessageSeq(1), SendOutcome::LeftUnconfirmed),
        OutboxStep::RecordOutcome(
            MessageSeq(2),
            SendOutcome::Failed(SendFailure::SessionLoggedOut),
        ),
    ];
    assert_eq!(outbox.next_steps(at), expected);
    assert!(outbox.is_empty() && outbox.time_to_deadline(at).is_none());
}
