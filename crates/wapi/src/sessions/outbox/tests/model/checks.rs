//! The promises that hold at each moment of a history, and at its end.

use std::collections::{BTreeSet, HashSet};

use jiff::SignedDuration;

use super::super::super::*;
use super::{OutboxModel, SlowStep};
use crate::model::send_hold::Pacing;
use crate::store::AttemptMark;

impl OutboxModel {
    /// Lists the messages in the database that count, and whether each is a new contact.
    pub fn departures(&self) -> Vec<(MessageSeq, bool)> {
        let start = self.at.now - COUNTED;
        let mut found: Vec<_> = self.marks.iter().collect();
        found.sort_by_key(|(seq, (at, _))| (*at, **seq));
        let mut counted = Vec::new();
        for (seq, (at, new)) in found {
            let written = self.rows[seq].1.as_ref();
            let outcome = written.or_else(|| {
                let found = self.unwritten.iter().find(|(it, _)| it == seq);
                found.map(|(_, outcome)| outcome)
            });
            let has_left = outcome.is_none_or(SendOutcome::may_have_left);
            if *at > start && has_left {
                counted.push((*seq, *new == Some(true)));
            }
        }
        counted
    }

    /// The memory and the database say the same, as far as nothing is under way between them.
    pub fn check_agreement(&self) {
        let is_clearing = |step: &SlowStep| matches!(step, SlowStep::Clear(_));
        for (seq, hold) in &self.holds {
            let message = &self.rows[seq].0;
            let is_limit = !hold.reason.is_pacing();
            let first = self.outbox.lanes.first_of_chat(&message.to);
            let is_decided = first.is_some_and(|first| first.stage == SendStage::Held);
            // Those behind the first wait for its turn.
            let is_untrusted = first.is_some_and(|it| self.untrusted.contains(&it.message.seq));
            let is_known = self.known.contains(&message.to) && !is_untrusted;
            assert!(
                !(is_limit && is_decided && is_known),
                "{seq:?} is held although the person has written"
            );
            let is_there = self.may_have_left.contains(seq) || self.phones.contains(seq);
            let is_marked = message.is_recorded && !is_there;
            assert!(
                !is_marked || self.slow.iter().any(is_clearing) || !is_limit,
                "{seq:?} is held, and counts as possibly sent"
            );
        }
        let is_between = |step: &SlowStep| {
            matches!(
                step,
                SlowStep::Record(..) | SlowStep::Clear(_) | SlowStep::Typing(_)
            )
        };
        if self.pacing.delays() && !self.slow.iter().any(is_between) {
            let seqs = |found: &[(MessageSeq, bool)]| -> BTreeSet<MessageSeq> {
                found.iter().map(|(seq, _)| *seq).collect()
            };
            let people = |found: &[(MessageSeq, bool)]| -> HashSet<ChatId> {
                let new = found.iter().filter(|(_, is_new)| *is_new);
                new.map(|(seq, _)| self.rows[seq].0.to.clone()).collect()
            };
            let counted = self.outbox.pace.counted(self.at.now);
            let stored = self.departures();
            let counted = (seqs(&counted), people(&counted));
            let stored = (seqs(&stored), people(&stored));
            assert_eq!(counted, stored, "a restart would count otherwise");
        }
    }

    /// Messages that leave now keep the pace, together with those that are marked.
    pub fn check_pace(&self, marks: &[AttemptMark]) {
        let Pacing {
            min_gap, per_day, ..
        } = self.pacing;
        if !self.pacing.delays() {
            return;
        }
        // Those whose marks are being taken back have certainly not left.
        let clearing = |seq: &MessageSeq| {
            let mut slow = self.slow.iter();
            slow.any(|step| matches!(step, SlowStep::Clear(seqs) if seqs.contains(seq)))
        };
        let stored = self.departures().into_iter().map(|(seq, _)| seq);
        let mut times: Vec<Timestamp> = stored
            .filter(|seq| !clearing(seq))
            .map(|seq| self.marks[&seq].0)
            .collect();
        for step in &self.slow {
            if let SlowStep::Record(marks, at) = step {
                let open = marks.iter().filter(|mark| self.outbox.contains(mark.seq));
                times.extend(open.map(|_| *at));
            }
        }
        let gap = SignedDuration::from_secs(min_gap.into());
        let is_late = times.iter().all(|time| *time + gap <= self.at.now);
        assert!(is_late, "{marks:?} leave too early after {times:?}");
        assert!(
            gap.is_zero() || marks.len() == 1,
            "{marks:?} leave together"
        );
        let count = times.len() + marks.len();
        assert!(
            per_day.is_none_or(|most| count <= most as usize),
            "{marks:?} are too many"
        );
    }

    pub fn check(&self) {
        let lane = |seq: &MessageSeq| self.rows[seq].0.to.clone();
        for (seq, (message, outcome)) in &self.rows {
            let is_there = self.phones.contains(seq);
            match outcome.as_ref().expect("everything is settled") {
                SendOutcome::Sent { .. } => {
                    assert!(is_there, "{seq:?} is called sent and is nowhere")
                }
                SendOutcome::Failed(failure) => {
                    assert!(!is_there, "{seq:?} is called {failure:?} and is there")
                }
                SendOutcome::Cancelled => {
                    assert!(!is_there, "{seq:?} was taken back and is there")
                }
                SendOutcome::LeftUnconfirmed => assert!(self.may_have_left.contains(seq)),
                SendOutcome::Unconfirmed => unreachable!("a doubt is no end"),
            }
            let scheduled = |seq: &MessageSeq| self.rows[seq].0.send_at.is_some();
            let chat = self
                .phones
                .iter()
                .filter(|other| lane(other) == message.to && !scheduled(other));
            assert!(
                chat.is_sorted(),
                "{} is out of order: {:?}",
                message.to,
                self.phones
            );
        }
    }
}
