//! Emoji recognition (UTS #51), and normalization of texts that look alike. Pure.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointSetData;
use icu_properties::props::{
    DefaultIgnorableCodePoint, EmojiModifier, EmojiModifierBase, EmojiPresentation,
    ExtendedPictographic, RegionalIndicator,
};

/// The variation selector that turns a text character into an emoji.
const AS_EMOJI: char = '\u{fe0f}';

/// Returns whether a text is exactly one emoji as people enter it, with or without the variation
/// selector.
pub fn is_one_emoji(text: &str) -> bool {
    // A digit starts emoji sequences, but is no emoji itself.
    let is_sign = text
        .chars()
        .any(|sign| sign != AS_EMOJI && !sign.is_ascii());
    is_sign
        && (emojis::get(text).is_some() || is_unlisted_emoji(text) || is_abbreviated_emoji(text))
}

/// Phones write emoji of several parts with all the selectors that Unicode wants, some of them, or
/// none.
fn is_abbreviated_emoji(text: &str) -> bool {
    let bare = |text: &str| {
        text.chars()
            .filter(|sign| *sign != AS_EMOJI)
            .collect::<String>()
    };
    let wanted = bare(text);
    has_valid_selectors(text)
        && emojis::iter().any(|emoji| match emoji.skin_tones() {
            Some(mut tones) => tones.any(|emoji| bare(emoji.as_str()) == wanted),
            None => bare(emoji.as_str()) == wanted,
        })
}

/// Returns whether each selector follows another character, once.
fn has_valid_selectors(text: &str) -> bool {
    let follows =
        |signs: [char; 2]| signs[1] == AS_EMOJI && (signs[0] == AS_EMOJI || signs[0] == '\u{200d}');
    !text.starts_with(AS_EMOJI)
        && !text
            .chars()
            .zip(text.chars().skip(1))
            .any(|(one, next)| follows([one, next]))
}

/// Matches an emoji of one character that the list does not know yet, with or without a skin tone.
fn is_unlisted_emoji(text: &str) -> bool {
    let mut signs = text.chars();
    let Some(base) = signs.next() else {
        return false;
    };
    let is_shown = CodePointSetData::new::<EmojiPresentation>().contains(base)
        && CodePointSetData::new::<ExtendedPictographic>().contains(base)
        && !CodePointSetData::new::<RegionalIndicator>().contains(base);
    let is_person = CodePointSetData::new::<EmojiModifierBase>().contains(base);
    match (signs.next(), signs.next()) {
        (None, _) | (Some(AS_EMOJI), None) => is_shown,
        (Some(tone), None) => is_person && CodePointSetData::new::<EmojiModifier>().contains(tone),
        _ => false,
    }
}

/// Normalizes a text so that texts that look alike are equal: composed letters, without surrounding
/// blanks and invisible characters.
pub fn normalize_text(text: &str) -> String {
    let invisible = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let seen = text.trim_matches(|sign: char| sign.is_whitespace() || invisible.contains(sign));
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(seen)
        .into_owned()
}

#[cfg(test)]
mod tests {
    use crate::model::message::emoji::*;

    #[test]
    fn every_emoji_is_one() {
        let mut seen = 0;
        for emoji in emojis::iter() {
            let tones = emoji.skin_tones().into_iter().flatten().chain([emoji]);
            for emoji in tones {
                assert!(is_one_emoji(emoji.as_str()), "{emoji}");
                let bare: String = emoji
                    .as_str()
                    .chars()
                    .filter(|sign| *sign != AS_EMOJI)
                    .collect();
                // Only the ones that are digits without it are no longer emoji.
                assert_eq!(is_one_emoji(&bare), !bare.is_ascii(), "{bare}");
                seen += 1;
            }
        }
        assert!(seen > 3_500, "{seen}");
    }

    #[test]
    fn people_choose_emoji_of_all_sorts() {
        for one in [
            "👍",
            "❤️",
            "❤",
            "☺",
            "☺️",
            "©",
            "™️",
            "🫩",
            "👍🏽",
            "👨‍👩‍👧‍👦",
            "👩🏽‍🚀",
            "🧑🏻‍❤️‍💋‍🧑🏿",
            "🧑🏻‍❤‍💋‍🧑🏿",
            "👁️‍🗨️",
            "👁‍🗨",
            "🇧🇾",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
            "🏳️‍🌈",
            "🏳‍🌈",
            "1️⃣",
            "1⃣",
            "#️⃣",
            "🔟",
            "🆗",
            "㊗️",
            "〰️",
        ] {
            assert!(is_one_emoji(one), "{one}");
        }
    }

    #[test]
    fn what_is_not_one_emoji_is_none() {
        for none in [
            "",
            " ",
            "a",
            "é",
            "да",
            "ok 👍",
            "👍 ok",
            "👍 ",
            " 👍",
            "👍👍",
            "👍❤️",
            "👍\u{200d}👍",
            "👍\u{200d}",
            "\u{200d}👍",
            "👨‍👩‍👧👍",
            "\u{200b}",
            "\u{200b}👍",
            "👍\u{200b}",
            "\u{fe0f}",
            "\u{fe0f}👍",
            "❤\u{fe0f}\u{fe0f}",
            "❤\u{fe0e}",
            "1",
            "#",
            "*",
            "1\u{fe0f}",
            "12⃣",
            "🇧",
            "🇦🇦",
            "🇧🇾🇺🇦",
            "🏻",
            "👍🏻🏻",
            "🚗🏻",
            ":-)",
            ":thumbsup:",
            "ℵ",
            "中",
            "①",
            "\u{1f1e6}\u{200d}",
            "👍\n",
            "🏴󠁧󠁢󠁿",
        ] {
            assert!(!is_one_emoji(none), "{none:?}");
        }
    }

    #[test]
    fn what_looks_alike_is_alike() {
        for (one, other) in [
            ("é", "e\u{301}"),
            ("한", "한"),
            (" a ", "a"),
            ("a\u{200b}", "a"),
            ("\u{feff}a", "a"),
            ("Å", "Å"),
        ] {
            assert_eq!(normalize_text(one), normalize_text(other), "{one}, {other}");
        }
        for (one, other) in [
            ("a", "A"),
            ("e", "é"),
            ("1", "①"),
            ("a b", "ab"),
            ("👨‍👩", "👨👩"),
        ] {
            assert_ne!(normalize_text(one), normalize_text(other), "{one}, {other}");
        }
    }
}
