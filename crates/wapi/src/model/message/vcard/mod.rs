//! vCards as other programs write them: 2.1 (versit), 3.0 (RFC 2426) and 4.0 (RFC 6350). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;
use percent_encoding::percent_decode_str;

use super::contact::ContactPhone;

const BEGIN: &str = "BEGIN:VCARD";
const END: &str = "END:VCARD";

/// The data of a vCard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VCard {
    /// The displayed name, or else the best substitute.
    pub name: Option<String>,
    pub phones: Vec<ContactPhone>,
}

/// Splits a text into its consecutive cards; a nested card is part of the outer one.
pub fn split_cards(text: &str) -> Vec<String> {
    let mut cards: Vec<String> = Vec::new();
    let mut depth = 0_usize;
    for line in text.trim_start_matches('\u{feff}').split_inclusive('\n') {
        let word = line.trim().to_ascii_uppercase();
        if word == BEGIN {
            if depth == 0 {
                cards.push(String::new());
            }
            depth += 1;
        }
        if let (1.., Some(card)) = (depth, cards.last_mut()) {
            card.push_str(line);
        }
        if word == END {
            depth = depth.saturating_sub(1);
        }
    }
    cards
        .into_iter()
        .map(|card| card.trim_end().to_owned())
        .collect()
}

impl VCard {
    /// Parses the first card of a text. A text that does not begin with a card is taken for its
    /// properties.
    pub fn parse(text: &str) -> Self {
        let first = split_cards(text).into_iter().next();
        let text = first.as_deref().unwrap_or(text);
        let (mut card, mut names, mut depth) = (Self::default(), CardNames::default(), 0_usize);
        for property in unfold_lines(text)
            .iter()
            .filter_map(|line| CardProperty::parse(line))
        {
            match property.name.as_str() {
                "BEGIN" => depth += 1,
                "END" => depth = depth.saturating_sub(1),
                // A property of a nested card.
                _ if depth > 1 => {}
                "TEL" => card.phones.extend(property.phone_number()),
                "FN" => names.shown = names.shown.or(property.text_value()),
                "N" => names.parts = names.parts.or_else(|| property.full_name()),
                "NICKNAME" => names.nick = names.nick.or(property.text_value()),
                "ORG" => {
                    names.company = names
                        .company
                        .or_else(|| property.value_parts().into_iter().find(|it| !it.is_empty()))
                }
                "EMAIL" => names.address = names.address.or(property.text_value()),
                _ => {}
            }
        }
        let number = || card.phones.first().map(|phone| phone.phone.clone());
        let CardNames {
            shown,
            parts,
            nick,
            company,
            address,
        } = names;
        card.name = shown
            .or(parts)
            .or(nick)
            .or(company)
            .or(address)
            .or_else(number);
        card
    }
}

/// Candidates for the name, the best first.
#[derive(Default)]
struct CardNames {
    shown: Option<String>,
    parts: Option<String>,
    nick: Option<String>,
    company: Option<String>,
    address: Option<String>,
}

/// Joins physical lines into logical ones: a line that begins with a blank continues the previous
/// line, and in quoted-printable, a line that ends with `=` (a soft line break) continues with the
/// next. A blank after such a `=` is content; only programs that fold lines as later versions do
/// insert one there themselves.
fn unfold_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut version: Option<String> = None;
    for line in text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
    {
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (rest, Some(last)) if is_soft_break(last) => {
                let is_folded = match version.as_deref() {
                    Some(version) => version != "2.1",
                    None => rest.is_some_and(|rest| rest.starts_with('=')),
                };
                last.pop();
                last.push_str(rest.filter(|_| is_folded).unwrap_or(line));
            }
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => {
                let value = line
                    .split_once(':')
                    .filter(|(name, _)| name.trim().eq_ignore_ascii_case("VERSION"));
                version = value
                    .map(|(_, version)| version.trim().to_owned())
                    .or(version);
                lines.push(line.to_owned());
            }
        }
    }
    lines
}

fn is_soft_break(line: &str) -> bool {
    line.ends_with('=')
        && line
            .split(':')
            .next()
            .is_some_and(|head| head.to_ascii_uppercase().contains("QUOTED-PRINTABLE"))
}

/// A line of a vCard.
struct CardProperty {
    /// In upper case; `item1.TEL` is a `TEL`.
    name: String,
    /// Names in upper case, and values; in 2.1 a value may stand alone, in place of the name.
    parameters: Vec<(String, String)>,
    /// Decoded, but not unescaped.
    value: String,
}

impl CardProperty {
    fn parse(line: &str) -> Option<Self> {
        let (head, value) = split_line(line)?;
        let mut parts = split_head(head, ';').into_iter();
        let name = parts
            .next()?
            .rsplit('.')
            .next()?
            .trim()
            .to_ascii_uppercase();
        let parameters: Vec<_> = parts
            .map(|part| match part.split_once('=') {
                Some((name, value)) => (name.trim().to_ascii_uppercase(), unquote_parameter(value)),
                None => (part.trim().to_ascii_uppercase(), String::new()),
            })
            .collect();
        let value = decode_value(&parameters, value);
        Some(Self {
            name,
            parameters,
            value,
        })
    }

    fn find_parameter(&self, wanted: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(name, value)| name == wanted && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Returns the unescaped value, unless it is empty.
    fn text_value(&self) -> Option<String> {
        Some(unescape_text(&self.value).trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Returns the values between its semicolons.
    fn value_parts(&self) -> Vec<String> {
        split_escaped(&self.value)
            .iter()
            .map(|part| unescape_text(part).trim().to_owned())
            .collect()
    }

    /// Returns the full name: prefixes, given, additional and family names, and suffixes, in spoken
    /// order.
    fn full_name(&self) -> Option<String> {
        let parts = self.value_parts();
        let order = [3, 1, 2, 0, 4]
            .into_iter()
            .filter_map(|index| parts.get(index).filter(|part| !part.is_empty()));
        let name = order
            .map(|part| part.replace(',', " "))
            .collect::<Vec<_>>()
            .join(" ");
        Some(name.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
    }

    /// Returns the phone number as written, also from a `tel:` address (RFC 3966).
    fn phone_number(&self) -> Option<ContactPhone> {
        let written = self.text_value()?;
        let phone = match written.get(..4) {
            Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => {
                let (number, parameters) =
                    written[4..].split_once(';').unwrap_or((&written[4..], ""));
                let number = percent_decode_str(number).decode_utf8_lossy();
                let extension = parameters.split(';').find_map(|it| it.strip_prefix("ext="));
                extension.map_or_else(
                    || number.clone().into_owned(),
                    |extension| format!("{number} ext. {extension}"),
                )
            }
            _ => written,
        };
        Some(ContactPhone {
            phone,
            wa_id: self.find_parameter("WAID").map(str::to_owned),
        })
    }
}

/// Splits a line at its colon into head and value; a colon within quotes does not count.
fn split_line(line: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let colon = line.char_indices().find(|(_, sign)| {
        is_quoted ^= *sign == '"';
        *sign == ':' && !is_quoted
    });
    // A quote that is never closed is an ordinary character.
    let at = colon.map(|(at, _)| at).or_else(|| line.find(':'))?;
    Some((&line[..at], &line[at + 1..]))
}

/// Splits a head at a separator, and leaves quotes as they are.
fn split_head(head: &str, sign: char) -> Vec<&str> {
    let (mut is_quoted, mut start, mut parts) = (false, 0, Vec::new());
    for (at, character) in head.char_indices() {
        is_quoted ^= character == '"';
        if character == sign && !is_quoted {
            parts.push(&head[start..at]);
            start = at + 1;
        }
    }
    parts.push(&head[start..]);
    parts
}

/// Returns the value of a parameter, without quotes and the escapes of RFC 6868.
fn unquote_parameter(value: &str) -> String {
    value
        .trim()
        .trim_matches('"')
        .replace("^n", "\n")
        .replace("^'", "\"")
        .replace("^^", "^")
}

/// Decodes a value from its transfer encoding and its charset.
fn decode_value(parameters: &[(String, String)], value: &str) -> String {
    let is = |wanted: &str| {
        let says = |(name, value): &(String, String)| {
            name == wanted || name == "ENCODING" && value.eq_ignore_ascii_case(wanted)
        };
        parameters.iter().any(says)
    };
    let bytes = if is("QUOTED-PRINTABLE") {
        percent_decode_str(&value.replace('%', "%25").replace('=', "%")).collect()
    } else if is("BASE64") || is("B") {
        let packed: String = value.chars().filter(|sign| !sign.is_whitespace()).collect();
        match STANDARD.decode(packed) {
            Ok(bytes) => bytes,
            Err(_) => return value.to_owned(),
        }
    } else {
        return value.to_owned();
    };
    let charset = parameters
        .iter()
        .find(|(name, _)| name == "CHARSET")
        .map(|(_, charset)| charset.as_bytes());
    let usual = || {
        if std::str::from_utf8(&bytes).is_ok() {
            encoding_rs::UTF_8
        } else {
            encoding_rs::WINDOWS_1252
        }
    };
    let encoding = charset.and_then(Encoding::for_label).unwrap_or_else(usual);
    encoding.decode_without_bom_handling(&bytes).0.into_owned()
}

/// Splits a value at semicolons that are not escaped.
fn split_escaped(value: &str) -> Vec<String> {
    let (mut parts, mut characters) = (vec![String::new()], value.chars());
    while let Some(character) = characters.next() {
        match (character, parts.last_mut()) {
            (';', _) => parts.push(String::new()),
            ('\\', Some(last)) => {
                last.push('\\');
                last.extend(characters.next());
            }
            (other, Some(last)) => last.push(other),
            (_, None) => {}
        }
    }
    parts
}

pub fn escape_text(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace(['\r', '\n'], "\\n")
        .replace(',', "\\,")
        .replace(';', "\\;")
}

fn unescape_text(text: &str) -> String {
    let (mut plain, mut characters) = (String::with_capacity(text.len()), text.chars());
    while let Some(character) = characters.next() {
        plain.extend(match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => Some('\n'),
                other => other,
            },
            other => Some(other),
        });
    }
    plain
}

#[cfg(test)]
mod tests;
