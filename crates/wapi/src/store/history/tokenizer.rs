//! Tokenizer of the full-text search: texts into terms, and search texts into FTS5 queries. Pure.
//!
//! Neither of SQLite's tokenizers suits every script. `unicode61` splits words at blanks, and
//! Chinese, Japanese or Thai have none: a whole sentence becomes one word there, which a search for
//! its middle does not find; and it skips emoji. `trigram` finds any part of any text, but nothing
//! shorter than three characters: no 你好, no 👍, no "ok"; and its index is three times as large. So
//! the text is split here. In scripts without blanks each character becomes a term, and a search
//! matches adjacent characters; an emoji becomes a term; other words are terms as they stand,
//! matched by prefix.

use crate::model::message::{Message, MessageContent};

/// Characters of a search text that are used, and words of one.
const LONGEST: usize = 500;
const MOST_WORDS: usize = 32;

/// Returns the searchable terms of a message, joined by blanks: its text, caption and file name,
/// and the names in it.
pub(crate) fn of_message(message: &Message) -> String {
    let mut texts: Vec<&str> = Vec::new();
    if let Some((_, file)) = message.content.media_file() {
        texts.extend(
            [&file.caption, &file.filename]
                .into_iter()
                .flatten()
                .map(String::as_str),
        );
    }
    match &message.content {
        MessageContent::Text { text } => texts.push(&text.body),
        MessageContent::Location { location } => {
            texts.extend(
                [&location.name, &location.address]
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
        MessageContent::LiveLocation { live_location } => {
            texts.extend(live_location.caption.as_deref())
        }
        MessageContent::Contacts { contacts } => {
            texts.extend(contacts.iter().map(|contact| contact.name.as_str()))
        }
        MessageContent::Poll { poll } => {
            texts.push(&poll.question);
            texts.extend(poll.options.iter().map(String::as_str));
        }
        MessageContent::Interactive { interactive } => {
            texts.extend(interactive.body.as_ref().map(|body| body.text.as_str()))
        }
        MessageContent::Event { event } => {
            texts.push(&event.name);
            texts.extend(event.description.as_deref());
        }
        MessageContent::Product { product } => {
            let words = [
                &product.title,
                &product.description,
                &product.body,
                &product.footer,
            ];
            texts.extend(words.into_iter().flatten().map(String::as_str));
        }
        MessageContent::Order { order } => {
            texts.extend(
                [&order.title, &order.message]
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
        MessageContent::NewsletterInvite { newsletter_invite } => {
            texts.extend(
                [&newsletter_invite.name, &newsletter_invite.caption]
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
        MessageContent::GroupInvite { group_invite } => {
            texts.extend(
                [&group_invite.name, &group_invite.caption]
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
        _ => {}
    }
    let words: Vec<String> = texts
        .iter()
        .flat_map(|text| words(text))
        .map(|word| word.text)
        .collect();
    words.join(" ")
}

/// Converts a search text into an FTS5 query on the text column; `None` if it contains no
/// searchable word. Nothing that callers write becomes syntax: the query contains only letters,
/// digits and our own names of emoji, in quotes.
pub(crate) fn question(query: &str) -> Option<String> {
    let query: String = query.chars().take(LONGEST).collect();
    // Characters without blanks between them must be adjacent in the text.
    let phrases: Vec<Vec<SearchTerm>> = query
        .split_whitespace()
        .map(words)
        .filter(|words| !words.is_empty())
        .collect();
    if phrases.is_empty() {
        return None;
    }
    let phrase = |words: &Vec<SearchTerm>| {
        let texts: Vec<&str> = words
            .iter()
            .take(MOST_WORDS)
            .map(|word| word.text.as_str())
            .collect();
        // The last word may be unfinished.
        let begins = if words.last().is_some_and(|word| word.goes_on) {
            "*"
        } else {
            ""
        };
        format!("\"{}\"{begins}", texts.join(" "))
    };
    Some(
        phrases
            .iter()
            .take(MOST_WORDS)
            .map(phrase)
            .collect::<Vec<_>>()
            .join(" "),
    )
}

struct SearchTerm {
    text: String,
    /// It may be the beginning of a longer word.
    goes_on: bool,
}

fn words(text: &str) -> Vec<SearchTerm> {
    let mut words = Vec::new();
    let mut current = String::new();
    for character in text.chars().filter(|character| !is_decoration(*character)) {
        if character.is_alphanumeric() && !has_no_blanks(character)
            || is_mark(character) && !current.is_empty()
        {
            current.push(plain(character));
            continue;
        }
        finish(&mut words, &mut current);
        if is_emoji(character) {
            words.push(SearchTerm {
                text: format!("emoji{:x}", u32::from(character)),
                goes_on: false,
            });
        } else if has_no_blanks(character) && (character.is_alphanumeric() || is_mark(character)) {
            words.push(SearchTerm {
                text: character.to_string(),
                goes_on: false,
            });
        }
    }
    finish(&mut words, &mut current);
    words
}

fn finish(words: &mut Vec<SearchTerm>, current: &mut String) {
    if !current.is_empty() {
        words.push(SearchTerm {
            text: std::mem::take(current),
            goes_on: true,
        });
    }
}

/// The tokenizer folds case and most accents; it does not treat Russian ё as an accented е, but
/// writers do.
const fn plain(character: char) -> char {
    match character {
        'ё' => 'е',
        'Ё' => 'Е',
        other => other,
    }
}

/// Characters that people often omit: Arabic and Hebrew vowel signs, and those that only change the
/// appearance.
const fn is_decoration(character: char) -> bool {
    matches!(character as u32,
        0x0640 | 0x064b..=0x065f | 0x0670 | 0x0591..=0x05c7 | 0x00ad | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0x1f3fb..=0x1f3ff)
}

/// A combining mark of the letter before it, as in हिन्दी.
const fn is_mark(character: char) -> bool {
    matches!(character as u32, 0x0300..=0x036f | 0x0900..=0x0dff | 0x0e31..=0x0e4e | 0x0eb1..=0x0ece | 0x102b..=0x109d
        | 0x17b4..=0x17d3 | 0x3099..=0x309a)
}

/// Chinese, Japanese, Thai, Lao, Tibetan, Burmese, Khmer.
const fn has_no_blanks(character: char) -> bool {
    matches!(character as u32, 0x0e00..=0x0fff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3005..=0x3007 | 0x3040..=0x30ff
        | 0x31f0..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x20000..=0x3ffff)
}

const fn is_emoji(character: char) -> bool {
    matches!(character as u32, 0x2190..=0x2bff | 0x3030 | 0x303d | 0x3297 | 0x3299 | 0x1f000..=0x1faff)
}
