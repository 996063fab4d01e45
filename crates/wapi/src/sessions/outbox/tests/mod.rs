//! The outbox's guarantees: when it retries, when it gives up, and how it settles the messages of
//! an unlinked device.

mod model;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn message(place: i64) -> Message {
    Message {
        place: Place(place),
        chat: "bob".to_owned(),
        send_at: None,
        expires_at: None,
        haste: Haste::Patient,
        is_marked: true,
        may_have_left: false,
        has_file: false,
    }
}

#[test]
fn what_whatsapp_never_answers_is_given_up_after_a_while() {
    let mut at = Moment {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    let mut outbox = Outbox::new(PATIENCE);
    outbox.line_is(Line::Up);
    outbox.accept(message(1), at);
    outbox.accept(message(2), at);
    let (mut asked, mut verdicts) = (0, Vec::new());
    while verdicts.last() != Some(&Verdict::LeftInDoubt) {
        for step in outbox.next(at) {
            match step {
                Step::HandOver(Place(1)) => asked += 1,
                Step::Judge(Place(1), verdict) => verdicts.push(verdict),
                other => assert_eq!(
                    other,
                    Step::HandOver(Place(2)),
                    "only after the first is given up"
                ),
            }
        }
        let pause = outbox.quiet_for(at).unwrap();
        (at.now, at.uptime) = (at.now + pause, at.uptime + pause);
    }
    assert_eq!(
        (asked, verdicts),
        (ASKED, vec![Verdict::InDoubt, Verdict::LeftInDoubt])
    );
}

#[test]
fn what_whatsapp_says_for_good_is_not_asked_again() {
    let at = Moment {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    for outcome in [
        HandedOver::NobodyThere,
        HandedOver::NotInGroup,
        HandedOver::NoNewsletter,
        HandedOver::NotNewsletterAdmin,
    ] {
        let mut outbox = Outbox::new(PATIENCE);
        outbox.line_is(Line::Up);
        outbox.accept(message(1), at);
        assert_eq!(outbox.next(at), [Step::HandOver(Place(1))]);
        outbox.handed_over(Place(1), &outcome, at);
        let steps = outbox.next(at);
        assert!(
            matches!(&steps[..], [Step::Judge(Place(1), Verdict::Failed(_))]),
            "{outcome:?}: {steps:?}"
        );
    }
}

#[test]
fn when_the_device_is_gone_nothing_waits_for_another_one() {
    let at = Moment {
        now: Timestamp::UNIX_EPOCH,
        uptime: Duration::ZERO,
    };
    let mut outbox = Outbox::new(PATIENCE);
    outbox.line_is(Line::Up);
    outbox.accept(message(1), at);
    outbox.accept(message(2), at);
    assert_eq!(outbox.next(at), [Step::HandOver(Place(1))]);
    outbox.device_is_gone();
    let expected = [
        Step::Judge(Place(1), Verdict::LeftInDoubt),
        Step::Judge(Place(2), failures::logged_out()),
    ];
    assert_eq!(outbox.next(at), expected);
    assert!(outbox.is_empty() && outbox.quiet_for(at).is_none());
}
