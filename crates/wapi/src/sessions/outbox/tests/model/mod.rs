//! Random histories of callers, connections, answers, failures and crashes: each message leaves
//! once, in order and in time.

mod checks;
mod events;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use self::events::{EngineLuck, ModelAnswer, ModelEvent, happening, luck};
use super::super::*;
use super::{PATIENCE, chat_of, message};
use crate::model::send_hold::{Pacing, SendHold};
use crate::store::{AttemptMark, Departure};

/// A step that takes its time.
#[derive(Debug, Clone)]
enum SlowStep {
    /// With the answer as it was when the question was asked.
    Lookup(MessageSeq, ChatFamiliarity),
    Trust(SendAttempt),
    Typing(SendAttempt),
    Record(Vec<AttemptMark>, Timestamp),
    Clear(Vec<MessageSeq>),
}

/// The outbox in its environment.
struct OutboxModel {
    outbox: Outbox,
    at: OutboxClock,
    /// The database: each message and its outcome.
    rows: BTreeMap<MessageSeq, (QueuedMessage, Option<SendOutcome>)>,
    /// When which message was marked, and whether it counts as a new contact.
    marks: BTreeMap<MessageSeq, (Timestamp, Option<bool>)>,
    slow: Vec<SlowStep>,
    /// The reason of each held message.
    holds: BTreeMap<MessageSeq, SendHold>,
    pacing: Pacing,
    /// Outcomes on their way to the database.
    unwritten: Vec<(MessageSeq, SendOutcome)>,
    /// Messages received by the phones, each once, in the order of arrival.
    phones: Vec<MessageSeq>,
    /// Handed over to WhatsApp, and not answered yet; whether WhatsApp may still refuse it.
    unanswered: Vec<(MessageSeq, bool)>,
    /// Handed over at least once, or recorded as attempted when a crash came.
    may_have_left: BTreeSet<MessageSeq>,
    /// Those of them of which every attempt but the last certainly did not leave.
    left_once: BTreeSet<MessageSeq>,
    /// Refused as the first message to a new contact.
    refused: BTreeSet<MessageSeq>,
    limits: NewChatLimits,
    /// Chats whose people have written.
    known: HashSet<ChatId>,
    /// Refused messages for which no token was found since their person last wrote: WhatsApp holds
    /// them to be first ones all the same.
    untrusted: BTreeSet<MessageSeq>,
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
            marks: BTreeMap::new(),
            slow: Vec::new(),
            holds: BTreeMap::new(),
            pacing: Pacing::default(),
            unwritten: Vec::new(),
            phones: Vec::new(),
            unanswered: Vec::new(),
            may_have_left: BTreeSet::new(),
            left_once: BTreeSet::new(),
            refused: BTreeSet::new(),
            limits: NewChatLimits::default(),
            known: HashSet::from([chat_of(0)]),
            untrusted: BTreeSet::new(),
            luck: luck.into_iter().cycle(),
        }
    }

    fn live(&mut self, happening: ModelEvent) {
        match happening {
            ModelEvent::Accept {
                chat,
                mode,
                has_file,
                send_in,
                expires_in,
            } => {
                self.accept(chat_of(chat), mode, has_file, send_in, expires_in);
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
                    .filter(|seq| self.outbox.contains(*seq))
                    .collect();
                if !open.is_empty() {
                    self.outbox.cancel_message(open[which % open.len()]);
                }
            }
            ModelEvent::Limit(limits) => {
                self.limits = limits.clone();
                self.outbox.set_new_chat_limits(limits);
            }
            ModelEvent::Write { chat } => {
                self.known.insert(chat_of(chat));
                let rows = &self.rows;
                self.untrusted.retain(|seq| rows[seq].0.to != chat_of(chat));
                self.outbox.recheck_chats(&HashSet::from([chat_of(chat)]));
            }
            ModelEvent::Pace(pacing) => {
                self.pacing = pacing;
                self.set_pacing();
            }
            ModelEvent::Finish { which, fails } if !self.slow.is_empty() => {
                let step = self.slow.remove(which % self.slow.len());
                self.finish(step, fails);
            }
            ModelEvent::Finish { .. } => {}
            ModelEvent::Crash => self.crash(),
        }
        self.work();
        self.check_agreement();
    }

    /// Tells the outbox of the pace, and of the messages in the database.
    fn set_pacing(&mut self) {
        self.outbox.set_pacing(self.pacing);
        if self.pacing.delays() {
            let stored = self.departures().into_iter().map(|(seq, new)| Departure {
                seq,
                id: self.rows[&seq].0.id.clone(),
                at: self.marks[&seq].0,
                new_chat: Some(self.rows[&seq].0.to.clone()).filter(|_| new),
            });
            let stored = stored.collect();
            self.outbox.load_departures(stored, self.at);
        }
    }

    fn finish(&mut self, step: SlowStep, fails: bool) {
        match step {
            SlowStep::Lookup(seq, _) if fails => self.outbox.finish_check(seq, None, self.at),
            SlowStep::Lookup(seq, found) => self.outbox.finish_check(seq, Some(found), self.at),
            SlowStep::Trust(attempt) => {
                let is_trusted = self.known.contains(&self.rows[&attempt.seq].0.to) && !fails;
                if !is_trusted {
                    self.untrusted.insert(attempt.seq);
                }
                self.outbox.finish_trust_check(attempt, is_trusted);
            }
            SlowStep::Typing(attempt) => self.outbox.finish_typing(attempt),
            SlowStep::Record(marks, _) => {
                let seqs: Vec<_> = marks.iter().map(|mark| mark.seq).collect();
                for mark in marks.iter().filter(|_| !fails) {
                    let (message, outcome) = self.rows.get_mut(&mark.seq).expect("it was accepted");
                    if outcome.is_none() && !message.is_recorded {
                        message.is_recorded = true;
                        self.marks.insert(mark.seq, (self.at.now, mark.is_new_chat));
                    }
                }
                let outcome = if fails { Err(()) } else { Ok(()) };
                self.outbox.finish_recording(&seqs, outcome, self.at);
            }
            SlowStep::Clear(seqs) if fails => self.slow.push(SlowStep::Clear(seqs)),
            SlowStep::Clear(seqs) => {
                for seq in &seqs {
                    let (message, outcome) = self.rows.get_mut(seq).expect("it was accepted");
                    if outcome.is_none() {
                        assert!(
                            !self.may_have_left.contains(seq) && !self.phones.contains(seq),
                            "{seq:?} may have left, and its mark is taken back"
                        );
                        message.is_recorded = false;
                        self.marks.remove(seq);
                    }
                }
                self.outbox.finish_clearing(&seqs);
            }
        }
    }

    fn accept(
        &mut self,
        to: ChatId,
        mode: SendMode,
        has_file: bool,
        send_in: Option<u8>,
        expires_in: Option<u8>,
    ) {
        let after = |seconds: Option<u8>| {
            seconds.map(|s| self.at.now + SignedDuration::from_secs(s.into()))
        };
        let (send_at, expires_at) = match mode {
            SendMode::Queued => (after(send_in), after(expires_in)),
            SendMode::Immediate => (None, after(Some(20))),
        };
        let may_wait = send_at.is_some() || (expires_at.is_some() && mode == SendMode::Queued);
        let message = QueuedMessage {
            accepted_at: self.at.now,
            send_at,
            expires_at,
            is_recorded: !may_wait && self.outbox.can_leave(&to),
            needs_download: has_file,
            to,
            ..message(self.rows.len() as i64 + 1)
        };
        if message.is_recorded {
            self.marks.insert(message.seq, (self.at.now, None));
        }
        self.rows.insert(message.seq, (message.clone(), None));
        self.outbox.add_message(Arc::new(message), mode, self.at);
    }

    fn answer(&mut self, which: usize, answer: ModelAnswer) {
        if self.unanswered.is_empty() {
            return;
        }
        let (seq, is_open) = self.unanswered.remove(which % self.unanswered.len());
        match answer {
            ModelAnswer::Lost => {}
            ModelAnswer::NewChat if is_open && self.outbox.contains(seq) => {
                // It is sent only once more.
                if self.refused.insert(seq) {
                    if self.left_once.contains(&seq) {
                        self.may_have_left.remove(&seq);
                    }
                    let attempt = self.outbox.start_trust_check(seq);
                    self.slow.extend(attempt.map(SlowStep::Trust));
                } else {
                    let refusal = SendFailure::WhatsappRefused("".into());
                    self.outbox.record_answer(seq, SendOutcome::Failed(refusal));
                }
            }
            ModelAnswer::Nack if is_open => {
                let refusal = SendFailure::WhatsappRefused("".into());
                self.outbox.record_answer(seq, SendOutcome::Failed(refusal));
            }
            // Another attempt has settled the message, and this one is refused.
            ModelAnswer::NewChat if is_open => {}
            ModelAnswer::Ack | ModelAnswer::Nack | ModelAnswer::NewChat => {
                self.arrive(seq);
                self.outbox
                    .record_answer(seq, SendOutcome::Sent { at: self.at.now });
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
        self.outbox.set_new_chat_limits(self.limits.clone());
        (self.slow, self.holds) = (Vec::new(), BTreeMap::new());
        (self.left_once, self.refused) = (BTreeSet::new(), BTreeSet::new());
        self.untrusted.clear();
        self.set_pacing();
        let unsettled = self
            .rows
            .values()
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(message, _)| QueuedMessage {
                may_have_left: message.is_recorded,
                ..message.clone()
            });
        for message in restore_order(unsettled.collect()) {
            if message.may_have_left {
                self.may_have_left.insert(message.seq);
            }
            self.outbox
                .add_message(Arc::new(message), SendMode::Queued, self.at);
        }
    }

    /// WhatsApp decides about the messages of a chat in the order in which they reach it: it has taken
    /// those that it has not refused by now.
    fn decide_earlier(&mut self, seq: MessageSeq, to: &ChatId) {
        let undecided = |(it, is_open): &&mut (MessageSeq, bool)| {
            *is_open && *it != seq && self.rows[it].0.to == *to
        };
        let mut taken = Vec::new();
        for (seq, is_open) in self.unanswered.iter_mut().filter(undecided) {
            *is_open = false;
            taken.push(*seq);
        }
        for seq in taken {
            self.arrive(seq);
        }
    }

    fn arrive(&mut self, seq: MessageSeq) {
        if !self.phones.contains(&seq) {
            self.phones.push(seq);
        }
    }

    /// Performs the outbox's steps until there are none.
    fn work(&mut self) {
        loop {
            // Outcomes of an earlier turn have reached the disk by now.
            for (seq, outcome) in self.unwritten.drain(..) {
                let row = self
                    .rows
                    .get_mut(&seq)
                    .expect("only what was accepted is judged");
                assert!(row.1.is_none(), "{seq:?} was judged twice");
                row.1 = Some(outcome);
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
            OutboxStep::RecordOutcome(seq, SendOutcome::Unconfirmed) => {
                self.left_once.remove(&seq);
            }
            OutboxStep::RecordOutcome(seq, outcome) => {
                self.holds.remove(&seq);
                self.unwritten.push((seq, outcome));
            }
            OutboxStep::Prepare(attempt) => self.outbox.finish_preparing(attempt, Ok(()), self.at),
            OutboxStep::ShowTyping(attempt) => self.slow.push(SlowStep::Typing(attempt)),
            OutboxStep::ClearAttempts(seqs) => self.slow.push(SlowStep::Clear(seqs)),
            OutboxStep::RecordAttempts(marks) => {
                self.check_pace(&marks);
                self.slow.push(SlowStep::Record(marks, self.at.now));
            }
            OutboxStep::CheckChats(seqs) => {
                for seq in seqs {
                    let found = match self.known.contains(&self.rows[&seq].0.to) {
                        true => ChatFamiliarity::Known,
                        false => ChatFamiliarity::New,
                    };
                    self.slow.push(SlowStep::Lookup(seq, found));
                }
            }
            OutboxStep::Hold(seq, hold) => drop(self.holds.insert(seq, hold)),
            OutboxStep::Release(seq) => drop(self.holds.remove(&seq)),
            OutboxStep::CountNewChat => {}
            OutboxStep::HandOver(attempt) => self.hand_over(attempt),
        }
    }

    fn hand_over(&mut self, attempt: SendAttempt) {
        let seq = attempt.seq;
        let (message, outcome) = &self.rows[&seq];
        assert!(outcome.is_none(), "{seq:?} leaves after {outcome:?}");
        assert!(
            message.is_recorded,
            "{seq:?} leaves, and the database does not know"
        );
        assert!(
            self.limits.hold.is_none() || self.known.contains(&message.to),
            "{seq:?} leaves during a lock"
        );
        let in_time = message.expires_at.is_none_or(|time| time > self.at.now);
        assert!(
            in_time || self.may_have_left.contains(&seq),
            "{seq:?} leaves for the first time after it expired"
        );
        assert!(
            message.send_at.is_none_or(|time| time <= self.at.now),
            "{seq:?} leaves too early"
        );
        let (to, luck) = (message.to.clone(), self.luck.next());
        let luck = luck.expect("luck goes round for ever");
        if !matches!(
            luck,
            EngineLuck::Offline | EngineLuck::Failed | EngineLuck::LostUnclear | EngineLuck::Hangs
        ) {
            self.decide_earlier(seq, &to);
        }
        if matches!(luck, EngineLuck::Arrives | EngineLuck::ArrivesUnclear) {
            self.arrive(seq);
        }
        if !matches!(luck, EngineLuck::Offline | EngineLuck::Failed) {
            match self.may_have_left.insert(seq) {
                true => self.left_once.insert(seq),
                false => self.left_once.remove(&seq),
            };
        }
        let outcome = match luck {
            EngineLuck::Arrives | EngineLuck::Reaches => {
                let is_open = matches!(luck, EngineLuck::Reaches);
                self.unanswered.push((seq, is_open));
                Ok(())
            }
            EngineLuck::ArrivesUnclear | EngineLuck::LostUnclear => Err(HandoverError::Unconfirmed),
            EngineLuck::Offline => Err(HandoverError::Offline),
            EngineLuck::Failed => Err(HandoverError::Failed(String::new())),
            EngineLuck::Hangs => return,
        };
        self.outbox.finish_handover(attempt, outcome, self.at);
    }

    /// From now on everything succeeds.
    fn end_well(&mut self) {
        self.luck = vec![EngineLuck::Arrives].into_iter().cycle();
        self.live(ModelEvent::Limit(NewChatLimits::default()));
        self.live(ModelEvent::Pace(Pacing::default()));
        self.live(ModelEvent::Line(OutboxConnectivity::Offline));
        self.live(ModelEvent::Line(OutboxConnectivity::Online));
        for _ in 0..10_000 {
            while !(self.slow.is_empty() && self.unanswered.is_empty()) {
                self.live(ModelEvent::Finish {
                    which: 0,
                    fails: false,
                });
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
