//! What one session has to send, and what to do next about it. Pure.
//!
//! Each chat is a lane: its first message has to be settled before the next one leaves, so nothing overtakes. A message that may
//! have left without WhatsApp's word stays first in its lane, and is sent again under the id it has until WhatsApp answers.

mod items;
mod lanes;
mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::store::{Place, Verdict};

pub use items::{Haste, Message, failures};
use items::{Item, Stage};
use lanes::Lanes;
pub use lanes::in_order;
pub use steps::{HandedOver, Line, Moment, Step, Unprepared};

/// Messages of one session that are on their way to WhatsApp at the same time, each of another chat.
const PLACES: usize = 16;
/// Messages whose files are fetched and uploaded at the same time.
const PREPARING: usize = 4;
/// How often the engine may fail to make a message, or a media server to take its file.
const TRIES: u32 = 4;
/// How often a connection that works may leave a message without an answer, before nobody asks any more.
const ASKED: u32 = 10;
/// The first rest after something that may pass; each one after it is twice as long, up to a limit.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// All messages of a session that are not settled.
pub struct Outbox {
    line: Line,
    /// How long WhatsApp may take to answer.
    patience: Duration,
    lanes: Lanes,
    /// First of their lanes, and free to go: those that are ready, and those whose files are not.
    ready: BTreeSet<Place>,
    unprepared: BTreeSet<Place>,
    preparing: BTreeSet<Place>,
    /// Being marked, or with the engine.
    active: BTreeSet<Place>,
    /// When to look at a message again: by the calendar, and by our own patience.
    calendar: BTreeSet<(Timestamp, Place)>,
    timers: BTreeSet<(Duration, Place)>,
    steps: Vec<Step>,
}

impl Outbox {
    /// An empty one, offline.
    pub fn new(patience: Duration) -> Self {
        Self {
            line: Line::Down,
            patience,
            lanes: Lanes::default(),
            ready: BTreeSet::new(),
            unprepared: BTreeSet::new(),
            preparing: BTreeSet::new(),
            active: BTreeSet::new(),
            calendar: BTreeSet::new(),
            timers: BTreeSet::new(),
            steps: Vec::new(),
        }
    }

    /// Whether a new message of this chat leaves without waiting for anything but its turn, so that it may be marked when it is
    /// accepted. Marked ones are always in front of unmarked ones, or they would overtake them after a crash.
    pub fn would_leave(&self, chat: &str) -> bool {
        self.line == Line::Up && self.lanes.last(chat).is_none_or(|item| item.is_marked)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub fn contains(&self, place: Place) -> bool {
        self.lanes.get(place).is_some()
    }

    /// Takes a message in. One that is there already is left as it is.
    pub fn accept(&mut self, message: Message, at: Moment) {
        let place = message.place;
        if self.contains(place) {
            return;
        }
        let send_at = message.send_at.filter(|&time| time > at.now);
        if let Some(time) = message.expires_at.filter(|_| !message.may_have_left) {
            self.calendar.insert((time, place));
        }
        let item = Item::new(message);
        let is_stranded =
            item.haste == Haste::NowOrNever && self.line == Line::Down && !item.may_have_left;
        match send_at {
            Some(time) => {
                self.calendar.insert((time, place));
                self.lanes.insert(item, Stage::Scheduled);
            }
            None => {
                self.lanes.insert(item, Stage::Waiting);
                self.join(place);
            }
        }
        if is_stranded {
            self.judge(place, failures::offline());
        }
    }

    /// The session went online or offline. A connection that was replaced by another was down in between.
    pub fn line_is(&mut self, line: Line) {
        self.line = line;
        match line {
            Line::Up => {
                for place in self
                    .lanes
                    .at(|stage| matches!(stage, Stage::Doubtful | Stage::Resting))
                {
                    self.make_ready(place);
                }
            }
            Line::Down => {
                for place in self.lanes.at(|stage| stage == Stage::Leaving) {
                    self.doubt(place, None);
                }
                for place in self.lanes.stranded() {
                    self.judge(place, failures::offline());
                }
            }
        }
    }

    /// The device is linked no more: what waits for it will never leave, and what has left will never be answered.
    pub fn device_is_gone(&mut self) {
        for place in self.lanes.all() {
            let may_have_left = self
                .lanes
                .get(place)
                .is_some_and(Item::may_have_left_by_now);
            self.judge(
                place,
                if may_have_left {
                    Verdict::LeftInDoubt
                } else {
                    failures::logged_out()
                },
            );
        }
    }

    /// Takes a message back; whether it has surely not left, and never will.
    pub fn cancel(&mut self, place: Place) -> bool {
        let is_here = self.is_here(place);
        if is_here {
            self.judge(place, Verdict::Cancelled);
        }
        is_here
    }

    /// Whether a message has surely not left, and nobody has it in hand to let it go.
    pub fn is_here(&self, place: Place) -> bool {
        self.lanes
            .get(place)
            .is_some_and(|item| !item.may_have_left_by_now() && item.stage != Stage::Doubtful)
    }

    /// A message has other words: what was made ready of it, or is being, is of no use, and they may need something that the former ones
    /// did not, or the other way round.
    pub fn reworded(&mut self, place: Place, has_file: bool) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.is_prepared = !has_file;
        let is_free = self.ready.remove(&place) || self.unprepared.remove(&place);
        if is_free {
            let line = if has_file {
                &mut self.unprepared
            } else {
                &mut self.ready
            };
            line.insert(place);
        }
    }

    pub fn prepared(&mut self, place: Place, outcome: Result<(), Unprepared>, at: Moment) {
        self.preparing.remove(&place);
        let Some(item) = self
            .lanes
            .get_mut(place)
            .filter(|item| item.stage == Stage::Preparing)
        else {
            return;
        };
        match outcome {
            Ok(()) => {
                item.is_prepared = true;
                self.make_ready(place);
            }
            Err(Unprepared::Outdated) => self.make_ready(place),
            Err(Unprepared::Unfit(detail)) => self.give_up(place, failures::media(detail)),
            Err(Unprepared::Passing(detail)) => self.fail(place, failures::media(detail), at),
        }
    }

    pub fn marked(&mut self, places: &[Place], outcome: Result<(), ()>, at: Moment) {
        for &place in places {
            let Some(item) = self
                .lanes
                .get_mut(place)
                .filter(|item| item.stage == Stage::Marking)
            else {
                continue;
            };
            item.is_marked = outcome.is_ok();
            self.active.remove(&place);
            match outcome {
                Ok(()) => self.make_ready(place),
                Err(()) => self.rest(place, REST, at),
            }
        }
    }

    pub fn handed_over(&mut self, place: Place, outcome: &HandedOver, at: Moment) {
        let Some(item) = self
            .lanes
            .get(place)
            .filter(|item| item.stage == Stage::Leaving)
        else {
            return;
        };
        match outcome {
            HandedOver::Left => {}
            HandedOver::Unclear => self.unanswered(place, at),
            HandedOver::Offline if item.haste == Haste::NowOrNever && !item.may_have_left => {
                self.judge(place, failures::offline());
            }
            HandedOver::Offline => self.rest(place, REST, at),
            HandedOver::Failed => self.fail(place, failures::engine(), at),
            // WhatsApp has said so, and would say it again.
            HandedOver::NobodyThere => self.give_up(place, failures::nobody_there()),
            HandedOver::NotInGroup => self.give_up(place, failures::not_in_group()),
            HandedOver::NoNewsletter => self.give_up(place, failures::no_newsletter()),
            HandedOver::NotNewsletterAdmin => self.give_up(place, failures::not_newsletter_admin()),
        }
    }

    /// WhatsApp's word on a message, whenever it comes; [`Verdict::Sent`] or [`Verdict::Failed`].
    pub fn answered(&mut self, place: Place, verdict: Verdict) {
        if self.contains(place) {
            self.judge(place, verdict);
        }
    }

    /// WhatsApp has refused it, and would take it by now.
    pub fn again(&mut self, place: Place) {
        if self.contains(place) {
            self.make_ready(place);
        }
    }

    /// Everything there is to do now.
    pub fn next(&mut self, at: Moment) -> Vec<Step> {
        while let Some(&(time, place)) = self.calendar.first().filter(|(time, _)| *time <= at.now) {
            self.calendar.remove(&(time, place));
            self.date_came(place, at.now);
        }
        while let Some(&(time, place)) = self.timers.first().filter(|(time, _)| *time <= at.uptime)
        {
            self.timers.remove(&(time, place));
            self.patience_ended(place, at);
        }
        if self.line == Line::Up {
            self.fill(at);
        }
        std::mem::take(&mut self.steps)
    }

    /// How long nothing happens by itself; `None`: for ever.
    pub fn quiet_for(&self, at: Moment) -> Option<Duration> {
        let until =
            |time: Timestamp| Duration::try_from(time.duration_since(at.now)).unwrap_or_default();
        let date = self.calendar.first().map(|(time, _)| until(*time));
        let timer = self
            .timers
            .first()
            .map(|(time, _)| time.saturating_sub(at.uptime));
        date.into_iter().chain(timer).min()
    }

    fn date_came(&mut self, place: Place, now: Timestamp) {
        let Some(item) = self.lanes.get(place) else {
            return;
        };
        if item.is_expired(now) && item.stage != Stage::Leaving {
            self.judge(place, failures::expired());
        } else if item.stage == Stage::Scheduled && item.send_at.is_none_or(|time| time <= now) {
            self.lanes.set(place, Stage::Waiting);
            self.join(place);
        }
    }

    fn patience_ended(&mut self, place: Place, at: Moment) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.timer = None;
        match item.stage {
            Stage::Resting | Stage::Doubtful => self.make_ready(place),
            Stage::Leaving => self.unanswered(place, at),
            _ => {}
        }
    }

    /// Gives the free places to those that are ready.
    fn fill(&mut self, at: Moment) {
        while self.preparing.len() < PREPARING
            && let Some(place) = self.unprepared.pop_first()
        {
            self.preparing.insert(place);
            self.lanes.set(place, Stage::Preparing);
            self.steps.push(Step::Prepare(place));
        }
        let mut marks = Vec::new();
        while self.active.len() < PLACES
            && let Some(place) = self.ready.pop_first()
        {
            let Some(item) = self.lanes.get(place) else {
                continue;
            };
            if item.is_expired(at.now) {
                self.judge(place, failures::expired());
                continue;
            }
            self.active.insert(place);
            if item.is_marked {
                self.lanes.set(place, Stage::Leaving);
                self.set_timer(place, at.uptime + self.patience);
                self.steps.push(Step::HandOver(place));
            } else {
                self.lanes.set(place, Stage::Marking);
                marks.push(place);
            }
        }
        if !marks.is_empty() {
            self.steps.push(Step::Mark(marks));
        }
    }

    /// At the end of its lane; free to go if it is the only one.
    fn join(&mut self, place: Place) {
        if self.lanes.join(place) {
            self.make_ready(place);
        }
    }

    fn make_ready(&mut self, place: Place) {
        self.clear_timer(place);
        self.active.remove(&place);
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.stage = Stage::Waiting;
        let ready = if item.is_prepared {
            &mut self.ready
        } else {
            &mut self.unprepared
        };
        ready.insert(place);
    }

    fn rest(&mut self, place: Place, pause: Duration, at: Moment) {
        self.active.remove(&place);
        self.lanes.set(place, Stage::Resting);
        self.set_timer(place, at.uptime + pause);
    }

    /// It did not work; it is tried again a few times.
    fn fail(&mut self, place: Place, last: Verdict, at: Moment) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.tries += 1;
        let tries = item.tries;
        if tries >= TRIES {
            self.give_up(place, last)
        } else {
            self.rest(place, doubled(tries), at)
        }
    }

    /// It will not be tried again. One that may have left before is not called failed.
    fn give_up(&mut self, place: Place, verdict: Verdict) {
        let may_have_left = self.lanes.get(place).is_some_and(|item| item.may_have_left);
        self.judge(
            place,
            if may_have_left {
                Verdict::LeftInDoubt
            } else {
                verdict
            },
        );
    }

    /// From now on it may have left. The first doubt is recorded. On a line that stays up WhatsApp is asked again at this time, else
    /// when the line is up again.
    fn doubt(&mut self, place: Place, again: Option<Duration>) {
        self.clear_timer(place);
        self.active.remove(&place);
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.stage = Stage::Doubtful;
        if !std::mem::replace(&mut item.may_have_left, true) {
            self.steps.push(Step::Judge(place, Verdict::InDoubt));
        }
        if let Some(time) = again {
            self.set_timer(place, time);
        }
    }

    /// A line that works has left it without an answer once more.
    fn unanswered(&mut self, place: Place, at: Moment) {
        let Some(item) = self.lanes.get_mut(place) else {
            return;
        };
        item.asked += 1;
        let asked = item.asked;
        self.doubt(place, Some(at.uptime + doubled(asked)));
        if asked >= ASKED {
            self.judge(place, Verdict::LeftInDoubt);
        }
    }

    /// Settles it: it leaves the outbox, and the next of its lane is free to go.
    fn judge(&mut self, place: Place, verdict: Verdict) {
        self.clear_timer(place);
        for set in [&mut self.ready, &mut self.unprepared, &mut self.active] {
            set.remove(&place);
        }
        let Some((item, next)) = self.lanes.remove(place) else {
            return;
        };
        for time in [item.send_at, item.expires_at].into_iter().flatten() {
            self.calendar.remove(&(time, place));
        }
        self.steps.push(Step::Judge(place, verdict));
        if let Some(next) = next {
            self.make_ready(next);
        }
    }

    fn set_timer(&mut self, place: Place, time: Duration) {
        self.clear_timer(place);
        if let Some(item) = self.lanes.get_mut(place) {
            item.timer = Some(time);
            self.timers.insert((time, place));
        }
    }

    fn clear_timer(&mut self, place: Place) {
        if let Some(time) = self.lanes.get_mut(place).and_then(|item| item.timer.take()) {
            self.timers.remove(&(time, place));
        }
    }
}

/// The rest after the `count`th time, from 1.
fn doubled(count: u32) -> Duration {
    REST.saturating_mul(2u32.saturating_pow(count.saturating_sub(1)))
        .min(LONGEST_REST)
}

#[cfg(test)]
mod tests;
