//! Random histories of callers, connections, answers, failures and crashes: each message leaves
//! once, in order and in time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::super::*;
use super::PATIENCE;
use crate::store::UnsettledMessage;

/// One event of a history.
#[derive(Debug, Clone)]
enum ModelEvent {
    Accept {
        chat: u8,
        haste: SendMode,
        has_file: bool,
        send_in: Option<u8>,
        expires_in: Option<u8>,
    },
    Line(OutboxConnectivity),
    /// WhatsApp answers one of the unanswered messages.
    Answer {
        which: usize,
        answer: ModelAnswer,
    },
    Pass {
        seconds: u8,
    },
    /// A caller cancels an unsettled message.
    TakeBack {
        which: usize,
    },
    /// Unwritten data is lost.
    Crash,
}

#[derive(Debug, Clone, Copy)]
enum ModelAnswer {
    Ack,
    Nack,
    Lost,
}

/// The engine's results for a handed-over message, repeated in this order.
#[derive(Debug, Clone, Copy)]
enum EngineLuck {
    Arrives,
    ArrivesUnclear,
    LostUnclear,
    Offline,
    Failed,
    /// Neither the engine nor WhatsApp answers.
    Hangs,
}

fn happening() -> impl Strategy<Value = ModelEvent> {
    let haste = prop_oneof![4 => Just(SendMode::Queued), 1 => Just(SendMode::Immediate)];
    let maybe = || prop_oneof![3 => Just(None), 1 => (1..60_u8).prop_map(Some)];
    let accept = (
        0..3_u8,
        haste,
        proptest::bool::weighted(0.2),
        maybe(),
        maybe(),
    )
        .prop_map(
            |(chat, haste, has_file, send_in, expires_in)| ModelEvent::Accept {
                chat,
                haste,
                has_file,
                send_in,
                expires_in,
            },
        );
    let answer = prop_oneof![4 => Just(ModelAnswer::Ack), 1 => Just(ModelAnswer::Nack), 1 => Just(ModelAnswer::Lost)];
    prop_oneof![
        6 => accept,
        3 => Just(ModelEvent::Line(OutboxConnectivity::Online)),
        1 => Just(ModelEvent::Line(OutboxConnectivity::Offline)),
        6 => (any::<usize>(), answer).prop_map(|(which, answer)| ModelEvent::Answer { which, answer }),
        2 => (1..40_u8).prop_map(|seconds| ModelEvent::Pass { seconds }),
        2 => any::<usize>().prop_map(|which| ModelEvent::TakeBack { which }),
        1 => Just(ModelEvent::Crash),
    ]
}

fn luck() -> impl Strategy<Value = EngineLuck> {
    prop_oneof![
        8 => Just(EngineLuck::Arrives),
        1 => Just(EngineLuck::ArrivesUnclear),
        1 => Just(EngineLuck::LostUnclear),
        1 => Just(EngineLuck::Offline),
        1 => Just(EngineLuck::Failed),
        1 => Just(EngineLuck::Hangs),
    ]
}

/// The outbox in its environment.
struct OutboxModel {
    outbox: Outbox,
    at: OutboxClock,
    /// The database: each message, whether it is recorded as attempted, and its outcome.
    rows: BTreeMap<MessageSeq, (QueuedMessage, Timestamp, Option<SendOutcome>)>,
    /// Outcomes on their way to the database.
    unwritten: Vec<(MessageSeq, SendOutcome)>,
    /// Messages received by the phones, each once, in the order of arrival.
    phones: Vec<MessageSeq>,
    /// Accepted by WhatsApp, and not answered yet.
    unanswered: Vec<MessageSeq>,
    /// Handed over at least once, or recorded as attempted when a crash came.
    may_have_left: BTreeSet<MessageSeq>,
    luck: std::iter::Cycle<std::vec::IntoIter<EngineLuck>>,
}

impl OutboxModel {
    fn new(luck: Vec<EngineLuck>) -> Self {
        Self {
            outbox: Outbox::new(PATIENCE),
            at: OutboxClock {
                now: Timestamp::UNIX_EPOCH,
                uptime: Duration::ZERO,
            },
            rows: BTreeMap::new(),
            unwritten: Vec::new(),
            phones: Vec::new(),
            unanswered: Vec::new(),
            may_have_left: BTreeSet::new(),
            luck: luck.into_iter().cycle(),
        }
    }

    fn live(&mut self, happening: ModelEvent) {
        match happening {
            ModelEvent::Accept {
                chat,
                haste,
                has_file,
                send_in,
                expires_in,
            } => {
                self.accept(
                    &format!("chat {chat}"),
                    haste,
                    has_file,
                    send_in,
                    expires_in,
                );
            }
            ModelEvent::Line(line) => {
                if line == OutboxConnectivity::Offline {
                    self.unanswered.clear();
                }
                self.outbox.set_connectivity(line);
            }
            ModelEvent::Answer { which, answer } => self.answer(which, answer),
            ModelEvent::Pass { seconds } => self.pass(Duration::from_secs(seconds.into())),
            ModelEvent::TakeBack { which } => {
                let open: Vec<_> = self
                    .rows
                    .keys()
                    .copied()
                    .filter(|place| self.outbox.contains(*place))
                    .collect();
                if !open.is_empty() {
                    self.outbox.cancel_message(open[which % open.len()]);
                }
            }
            ModelEvent::Crash => self.crash(),
        }
        self.work();
    }

    fn accept(
        &mut self,
        chat: &str,
        haste: SendMode,
        has_file: bool,
        send_in: Option<u8>,
        expires_in: Option<u8>,
    ) {
        let after = |seconds: Option<u8>| {
            seconds.map(|s| self.at.now + SignedDuration::from_secs(s.into()))
        };
        let (send_at, expires_at) = match haste {
            SendMode::Queued => (after(send_in), after(expires_in)),
            SendMode::Immediate => (None, after(Some(20))),
        };
        let may_wait = send_at.is_some() || (expires_at.is_some() && haste == SendMode::Queued);
        let message = QueuedMessage {
            seq: MessageSeq(self.rows.len() as i64 + 1),
            chat: chat.to_owned(),
            send_at,
            expires_at,
            mode: haste,
            is_recorded: !may_wait && self.outbox.can_leave(chat),
            may_have_left: false,
            has_file,
        };
        self.rows
            .insert(message.seq, (message.clone(), self.at.now, None));
        self.outbox.add_message(message, self.at);
    }

    fn answer(&mut self, which: usize, answer: ModelAnswer) {
        if self.unanswered.is_empty() {
            return;
        }
        let place = self.unanswered.remove(which % self.unanswered.len());
        match answer {
            ModelAnswer::Lost => {}
            ModelAnswer::Nack if !self.phones.contains(&place) => self
                .outbox
                .record_answer(place, failures::device_logged_out()),
            ModelAnswer::Ack | ModelAnswer::Nack => {
                self.arrive(place);
                self.outbox
                    .record_answer(place, SendOutcome::Sent { at: self.at.now });
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.at.now += time;
        self.at.uptime += time;
    }

    /// Starts another run from the written data.
    fn crash(&mut self) {
        self.unwritten.clear();
        self.unanswered.clear();
        self.outbox = Outbox::new(PATIENCE);
        let open = self
            .rows
            .values()
            .filter(|(_, _, verdict)| verdict.is_none());
        let open = open.map(|(message, accepted_at, _)| UnsettledMessage {
            seq: message.seq,
            id: String::new(),
            chat: message.chat.clone(),
            accepted_at: *accepted_at,
            send_at: message.send_at,
            expires_at: message.expires_at,
            may_have_left: message.is_recorded,
            needs_download: message.has_file,
            is_vote: false,
        });
        for left in restore_order(open.collect()) {
            let (message, _, _) = &self.rows[&left.seq];
            if left.may_have_left {
                self.may_have_left.insert(left.seq);
            }
            let message = QueuedMessage {
                mode: SendMode::Queued,
                may_have_left: left.may_have_left,
                ..message.clone()
            };
            self.outbox.add_message(message, self.at);
        }
    }

    fn arrive(&mut self, place: MessageSeq) {
        if !self.phones.contains(&place) {
            self.phones.push(place);
        }
    }

    /// Performs the outbox's steps until there are none.
    fn work(&mut self) {
        loop {
            // Outcomes of an earlier turn have reached the disk by now.
            for (place, verdict) in self.unwritten.drain(..) {
                let row = self
                    .rows
                    .get_mut(&place)
                    .expect("only what was accepted is judged");
                assert!(row.2.is_none(), "{place:?} was judged twice");
                row.2 = Some(verdict);
            }
            let steps = self.outbox.next_steps(self.at);
            if steps.is_empty() {
                return;
            }
            for step in steps {
                self.take(step);
            }
            if !self.unwritten.is_empty() && self.unwritten.len().is_multiple_of(3) {
                return;
            }
        }
    }

    fn take(&mut self, step: OutboxStep) {
        match step {
            OutboxStep::RecordOutcome(_, SendOutcome::Unconfirmed) => {}
            OutboxStep::RecordOutcome(place, verdict) => self.unwritten.push((place, verdict)),
            OutboxStep::Prepare(place) => self.outbox.finish_preparing(place, Ok(()), self.at),
            OutboxStep::RecordAttempts(places) => {
                for place in &places {
                    self.rows
                        .get_mut(place)
                        .expect("only what was accepted is marked")
                        .0
                        .is_recorded = true;
                }
                self.outbox.finish_recording(&places, Ok(()), self.at);
            }
            OutboxStep::HandOver(place) => self.hand_over(place),
        }
    }

    fn hand_over(&mut self, place: MessageSeq) {
        let (message, _, verdict) = &self.rows[&place];
        assert!(verdict.is_none(), "{place:?} leaves after {verdict:?}");
        assert!(
            message.is_recorded,
            "{place:?} leaves, and the database does not know"
        );
        let in_time = message.expires_at.is_none_or(|time| time > self.at.now);
        assert!(
            in_time || self.may_have_left.contains(&place),
            "{place:?} leaves for the first time after it expired"
        );
        assert!(
            message.send_at.is_none_or(|time| time <= self.at.now),
            "{place:?} leaves too early"
        );
        let luck = self.luck.next().expect("luck goes round for ever");
        if matches!(luck, EngineLuck::Arrives | EngineLuck::ArrivesUnclear) {
            self.arrive(place);
        }
        if !matches!(luck, EngineLuck::Offline | EngineLuck::Failed) {
            self.may_have_left.insert(place);
        }
        let outcome = match luck {
            EngineLuck::Arrives => {
                self.unanswered.push(place);
                HandoverResult::Sent
            }
            EngineLuck::ArrivesUnclear | EngineLuck::LostUnclear => HandoverResult::Unconfirmed,
            EngineLuck::Offline => HandoverResult::Offline,
            EngineLuck::Failed => HandoverResult::Failed,
            EngineLuck::Hangs => return,
        };
        self.outbox.finish_handover(place, &outcome, self.at);
    }

    /// From now on everything succeeds.
    fn end_well(&mut self) {
        self.luck = vec![EngineLuck::Arrives].into_iter().cycle();
        self.live(ModelEvent::Line(OutboxConnectivity::Offline));
        self.live(ModelEvent::Line(OutboxConnectivity::Online));
        for _ in 0..10_000 {
            while !self.unanswered.is_empty() {
                self.live(ModelEvent::Answer {
                    which: 0,
                    answer: ModelAnswer::Ack,
                });
            }
            match self.outbox.time_to_deadline(self.at) {
                Some(pause) => self.pass(pause),
                None => break,
            }
            self.work();
        }
        self.work();
        assert!(
            self.outbox.is_empty(),
            "something is not settled although everything works"
        );
    }

    fn check(&self) {
        let lane = |place: &MessageSeq| self.rows[place].0.chat.clone();
        for (place, (message, _, verdict)) in &self.rows {
            let is_there = self.phones.contains(place);
            match verdict.as_ref().expect("everything is settled") {
                SendOutcome::Sent { .. } => {
                    assert!(is_there, "{place:?} is called sent and is nowhere")
                }
                SendOutcome::Failed(failure) => {
                    assert!(!is_there, "{place:?} is called {failure:?} and is there")
                }
                SendOutcome::Cancelled => {
                    assert!(!is_there, "{place:?} was taken back and is there")
                }
                SendOutcome::LeftUnconfirmed => assert!(self.may_have_left.contains(place)),
                SendOutcome::Unconfirmed => unreachable!("a doubt is no end"),
            }
            let scheduled = |place: &MessageSeq| self.rows[place].0.send_at.is_some();
            let chat = self
                .phones
                .iter()
                .filter(|other| lane(other) == message.chat && !scheduled(other));
            assert!(
                chat.is_sorted(),
                "{} is out of order: {:?}",
                message.chat,
                self.phones
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_message_leaves_once_in_order_and_in_time(
        happenings in proptest::collection::vec(happening(), 1..60),
        luck in proptest::collection::vec(luck(), 1..12),
    ) {
        let mut world = OutboxModel::new(luck);
        for happening in happenings {
            world.live(happening);
        }
        world.end_well();
        world.check();
    }
}
