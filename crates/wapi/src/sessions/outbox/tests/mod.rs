//! The outbox's guarantees: when it retries, when it gives up, and how it settles the messages of
//! an unlinked device.

mod model;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn message(place: i64) -> QueuedMessage {
    QueuedMessage {
        seq: MessageSeq(place),
        chat: "bob".to_owned(),
        send_at: None,
        expires_at: None,
        mode: SendMode::Queued,
        is_recorded: true,
        may_have_left: false,
        has_file: false,
    }
}

#[test]
fn what_whatsapp_never_answers_is_given_up_after_a_while() {
    let mut at = OutboxClock {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    let mut outbox = Outbox::new(PATIENCE);
    outbox.set_connectivity(OutboxConnectivity::Online);
    outbox.add_message(message(1), at);
    outbox.add_message(message(2), at);
    let (mut asked, mut verdicts) = (0, Vec::new());
    while verdicts.last() != Some(&SendOutcome::LeftUnconfirmed) {
        for step in outbox.next_steps(at) {
            match step {
                OutboxStep::HandOver(MessageSeq(1)) => asked += 1,
                OutboxStep::RecordOutcome(MessageSeq(1), verdict) => verdicts.push(verdict),
                other => assert_eq!(
                    other,
                    OutboxStep::HandOver(MessageSeq(2)),
                    "only after the first is given up"
                ),
            }
        }
        let pause = outbox.time_to_deadline(at).unwrap();
        (at.now, at.uptime) = (at.now + pause, at.uptime + pause);
    }
    assert_eq!(
        (asked, verdicts),
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
    for outcome in [
        HandoverResult::NotOnWhatsapp,
        HandoverResult::NotInGroup,
        HandoverResult::NewsletterNotFound,
        HandoverResult::NotNewsletterAdmin,
    ] {
        let mut outbox = Outbox::new(PATIENCE);
        outbox.set_connectivity(OutboxConnectivity::Online);
        outbox.add_message(message(1), at);
        assert_eq!(outbox.next_steps(at), [OutboxStep::HandOver(MessageSeq(1))]);
        outbox.finish_handover(MessageSeq(1), &outcome, at);
        let steps = outbox.next_steps(at);
        assert!(
            matches!(
                &steps[..],
                [OutboxStep::RecordOutcome(
                    MessageSeq(1),
                    SendOutcome::Failed(_)
                )]
            ),
            "{outcome:?}: {steps:?}"
        );
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
    outbox.add_message(message(1), at);
    outbox.add_message(message(2), at);
    assert_eq!(outbox.next_steps(at), [OutboxStep::HandOver(MessageSeq(1))]);
    outbox.settle_unlinked();
    let expected = [
        OutboxStep::RecordOutcome(MessageSeq(1), SendOutcome::LeftUnconfirmed),
        OutboxStep::RecordOutcome(MessageSeq(2), failures::device_logged_out()),
    ];
    assert_eq!(outbox.next_steps(at), expected);
    assert!(outbox.is_empty() && outbox.time_to_deadline(at).is_none());
}
