//! File names from headers (RFC 6266, 7578, 8187, and mail), URLs, callers and types. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{Encoding, WINDOWS_1252};
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use percent_encoding::percent_decode_str;
use url::Url;

use super::types::{self, extension};

/// Maximum length of a file name, in characters.
const MAX_NAME_LENGTH: usize = 255;
/// Extensions of programs that generate responses, as opposed to the response's own type.
const PROGRAM_EXTENSIONS: [&str; 9] = [
    "php", "asp", "aspx", "ashx", "jsp", "do", "cgi", "pl", "dll",
];

/// A `Content-Disposition` header of a form part or a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentDisposition {
    /// The name of the form field.
    pub name: Option<String>,
    pub filename: Option<String>,
}

impl ContentDisposition {
    /// Parses a header, ignoring broken parts.
    pub fn parse(header: &[u8]) -> Self {
        let header = decode_header(header);
        let parameters = parse_parameters(&header);
        let find = |wanted: &str| {
            parameters
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let extended = parameters
            .iter()
            .filter(|(name, _)| name == "filename*")
            .find_map(|(_, value)| parse_extended(value));
        let plain = || find("filename").map(|value| decode_plain(value));
        let filename = extended
            .or_else(|| join_continued(&parameters))
            .or_else(plain);
        Self {
            name: find("name").cloned(),
            filename: filename.and_then(|filename| base_name(&filename)),
        }
    }
}

/// Returns the parameters after a header's first word: lower-case names, and values. Accepts
/// ungrammatical names and values if they are unambiguous.
pub fn parse_parameters(header: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = header;
    while !rest.is_empty() {
        let end = rest.find([';', '=']).unwrap_or(rest.len());
        let name = rest[..end].trim().to_ascii_lowercase();
        let Some(value) = rest[end..].strip_prefix('=') else {
            rest = rest.get(end + 1..).unwrap_or_default();
            continue;
        };
        let value = value.trim_start();
        let value = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) = parse_quoted(quoted);
                rest = behind;
                value
            }
            None => {
                let (value, behind) = value.split_at(value.find(';').unwrap_or(value.len()));
                rest = behind;
                value.trim_end().to_owned()
            }
        };
        parameters.push((name, value));
        rest = rest.find(';').map_or("", |next| &rest[next + 1..]);
    }
    parameters
}

/// Returns a quoted string whose opening quote has been removed, and the rest after it. Only quotes
/// and backslashes are escaped, since Windows paths contain backslashes of their own.
fn parse_quoted(text: &str) -> (String, &str) {
    let (mut value, mut characters) = (String::new(), text.char_indices().peekable());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    (value, "")
}

/// Decodes UTF-8, which headers use today, or else Latin-1, which they used before.
fn decode_header(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(
        |_| {
            WINDOWS_1252
                .decode_without_bom_handling(bytes)
                .0
                .into_owned()
        },
        str::to_owned,
    )
}

/// Parses `charset'language'percent-encoded` (RFC 8187).
fn parse_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    decode_charset(charset, &percent_decode_str(text).collect::<Vec<_>>())
}

/// Joins a name in pieces (RFC 2231): `filename*0*=UTF-8''…; filename*1=…`.
fn join_continued(parameters: &[(String, String)]) -> Option<String> {
    // Each piece, and whether it is encoded. An encoded piece precedes an unencoded one, and the
    // first of several wins.
    let mut pieces: BTreeMap<(usize, bool), &str> = BTreeMap::new();
    for (name, value) in parameters {
        let Some(section) = name.strip_prefix("filename*") else {
            continue;
        };
        let (section, is_encoded) = section
            .strip_suffix('*')
            .map_or((section, false), |section| (section, true));
        let is_number = section == "0"
            || !section.starts_with('0') && section.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(section) = section.parse().ok().filter(|_| is_number) {
            pieces.entry((section, !is_encoded)).or_insert(value);
        }
    }
    let (mut bytes, mut charset) = (Vec::new(), String::new());
    for piece in 0.. {
        let encoded = pieces.get(&(piece, false));
        if let Some(value) = encoded {
            let mut text = *value;
            if piece == 0 {
                let mut parts = value.splitn(3, '\'');
                charset = parts.next()?.to_owned();
                text = parts.nth(1)?;
            }
            bytes.extend(percent_decode_str(text));
        } else if let Some(value) = pieces.get(&(piece, true)) {
            bytes.extend_from_slice(value.as_bytes());
        } else {
            break;
        }
    }
    if bytes.is_empty() {
        return None;
    }
    decode_charset(
        if charset.is_empty() {
            "utf-8"
        } else {
            &charset
        },
        &bytes,
    )
}

fn decode_charset(charset: &str, bytes: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label(charset.trim().as_bytes())?;
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(std::borrow::Cow::into_owned)
}

/// Decodes a plain `filename` as programs write it: with encoded words of mail, or percent escapes.
fn decode_plain(value: &str) -> String {
    if value.contains("=?") {
        return decode_words(value);
    }
    let bytes = percent_decode_str(value).collect::<Vec<_>>();
    match String::from_utf8(bytes) {
        // A program percent-encoded the characters outside ASCII.
        Ok(text) if value.is_ascii() && !text.is_ascii() => text,
        // Browsers escape these characters, and only these.
        _ => value
            .replace("%22", "\"")
            .replace("%0D", "\r")
            .replace("%0A", "\n"),
    }
}

/// Decodes words like `=?utf-8?B?…?=` (RFC 2047), and drops blanks between two of them. Programs
/// split long texts in the middle of characters, so the bytes of consecutive words are decoded
/// together.
fn decode_words(value: &str) -> String {
    let (mut text, mut rest) = (String::new(), value);
    while let Some(start) = rest.find("=?") {
        let (before, from) = rest.split_at(start);
        text += before;
        let Some((charset, bytes, behind)) = parse_word(from) else {
            text += "=?";
            rest = &from[2..];
            continue;
        };
        let (mut bytes, mut behind) = (bytes, behind);
        while let Some((_, more, next)) =
            parse_word(behind.trim_start()).filter(|it| it.0.eq_ignore_ascii_case(charset))
        {
            bytes.extend(more);
            behind = next;
        }
        match decode_charset(charset, &bytes) {
            Some(readable) => text += &readable,
            None => text += &from[..from.len() - behind.len()],
        }
        let is_before_word = parse_word(behind.trim_start()).is_some();
        rest = if is_before_word {
            behind.trim_start()
        } else {
            behind
        };
    }
    text + rest
}

/// Parses the encoded word at the start of a text: its charset, its bytes, and the rest.
fn parse_word(text: &str) -> Option<(&str, Vec<u8>, &str)> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (charset, text) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (value, behind) = text.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => LENIENT.decode(value.trim()).ok()?,
        "Q" | "q" => percent_decode_str(
            &value
                .replace('%', "%25")
                .replace('=', "%")
                .replace('_', " "),
        )
        .collect(),
        _ => return None,
    };
    // A language may follow the charset.
    Some((charset.split('*').next()?, bytes, behind))
}

/// Returns the bare name without folders, invisible characters, and characters that change the
/// direction of text, and without trailing dots, which some systems remove. `None` if nothing is
/// left.
pub fn base_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    let last: String = last
        .chars()
        .filter(|character| !character.is_control() && !is_invisible(*character))
        .collect();
    let last = trim_name(&last);
    if last.is_empty() {
        return None;
    }
    if last.chars().count() <= MAX_NAME_LENGTH {
        return Some(last.to_owned());
    }
    let ending = file_extension(last).map_or_else(String::new, |extension| format!(".{extension}"));
    let stem: String = last.chars().take(MAX_NAME_LENGTH - ending.len()).collect();
    Some(trim_name(&stem).to_owned() + &ending)
}

/// Whether a character is invisible, except those that join letters and emoji.
fn is_invisible(character: char) -> bool {
    let joins = matches!(
        character,
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
    );
    let changes_direction = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    changes_direction
        || !joins && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// Trims surrounding blanks, trailing dots, and joiners at both ends.
fn trim_name(name: &str) -> &str {
    let joins = |character: char| matches!(character, '\u{200c}' | '\u{200d}');
    name.trim_start_matches(|character: char| character.is_whitespace() || joins(character))
        .trim_end_matches(|character: char| {
            character.is_whitespace() || character == '.' || joins(character)
        })
}

/// Returns the extension after a name's last dot, in lower case.
pub fn file_extension(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let fits = !stem.is_empty()
        && (1..=12).contains(&ending.len())
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| ending.to_ascii_lowercase())
}

/// Returns the file name in a URL, without the extension of a program.
pub fn name_from_url(url: &Url) -> Option<String> {
    let last = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
    let name = base_name(&decode_header(
        &percent_decode_str(last).collect::<Vec<_>>(),
    ))?;
    let is_program = file_extension(&name)
        .is_some_and(|extension| PROGRAM_EXTENSIONS.contains(&extension.as_str()));
    if is_program {
        name.rsplit_once('.').and_then(|(stem, _)| base_name(stem))
    } else {
        Some(name)
    }
}

/// Returns a name by which phones can open a document of this type, adding an extension if there is
/// none.
pub fn complete_name(name: Option<&str>, mime_type: &str) -> String {
    let name = name
        .map(trim_name)
        .filter(|name| !name.is_empty())
        .unwrap_or("document");
    match extension::extension_of(types::type_essence(mime_type).as_str()) {
        Some(ending) if !has_extension(name, ending) => format!("{name}.{ending}"),
        _ => name.to_owned(),
    }
}

/// Whether a name already has an extension. The text after a dot may also belong to a date or a
/// version, as in `12.2025` and `v1.2b`. Numbered parts of a split file, whose type is unknown, do
/// count.
fn has_extension(name: &str, usual: &str) -> bool {
    let is_number = |extension: &str| extension.starts_with(|sign: char| sign.is_ascii_digit());
    file_extension(name).is_some_and(|extension| {
        !is_number(&extension)
            || extension::type_by_extension(&extension).is_some()
            || usual == "bin" && extension.len() == 3
    })
}

#[cfg(test)]
mod tests;
