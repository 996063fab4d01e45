//! Random histories of callers, connections, answers, failures and crashes: each message leaves
//! once, in order and in time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::super::*;
use super::PATIENCE;
use crate::store::OpenMessage;

/// One event of a history.
#[derive(Debug, Clone)]
enum Happening {
    Accept {
        chat: u8,
        haste: Haste,
        has_file: bool,
        send_in: Option<u8>,
        expires_in: Option<u8>,
    },
    Line(Line),
    /// WhatsApp answers one of the unanswered messages.
    Answer {
        which: usize,
        answer: Answer,
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
enum Answer {
    Ack,
    Nack,
    Lost,
}

/// The engine's results for a handed-over message, repeated in this order.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Arrives,
    ArrivesUnclear,
    LostUnclear,
    Offline,
    Failed,
    /// Neither the engine nor WhatsApp answers.
    Hangs,
}

fn happening() -> impl Strategy<Value = Happening> {
    let haste = prop_oneof![4 => Just(Haste::Patient), 1 => Just(Haste::NowOrNever)];
    let maybe = || prop_oneof![3 => Just(None), 1 => (1..60_u8).prop_map(Some)];
    let accept = (
        0..3_u8,
        haste,
        proptest::bool::weighted(0.2),
        maybe(),
        maybe(),
    )
        .prop_map(
            |(chat, haste, has_file, send_in, expires_in)| Happening::Accept {
                chat,
                haste,
                has_file,
                send_in,
                expires_in,
            },
        );
    let answer =
        prop_oneof![4 => Just(Answer::Ack), 1 => Just(Answer::Nack), 1 => Just(Answer::Lost)];
    prop_oneof![
        6 => accept,
        3 => Just(Happening::Line(Line::Up)),
        1 => Just(Happening::Line(Line::Down)),
        6 => (any::<usize>(), answer).prop_map(|(which, answer)| Happening::Answer { which, answer }),
        2 => (1..40_u8).prop_map(|seconds| Happening::Pass { seconds }),
        2 => any::<usize>().prop_map(|which| Happening::TakeBack { which }),
        1 => Just(Happening::Crash),
    ]
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        8 => Just(Luck::Arrives),
        1 => Just(Luck::ArrivesUnclear),
        1 => Just(Luck::LostUnclear),
        1 => Just(Luck::Offline),
        1 => Just(Luck::Failed),
        1 => Just(Luck::Hangs),
    ]
}

/// The outbox in its environment.
struct World {
    outbox: Outbox,
    at: Moment,
    /// The database: each message, whether it is recorded as attempted, and its outcome.
    rows: BTreeMap<Place, (Message, Timestamp, Option<Verdict>)>,
    /// Outcomes on their way to the database.
    unwritten: Vec<(Place, Verdict)>,
    /// Messages received by the phones, each once, in the order of arrival.
    phones: Vec<Place>,
    /// Accepted by WhatsApp, and not answered yet.
    unanswered: Vec<Place>,
    /// Handed over at least once, or recorded as attempted when a crash came.
    may_have_left: BTreeSet<Place>,
    luck: std::iter::Cycle<std::vec::IntoIter<Luck>>,
}

impl World {
    fn new(luck: Vec<Luck>) -> Self {
        Self {
            outbox: Outbox::new(PATIENCE),
            at: Moment {
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

    fn live(&mut self, happening: Happening) {
        match happening {
            Happening::Accept {
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
            Happening::Line(line) => {
                if line == Line::Down {
                    self.unanswered.clear();
                }
                self.outbox.line_is(line);
            }
            Happening::Answer { which, answer } => self.answer(which, answer),
            Happening::Pass { seconds } => self.pass(Duration::from_secs(seconds.into())),
            Happening::TakeBack { which } => {
                let open: Vec<_> = self
                    .rows
                    .keys()
                    .copied()
                    .filter(|place| self.outbox.contains(*place))
                    .collect();
                if !open.is_empty() {
                    self.outbox.cancel(open[which % open.len()]);
                }
            }
            Happening::Crash => self.crash(),
        }
        self.work();
    }

    fn accept(
        &mut self,
        chat: &str,
        haste: Haste,
        has_file: bool,
        send_in: Option<u8>,
        expires_in: Option<u8>,
    ) {
        let after = |seconds: Option<u8>| {
            seconds.map(|s| self.at.now + SignedDuration::from_secs(s.into()))
        };
        let (send_at, expires_at) = match haste {
            Haste::Patient => (after(send_in), after(expires_in)),
            Haste::NowOrNever => (None, after(Some(20))),
        };
        let may_wait = send_at.is_some() || (expires_at.is_some() && haste == Haste::Patient);
        let message = Message {
            place: Place(self.rows.len() as i64 + 1),
            chat: chat.to_owned(),
            send_at,
            expires_at,
            haste,
            is_marked: !may_wait && self.outbox.would_leave(chat),
            may_have_left: false,
            has_file,
        };
        self.rows
            .insert(message.place, (message.clone(), self.at.now, None));
        self.outbox.accept(message, self.at);
    }

    fn answer(&mut self, which: usize, answer: Answer) {
        if self.unanswered.is_empty() {
            return;
        }
        let place = self.unanswered.remove(which % self.unanswered.len());
        match answer {
            Answer::Lost => {}
            Answer::Nack if !self.phones.contains(&place) => {
                self.outbox.answered(place, failures::logged_out())
            }
            Answer::Ack | Answer::Nack => {
                self.arrive(place);
                self.outbox
                    .answered(place, Verdict::Sent { at: self.at.now });
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
        let open = open.map(|(message, accepted_at, _)| OpenMessage {
            place: message.place,
            id: String::new(),
            chat: message.chat.clone(),
            accepted_at: *accepted_at,
            send_at: message.send_at,
            expires_at: message.expires_at,
            may_have_left: message.is_marked,
            needs_fetching: message.has_file,
            is_vote: false,
        });
        for left in in_order(open.collect()) {
            let (message, _, _) = &self.rows[&left.place];
            if left.may_have_left {
                self.may_have_left.insert(left.place);
            }
            let message = Message {
                haste: Haste::Patient,
                may_have_left: left.may_have_left,
                ..message.clone()
            };
            self.outbox.accept(message, self.at);
        }
    }

    fn arrive(&mut self, place: Place) {
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
            let steps = self.outbox.next(self.at);
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

    fn take(&mut self, step: Step) {
        match step {
            Step::Judge(_, Verdict::InDoubt) => {}
            Step::Judge(place, verdict) => self.unwritten.push((place, verdict)),
            Step::Prepare(place) => self.outbox.prepared(place, Ok(()), self.at),
            Step::Mark(places) => {
                for place in &places {
                    self.rows
                        .get_mut(place)
                        .expect("only what was accepted is marked")
                        .0
                        .is_marked = true;
                }
                self.outbox.marked(&places, Ok(()), self.at);
            }
            Step::HandOver(place) => self.hand_over(place),
        }
    }

    fn hand_over(&mut self, place: Place) {
        let (message, _, verdict) = &self.rows[&place];
        assert!(verdict.is_none(), "{place:?} leaves after {verdict:?}");
        assert!(
            message.is_marked,
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
        if matches!(luck, Luck::Arrives | Luck::ArrivesUnclear) {
            self.arrive(place);
        }
        if !matches!(luck, Luck::Offline | Luck::Failed) {
            self.may_have_left.insert(place);
        }
        let outcome = match luck {
            Luck::Arrives => {
                self.unanswered.push(place);
                HandedOver::Left
            }
            Luck::ArrivesUnclear | Luck::LostUnclear => HandedOver::Unclear,
            Luck::Offline => HandedOver::Offline,
            Luck::Failed => HandedOver::Failed,
            Luck::Hangs => return,
        };
        self.outbox.handed_over(place, &outcome, self.at);
    }

    /// From now on everything succeeds.
    fn end_well(&mut self) {
        self.luck = vec![Luck::Arrives].into_iter().cycle();
        self.live(Happening::Line(Line::Down));
        self.live(Happening::Line(Line::Up));
        for _ in 0..10_000 {
            while !self.unanswered.is_empty() {
                self.live(Happening::Answer {
                    which: 0,
                    answer: Answer::Ack,
                });
            }
            match self.outbox.quiet_for(self.at) {
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
        let lane = |place: &Place| self.rows[place].0.chat.clone();
        for (place, (message, _, verdict)) in &self.rows {
            let is_there = self.phones.contains(place);
            match verdict.as_ref().expect("everything is settled") {
                Verdict::Sent { .. } => {
                    assert!(is_there, "{place:?} is called sent and is nowhere")
                }
                Verdict::Failed(failure) => {
                    assert!(!is_there, "{place:?} is called {failure:?} and is there")
                }
                Verdict::Cancelled => assert!(!is_there, "{place:?} was taken back and is there"),
                Verdict::LeftInDoubt => assert!(self.may_have_left.contains(place)),
                Verdict::InDoubt => unreachable!("a doubt is no end"),
            }
            let scheduled = |place: &Place| self.rows[place].0.send_at.is_some();
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
        let mut world = World::new(luck);
        for happening in happenings {
            world.live(happening);
        }
        world.end_well();
        world.check();
    }
}
