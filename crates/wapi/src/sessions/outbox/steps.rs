//! The outbox's steps, and the results reported back to it. Pure.

use std::time::Duration;

use jiff::Timestamp;

#[cfg(doc)]
use super::Outbox;
use crate::store::{Place, Verdict};

/// The current time: wall-clock time for the callers' dates, and a monotonic uptime for our own
/// timeouts.
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

/// An action to perform. Its result is reported to the named method of [`Outbox`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Fetch and upload the message's file: [`Outbox::prepared`].
    Prepare(Place),
    /// Record that these may have left: [`Outbox::marked`].
    Mark(Vec<Place>),
    /// Hand the message to the engine: [`Outbox::handed_over`], and [`Outbox::answered`] when
    /// WhatsApp answers.
    HandOver(Place),
    /// Record this outcome. No result is reported.
    Judge(Place, Verdict),
}

/// The result of handing a message to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandedOver {
    /// It was sent; WhatsApp may or may not answer.
    Left,
    /// It has not left, because there is no connection.
    Offline,
    /// It has not left, because the engine could not encode it.
    Failed,
    /// It has not left, because the number is not on WhatsApp.
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

/// Reasons why a message could not be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unprepared {
    /// It was edited meanwhile.
    Outdated,
    /// Its file can never be sent.
    Unfit(String),
    /// A later attempt may succeed.
    Passing(String),
}
