//! State machine of one session's sends: the messages to send, and the next steps. Pure.
//!
//! Each chat is a lane: its first message has to be settled before the next one leaves, so messages
//! never overtake each other. A message that may have left without WhatsApp's acknowledgement stays
//! first in its lane, and is sent again under the same id until WhatsApp answers.

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

/// Messages of one session on their way to WhatsApp at the same time, each in another chat.
const PLACES: usize = 16;
/// Messages whose files are fetched and uploaded at the same time.
const PREPARING: usize = 4;
/// Attempts at encoding a message or uploading its file before it fails.
const TRIES: u32 = 4;
/// Number of times a working connection may leave a message unanswered before it is settled as
/// unconfirmed.
const ASKED: u32 = 10;
/// Pause after the first transient failure; it doubles each time, up to a limit.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// All unsettled messages of a session.
pub struct Outbox {
    line: Line,
    /// Time WhatsApp may take to answer.
    patience: Duration,
    lanes: Lanes,
    /// First of their lanes and free to leave: those that are prepared, and those whose files are
    /// not.
    ready: BTreeSet<Place>,
    unprepared: BTreeSet<Place>,
    preparing: BTreeSet<Place>,
    /// Being recorded as attempted, or held by the engine.
    active: BTreeSet<Place>,
    /// Times to look at a message again: wall-clock times of callers, and uptimes of our own
    /// timeouts.
    calendar: BTreeSet<(Timestamp, Place)>,
    timers: BTreeSet<(Duration, Place)>,
    steps: Vec<Step>,
}

impl Outbox {
    /// Creates an empty outbox that is offline.
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

    /// Whether a new message of this chat would leave without waiting for anything but its turn, so
    /// that it may be recorded as attempted when it is accepted. Recorded messages always precede
    /// unrecorded ones in a lane; otherwise they would overtake them after a crash.
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

    /// Adds a message. One that is already present is left unchanged.
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

    /// Records that the session went online or offline. A replaced connection counts as offline in
    /// between.
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

    /// Settles everything after the device was unlinked: waiting messages will never leave, and
    /// those that left will never be answered.
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

    /// Cancels a message. Returns whether it certainly has not left and never will.
    pub fn cancel(&mut self, place: Place) -> bool {
        let is_here = self.is_here(place);
        if is_here {
            self.judge(place, Verdict::Cancelled);
        }
        is_here
    }

    /// Whether a message certainly has not left, and is not being handed over.
    pub fn is_here(&self, place: Place) -> bool {
        self.lanes
            .get(place)
            .is_some_and(|item| !item.may_have_left_by_now() && item.stage != Stage::Doubtful)
    }

    /// Replaces a message's content: any preparation, finished or not, becomes useless, and the new
    /// content may or may not need a file.
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
            // WhatsApp has given a definite answer, and would repeat it.
            HandedOver::NobodyThere => self.give_up(place, failures::nobody_there()),
            HandedOver::NotInGroup => self.give_up(place, failures::not_in_group()),
            HandedOver::NoNewsletter => self.give_up(place, failures::no_newsletter()),
            HandedOver::NotNewsletterAdmin => self.give_up(place, failures::not_newsletter_admin()),
        }
    }

    /// Records WhatsApp's answer for a message, whenever it comes: [`Verdict::Sent`] or
    /// [`Verdict::Failed`].
    pub fn answered(&mut self, place: Place, verdict: Verdict) {
        if self.contains(place) {
            self.judge(place, verdict);
        }
    }

    /// Makes a message ready that WhatsApp has refused and would accept by now.
    pub fn again(&mut self, place: Place) {
        if self.contains(place) {
            self.make_ready(place);
        }
    }

    /// Returns everything there is to do now.
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

    /// Returns the time until the next deadline; `None` if there is none.
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

    /// Fills free places with the messages that are ready.
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

    /// Appends a message to its lane; it becomes ready if it is alone there.
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

    /// Counts a failed attempt, and retries until the attempts are used up.
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

    /// Settles a message that will not be tried again. One that may have left before is
    /// unconfirmed, not failed.
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

    /// Marks a message as possibly sent, and records this the first time. While the connection
    /// stays up, it is sent again at the time `again`; otherwise once the connection is back.
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

    /// Counts an attempt that a working connection left unanswered.
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

    /// Settles a message: it leaves the outbox, and the next of its lane becomes ready.
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

/// Returns the pause after the `count`-th failure, counted from 1.
fn doubled(count: u32) -> Duration {
    REST.saturating_mul(2u32.saturating_pow(count.saturating_sub(1)))
        .min(LONGEST_REST)
}

#[cfg(test)]
mod tests;
