//! What files are called: by headers (RFC 6266, 7578 and 8187, and the ways of mail), by addresses, by callers, by their type. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{Encoding, WINDOWS_1252};
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use percent_encoding::percent_decode_str;
use url::Url;

use super::types::{self, named};

/// The longest name of a file, in letters.
const LONGEST: usize = 255;
/// Names that say what makes an answer, not what it is.
const PROGRAMS: [&str; 9] = [
    "php", "asp", "aspx", "ashx", "jsp", "do", "cgi", "pl", "dll",
];

/// A `Content-Disposition`, of a form's part or of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disposition {
    /// Of the field.
    pub name: Option<String>,
    pub filename: Option<String>,
}

impl Disposition {
    /// Reads what is there; what is broken is not.
    pub fn read(header: &[u8]) -> Self {
        let header = decoded(header);
        let parameters = parameters(&header);
        let find = |wanted: &str| {
            parameters
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let extended = parameters
            .iter()
            .filter(|(name, _)| name == "filename*")
            .find_map(|(_, value)| extended(value));
        let plain = || find("filename").map(|value| plain(value));
        let filename = extended.or_else(|| continued(&parameters)).or_else(plain);
        Self {
            name: find("name").cloned(),
            filename: filename.and_then(|filename| base(&filename)),
        }
    }
}

/// The parameters of a header behind its first word: their names in small letters, and what they say. Names and values that are in
/// nobody's grammar, but clear, count too.
pub fn parameters(header: &str) -> Vec<(String, String)> {
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
        let said = match value.strip_prefix('"') {
            Some(quoted) => {
                let (said, behind) = unquoted(quoted);
                rest = behind;
                said
            }
            None => {
                let (said, behind) = value.split_at(value.find(';').unwrap_or(value.len()));
                rest = behind;
                said.trim_end().to_owned()
            }
        };
        parameters.push((name, said));
        rest = rest.find(';').map_or("", |next| &rest[next + 1..]);
    }
    parameters
}

/// A quoted text whose opening quote is taken away, and what follows it. Only quotes and backslashes are escaped: names of Windows have
/// backslashes of their own.
fn unquoted(text: &str) -> (String, &str) {
    let (mut said, mut characters) = (String::new(), text.char_indices().peekable());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (said, &text[at + 1..]),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => said.push(escaped),
                None => said.push('\\'),
            },
            other => said.push(other),
        }
    }
    (said, "")
}

/// Headers are UTF-8 today, and were Latin-1.
fn decoded(bytes: &[u8]) -> String {
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

/// `charset'language'percent-encoded` (RFC 8187).
fn extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    in_charset(charset, &percent_decode_str(text).collect::<Vec<_>>())
}

/// A name in pieces (RFC 2231): `filename*0*=UTF-8''…; filename*1=…`.
fn continued(parameters: &[(String, String)]) -> Option<String> {
    // Each piece, and whether it is encoded; that counts before one that is not, and the first of several.
    let mut pieces: BTreeMap<(usize, bool), &str> = BTreeMap::new();
    for (name, value) in parameters {
        let Some(place) = name.strip_prefix("filename*") else {
            continue;
        };
        let (place, is_encoded) = place
            .strip_suffix('*')
            .map_or((place, false), |place| (place, true));
        let is_number = place == "0"
            || !place.starts_with('0') && place.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(place) = place.parse().ok().filter(|_| is_number) {
            pieces.entry((place, !is_encoded)).or_insert(value);
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
    in_charset(
        if charset.is_empty() {
            "utf-8"
        } else {
            &charset
        },
        &bytes,
    )
}

fn in_charset(charset: &str, bytes: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label(charset.trim().as_bytes())?;
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(std::borrow::Cow::into_owned)
}

/// What programs put into a plain `filename`: words of mail, or percent signs.
fn plain(value: &str) -> String {
    if value.contains("=?") {
        return words(value);
    }
    let bytes = percent_decode_str(value).collect::<Vec<_>>();
    match String::from_utf8(bytes) {
        // Somebody encoded what is not ASCII.
        Ok(text) if value.is_ascii() && !text.is_ascii() => text,
        // What browsers do to these signs, and only to these.
        _ => value
            .replace("%22", "\"")
            .replace("%0D", "\r")
            .replace("%0A", "\n"),
    }
}

/// Words like `=?utf-8?B?…?=` (RFC 2047), made readable; blanks between two of them are none. Programs cut a long text into words without
/// regard to its letters, so the bytes of words that follow each other are read together.
fn words(value: &str) -> String {
    let (mut text, mut rest) = (String::new(), value);
    while let Some(start) = rest.find("=?") {
        let (before, from) = rest.split_at(start);
        text += before;
        let Some((charset, bytes, behind)) = word(from) else {
            text += "=?";
            rest = &from[2..];
            continue;
        };
        let (mut bytes, mut behind) = (bytes, behind);
        while let Some((_, more, next)) =
            word(behind.trim_start()).filter(|it| it.0.eq_ignore_ascii_case(charset))
        {
            bytes.extend(more);
            behind = next;
        }
        match in_charset(charset, &bytes) {
            Some(readable) => text += &readable,
            None => text += &from[..from.len() - behind.len()],
        }
        let is_before_word = word(behind.trim_start()).is_some();
        rest = if is_before_word {
            behind.trim_start()
        } else {
            behind
        };
    }
    text + rest
}

/// The word that a text begins with: its charset, its bytes, and what follows.
fn word(text: &str) -> Option<(&str, Vec<u8>, &str)> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (charset, text) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, text) = text.split_once('?')?;
    let (said, behind) = text.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => LENIENT.decode(said.trim()).ok()?,
        "Q" | "q" => {
            percent_decode_str(&said.replace('%', "%25").replace('=', "%").replace('_', " "))
                .collect()
        }
        _ => return None,
    };
    // A language may stand behind the charset.
    Some((charset.split('*').next()?, bytes, behind))
}

/// The name alone, without folders, without what nobody sees or what turns letters around, and without dots at its end, which some
/// systems take away. `None`: nothing is left.
pub fn base(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    let last: String = last
        .chars()
        .filter(|character| !character.is_control() && !is_unseen(*character))
        .collect();
    let last = trimmed(&last);
    if last.is_empty() {
        return None;
    }
    if last.chars().count() <= LONGEST {
        return Some(last.to_owned());
    }
    let ending = extension(last).map_or_else(String::new, |extension| format!(".{extension}"));
    let stem: String = last.chars().take(LONGEST - ending.len()).collect();
    Some(trimmed(&stem).to_owned() + &ending)
}

/// What takes no room, save what letters and emoji are put together with.
fn is_unseen(character: char) -> bool {
    let joins = matches!(
        character,
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}'
    );
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || !joins && CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
}

/// Without blanks around it, and without dots and what joins nothing at its end.
fn trimmed(name: &str) -> &str {
    let joins = |character: char| matches!(character, '\u{200c}' | '\u{200d}');
    name.trim_start_matches(|character: char| character.is_whitespace() || joins(character))
        .trim_end_matches(|character: char| {
            character.is_whitespace() || character == '.' || joins(character)
        })
}

/// What stands behind the last dot of a name, in small letters.
pub fn extension(name: &str) -> Option<String> {
    let (stem, ending) = name.rsplit_once('.')?;
    let fits = !stem.is_empty()
        && (1..=12).contains(&ending.len())
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| ending.to_ascii_lowercase())
}

/// What an address calls a file, unless that is the name of a program.
pub fn of_address(url: &Url) -> Option<String> {
    let last = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
    let name = base(&decoded(&percent_decode_str(last).collect::<Vec<_>>()))?;
    let is_program =
        extension(&name).is_some_and(|extension| PROGRAMS.contains(&extension.as_str()));
    if is_program {
        name.rsplit_once('.').and_then(|(stem, _)| base(stem))
    } else {
        Some(name)
    }
}

/// A name that phones can open a document of this type by: the one it has, with an ending if it has none.
pub fn complete(name: Option<&str>, mime_type: &str) -> String {
    let name = name
        .map(trimmed)
        .filter(|name| !name.is_empty())
        .unwrap_or("document");
    match named::extension_of(types::essence(mime_type).as_str()) {
        Some(ending) if !has_ending(name, ending) => format!("{name}.{ending}"),
        _ => name.to_owned(),
    }
}

/// Whether a name has an ending already: what stands behind a dot may be part of a date or a version, as in `12.2025` and `v1.2b`. Parts of
/// something larger are numbered, though, and nothing is known of them.
fn has_ending(name: &str, usual: &str) -> bool {
    let is_number = |extension: &str| extension.starts_with(|sign: char| sign.is_ascii_digit());
    extension(name).is_some_and(|extension| {
        !is_number(&extension)
            || named::type_of(&extension).is_some()
            || usual == "bin" && extension.len() == 3
    })
}

#[cfg(test)]
mod tests;
