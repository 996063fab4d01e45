//! Timestamps for callers: always UTC with three decimals, so that texts sort as times. Pure.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Formats as `2026-01-31T12:00:00.000Z`; finer digits are cut off.
pub fn format_timestamp(at: Timestamp) -> String {
    PRINTER.timestamp_to_string(&at)
}

/// For `serialize_with`.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    format_timestamp(*at).serialize(serializer)
}

/// The same for an optional timestamp.
pub fn optional<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(format_timestamp).serialize(serializer)
}

/// The same for one that may be left out, or `null`.
pub fn nullable<S: Serializer>(
    at: &Option<Option<Timestamp>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(|at| at.map(format_timestamp)).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use crate::model::timestamp::*;

    #[test]
    fn texts_sort_as_the_times_they_stand_for() {
        let times = [
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00.1Z",
            "2026-01-31T12:00:00.12Z",
            "2026-01-31T12:00:00.123456Z",
        ];
        let mut texts: Vec<String> = times
            .iter()
            .map(|time| format_timestamp(time.parse().unwrap()))
            .collect();
        assert_eq!(texts[0], "2026-01-31T12:00:00.000Z");
        assert!(
            texts.is_sorted() && texts.iter().all(|text| text.len() == 24),
            "{texts:?}"
        );
        texts.dedup();
        assert_eq!(texts.len(), 4);
    }
}
