//! What an outbox asks for, and what it is told. Pure.

use std::time::Duration;

use jiff::Timestamp;

#[cfg(doc)]
use super::Outbox;
use crate::store::{Place, Verdict};

/// Now: by the calendar for what callers ask for, and by a clock that never goes back for our own patience.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Timestamp,
    pub uptime: Duration,
}

/// Whether the session is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Up,
    Down,
}

/// What to do; each is answered by the method of [`Outbox`] it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Fetch and upload its file: [`Outbox::prepared`].
    Prepare(Place),
    /// Write down that these may have left: [`Outbox::marked`].
    Mark(Vec<Place>),
    /// Give it to the engine: [`Outbox::handed_over`], and [`Outbox::answered`] when WhatsApp answers.
    HandOver(Place),
    /// Record this; no answer is needed.
    Judge(Place, Verdict),
}

/// How giving a message to the engine went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandedOver {
    /// It is on the wire; WhatsApp answers, or not.
    Left,
    /// It has not left, because there is no connection.
    Offline,
    /// It has not left, because the engine could not make it.
    Failed,
    /// It has not left, because nobody has the number.
    NobodyThere,
    /// It has not left, because the account is not in the group.
    NotInGroup,
    /// It has not left, because there is no such newsletter.
    NoNewsletter,
    /// It has not left, because the account may not post in the newsletter.
    NotNewsletterAdmin,
    /// It may have left.
    Unclear,
}

/// Why a message could not be made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unprepared {
    /// It was given other words meanwhile.
    Outdated,
    /// Its file cannot be sent, now or later.
    Unfit(String),
    /// It may work later.
    Passing(String),
}
