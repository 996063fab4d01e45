//! Untrusted text made safe for logs, consoles and metrics. Pure.

use std::borrow::Cow;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Digits that may form a phone number, whatever signs stand between them.
const MIN_NUMBER_DIGITS: usize = 7;

/// Returns a session's name, or a hash if the name may hold a phone number. The same in logs,
/// metrics, reports and on the console.
pub fn mask_session(name: &str) -> String {
    let mut runs = name.split(char::is_alphabetic);
    if !runs.any(|run| run.chars().filter(|sign| sign.is_numeric()).count() >= MIN_NUMBER_DIGITS) {
        return escape_unprintable(name).into_owned();
    }
    let hash = Sha256::digest(name.as_bytes());
    format!("sha256:{}", crate::model::ids::to_hex(&hash[..6]))
}

/// Returns the path of a file in the data folder; some files are named after sessions.
pub fn mask_path(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let (stem, end) = name.split_at(name.find('.').filter(|at| *at > 0).unwrap_or(name.len()));
    format!(
        "{}{}",
        escape_unprintable(&path.with_file_name("").to_string_lossy()),
        mask_session(stem) + &escape_unprintable(end)
    )
}

/// Returns text on one line, with every character that would move a cursor, change colours or
/// reverse letters written as `\u{…}`.
pub fn escape_unprintable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let shown = |sign: char| {
        if is_unprintable(sign) {
            sign.escape_default().to_string()
        } else {
            sign.to_string()
        }
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Makes each line printable.
pub fn escape_lines(text: &str) -> String {
    text.split('\n')
        .map(escape_unprintable)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns whether a character is invisible but affects those around it.
fn is_unprintable(sign: char) -> bool {
    let is_plain = matches!(sign, ' '..='~');
    // `Debug` escapes characters without a shape: control, format and private ones, and line
    // separators. Accents are escaped only where no letter stands before them.
    !is_plain && format!("{:?}", AfterLetter(sign)).len() > 1 + sign.len_utf8()
}

/// A character as it appears after a letter.
struct AfterLetter(char);

impl std::fmt::Debug for AfterLetter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut both = [b'a'; 5];
        let sign = self.0.encode_utf8(&mut both[1..]).len();
        let both = std::str::from_utf8(&both[..1 + sign]).expect("a letter and a sign");
        write!(formatter, "{}", both.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use crate::model::masking::*;

    #[test]
    fn no_name_of_a_session_shows_a_phone_number() {
        for name in [
            "shop",
            "shop 2",
            "branch-12-2026",
            "",
            "магазин №1",
            "कार्यालय",
            "o'neil",
        ] {
            assert_eq!(mask_session(name), name);
        }
        for name in [
            "375447034810",
            "+375 44 703-48-10",
            "shop 375447034810",
            "٠١٢٣٤٥٦٧",
            "375_44_703_48_10",
            "375\u{200b}4470348",
        ] {
            let shown = mask_session(name);
            assert!(shown.starts_with("sha256:") && shown.len() == 19, "{shown}");
        }
        assert_ne!(mask_session("375447034810"), mask_session("375447034811"));
    }

    #[test]
    fn no_path_of_a_session_shows_a_phone_number() {
        assert_eq!(
            mask_path(Path::new("/data/20261128/sessions/shop.db-wal")),
            "/data/20261128/sessions/shop.db-wal"
        );
        assert_eq!(
            mask_path(Path::new("/data/se\nssions/.new")),
            "/data/se\\nssions/.new"
        );
        let shown = mask_path(Path::new("/data/sessions/375447034810.db"));
        assert!(
            shown.starts_with("/data/sessions/sha256:") && shown.ends_with(".db"),
            "{shown}"
        );
    }

    #[test]
    fn nothing_that_moves_a_cursor_or_turns_letters_around_is_shown_as_it_is() {
        for sign in [
            '\n',
            '\r',
            '\x1b',
            '\x07',
            '\0',
            '\x7f',
            '\u{85}',
            '\u{9b}',
            '\u{202e}',
            '\u{2066}',
            '\u{2028}',
            '\u{feff}',
            '\u{200b}',
            '\u{e0041}',
        ] {
            let shown = escape_unprintable(&format!("a{sign}b")).into_owned();
            assert!(
                !shown.contains(sign) && shown.is_ascii(),
                "{sign:?}: {shown}"
            );
        }
        for text in [
            "plain \"quoted\" \\ text",
            "магазин",
            "会社",
            "e\u{301}",
            "🐙",
            "कार्यालय",
        ] {
            assert_eq!(escape_unprintable(text), text);
        }
        assert_eq!(escape_lines("one\ntwo\x1b[2J"), "one\ntwo\\u{1b}[2J");
    }
}
