//! The pace at which a session's messages leave, as callers set it.

use crate::http::request::extract::JsonFields;
use crate::model::send_hold::Pacing;

/// Longest gap between two messages, and longest random part of it, in seconds.
pub(in crate::http) const LONGEST_GAP: u32 = 3_600;
/// Largest count of a day.
pub(in crate::http) const LARGEST_COUNT: u32 = 1_000_000;

/// Reads the pace of a session; parts that are left out are off.
pub(super) fn read_pacing(fields: &mut JsonFields) -> Pacing {
    let Some(mut inner) = fields.nested_fields("pacing") else {
        return Pacing::default();
    };
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let seconds = |number: Option<u64>| number.map_or(0, small);
    let pacing = Pacing {
        min_gap: seconds(inner.optional_number("min_gap", 0..=LONGEST_GAP.into())),
        jitter: seconds(inner.optional_number("jitter", 0..=LONGEST_GAP.into())),
        typing: inner.flag_or_false("typing"),
        per_day: inner
            .optional_number("per_day", 1..=LARGEST_COUNT.into())
            .map(small),
        new_chats_per_day: inner
            .optional_number("new_chats_per_day", 0..=LARGEST_COUNT.into())
            .map(small),
    };
    fields.absorb_errors("pacing", inner);
    pacing
}
