//! Suggestions for misspelt words. Pure.

/// Minimum likeness of two words, from 0 to 1.
const MIN_LIKENESS: f64 = 0.7;

/// Returns the word most like `written`, if one is similar enough.
pub fn find_nearest<'a>(
    written: &str,
    right: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    let likeness = |word: &'a str| {
        (
            strsim::normalized_damerau_levenshtein(&written, &word.to_lowercase()),
            word,
        )
    };
    let best = right
        .into_iter()
        .map(likeness)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .map(|(_, word)| word)
}

/// Returns `; did you mean …?`, or nothing if no word is similar enough.
pub fn format_suggestion<'a>(written: &str, right: impl IntoIterator<Item = &'a str>) -> String {
    find_nearest(written, right)
        .map(|word| format!("; did you mean `{word}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::model::suggestions::*;

    #[test]
    fn what_is_alike_is_meant_and_what_is_not_is_not() {
        let words = ["message.received", "message.read", "session.status"];
        for (written, meant) in [
            ("message.recieved", Some("message.received")),
            ("Message.Received", Some("message.received")),
            ("messages.received", Some("message.received")),
            ("sesion.status", Some("session.status")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(find_nearest(written, words), meant, "{written}");
        }
        assert_eq!(
            format_suggestion("message.reed", words),
            "; did you mean `message.read`?"
        );
    }
}
