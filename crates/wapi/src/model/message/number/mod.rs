//! Phone numbers as people and programs write them. Pure.
//!
//! A text is parsed as it is written, or refused; it is never stripped until digits remain.

mod countries;

use countries::NumberingPlan;
use icu_properties::props::{Dash, DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use percent_encoding::percent_decode_str;
use url::Url;

/// The reason why a text is not clearly one phone number; the messages follow the quoted text, and
/// are for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhoneNumberError {
    #[error("it has no digits")]
    Empty,
    #[error("`{}` does not belong to a number there", .0.escape_debug())]
    InvalidCharacter(char),
    #[error("it looks like a decimal or a cut number, since {0} stands alone at its end")]
    Decimal(String),
    #[error("it begins with 0, so it lacks the country code")]
    National,
    #[error(
        "it may lack its country code, since {0} could be one by chance; write + and the code in front of it"
    )]
    AmbiguousCode(u16),
    #[error("it does not begin with a country code")]
    UnknownCode,
    #[error(
        "after the country code {0} it has a 0 that is only dialled within the country; omit it"
    )]
    TrunkZero(u16),
    #[error("numbers of {0} may begin with 0, so (0) is ambiguous; omit it, or its brackets")]
    AmbiguousZero(u16),
    #[error("numbers of {code} have {} digits after that, and it has {found}", span(*.wanted))]
    Length {
        code: u16,
        wanted: (usize, usize),
        found: usize,
    },
    #[error("the link has no number")]
    Link,
}

fn span((least, most): (usize, usize)) -> String {
    if least == most {
        least.to_string()
    } else {
        format!("{least} to {most}")
    }
}

/// Removes invisible characters, such as direction marks, joiners and widths, that come along when
/// a number is copied.
pub(crate) fn strip_invisible(text: &str) -> String {
    let invisible = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let seen: String = text
        .chars()
        .filter(|character| !invisible.contains(*character))
        .collect();
    seen.trim().to_owned()
}

/// A phone number, and whether it is written in international form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PhoneNumber {
    /// International, ASCII.
    pub digits: String,
    /// It starts with `+` or `00`, or is part of an address that contains only international
    /// numbers.
    pub is_international: bool,
}

/// Parses the number in an address: `tel:+375…`, `https://wa.me/375…`, `whatsapp://send?phone=…`.
/// Returns `None` if the text is no such address.
pub(crate) fn parse_link(text: &str) -> Option<Result<PhoneNumber, PhoneNumberError>> {
    let after = |start: &str| {
        let head = text.get(..start.len())?;
        head.eq_ignore_ascii_case(start)
            .then(|| &text[start.len()..])
    };
    let of_whatsapp = || after("whatsapp:").filter(|number| number.starts_with('+'));
    if let Some(number) = ["tel:", "callto:", "sms:"]
        .into_iter()
        .find_map(after)
        .or_else(of_whatsapp)
    {
        let number = percent_decode_str(number.trim_start_matches('/')).decode_utf8_lossy();
        return Some(parse_number(&number));
    }
    let hosts = [
        "wa.me/",
        "www.wa.me/",
        "api.whatsapp.com/",
        "web.whatsapp.com/",
    ];
    let is_bare = hosts.into_iter().any(|host| after(host).is_some());
    let url = Url::parse(&if is_bare {
        format!("https://{text}")
    } else {
        text.to_owned()
    })
    .ok()?;
    let named = match (url.scheme(), url.host_str()?.trim_start_matches("www.")) {
        ("http" | "https", "wa.me") => {
            let path = percent_decode_str(url.path().trim_matches('/'))
                .decode_utf8_lossy()
                .into_owned();
            Some(path).filter(|path| !path.is_empty())
        }
        ("http" | "https", "api.whatsapp.com" | "web.whatsapp.com" | "whatsapp.com")
        | ("whatsapp", "send") => None,
        _ => return None,
    };
    let asked = || {
        url.query_pairs()
            .find(|(name, _)| name == "phone")
            .map(|(_, number)| number.into_owned())
    };
    Some(
        named
            .or_else(asked)
            .ok_or(PhoneNumberError::Link)
            .and_then(|number| parse_marked(&number, true)),
    )
}

/// Parses the text as an international number, and refuses unclear ones.
pub(crate) fn parse_number(text: &str) -> Result<PhoneNumber, PhoneNumberError> {
    parse_marked(text, false)
}

/// `is_recorded`: the context says that the number is international.
fn parse_marked(text: &str, is_marked: bool) -> Result<PhoneNumber, PhoneNumberError> {
    let WrittenNumber {
        mut groups,
        has_plus,
    } = WrittenNumber::parse_marked(&strip_invisible(text))?;
    refuse_decimals(&groups)?;
    let first = groups.first_mut().ok_or(PhoneNumberError::Empty)?;
    let without_zeros = first
        .digits
        .strip_prefix("00")
        .filter(|_| !has_plus)
        .map(str::to_owned);
    let is_international = is_marked || has_plus || without_zeros.is_some();
    if let Some(rest) = without_zeros {
        first.digits = rest;
    }
    let all = join_digits(&groups);
    if all.starts_with('0') {
        return Err(if is_international {
            PhoneNumberError::UnknownCode
        } else {
            PhoneNumberError::National
        });
    }
    let country = NumberingPlan::find_by_number(&all).ok_or(PhoneNumberError::UnknownCode)?;
    if is_cut_by_bracket(&groups, country) || !is_international && !has_own_code(&groups, country) {
        return Err(PhoneNumberError::AmbiguousCode(country.code));
    }
    let number = strip_optional_zero(&groups, country)?.unwrap_or(all);
    let national = number
        .strip_prefix(&country.code.to_string())
        .ok_or(PhoneNumberError::UnknownCode)?;
    if national.starts_with('0') && !country.keeps_zeros {
        return Err(PhoneNumberError::TrunkZero(country.code));
    }
    if !country.is_valid_national(national) {
        return Err(PhoneNumberError::Length {
            code: country.code,
            wanted: country.digits,
            found: national.len(),
        });
    }
    Ok(PhoneNumber {
        digits: number,
        is_international,
    })
}

/// Returns whether a bracket opens inside the digits that would be the country code, as in `+8
/// (495) …`: an area code is not part of it. A number for domestic dialling begins with a 0,
/// though, and may share it with the end of the code: `+38 (050) …`.
fn is_cut_by_bracket(groups: &[DigitGroup], country: NumberingPlan) -> bool {
    let mut length = country.code.to_string().len();
    let mut is_first = true;
    for group in groups.iter().filter(|group| !group.digits.is_empty()) {
        if group.is_bracketed && !is_first {
            return length > 1 || !group.digits.starts_with('0');
        }
        (length, is_first) = (length.saturating_sub(group.digits.len()), false);
        if length == 0 {
            break;
        }
    }
    false
}

/// Returns whether a number without an international mark still begins with its country code. A
/// number without groups is assumed to. One in groups may be a domestic number whose first digits
/// match another country's code by chance: `(202) 555-0123` and `98765 43210` contain none. So the
/// code must be a group of its own, or the number longer than domestic ones are.
fn has_own_code(groups: &[DigitGroup], country: NumberingPlan) -> bool {
    /// No number without its country code has this many digits, except behind a 0.
    const LONG: usize = 12;
    /// No area code is followed by this many digits.
    const BEHIND_BRACKETS: usize = 10;
    let Some((first, behind)) = groups.split_first() else {
        return false;
    };
    if behind.is_empty() && !first.is_bracketed {
        return true;
    }
    let (code, count) = (country.code.to_string(), join_digits(behind).len());
    let is_long = first.digits.len() + count >= LONG;
    // `38 050 …`, `2 010 …`
    let shares_zero = || {
        let next = behind
            .first()
            .is_some_and(|next| next.digits.starts_with('0'));
        next && code.strip_suffix('0') == Some(first.digits.as_str())
    };
    match first.is_bracketed {
        // Brackets usually enclose an area code.
        true => {
            first.digits.starts_with(&code)
                && (is_long || first.digits == code && count >= BEHIND_BRACKETS)
        }
        false => {
            first.digits == code || is_long && (first.digits.starts_with(&code) || shares_zero())
        }
    }
}

/// Removes a `(0)` behind the country code, which replaces that code in domestic dialling; `None`
/// if there is none.
fn strip_optional_zero(
    groups: &[DigitGroup],
    country: NumberingPlan,
) -> Result<Option<String>, PhoneNumberError> {
    let Some(zero) = groups
        .iter()
        .position(|group| group.is_bracketed && group.digits == "0")
    else {
        return Ok(None);
    };
    let before = join_digits(&groups[..zero]);
    match before == country.code.to_string() {
        false => Err(PhoneNumberError::InvalidCharacter('(')),
        true if country.keeps_zeros => Err(PhoneNumberError::AmbiguousZero(country.code)),
        true => Ok(Some(before + &join_digits(&groups[zero + 1..]))),
    }
}

/// Refuses decimals, which spreadsheets make of numbers, and numbers with a few more digits, which
/// are often an extension or a second number.
fn refuse_decimals(groups: &[DigitGroup]) -> Result<(), PhoneNumberError> {
    const NUMBER: usize = 7;
    let Some((last, before)) = groups.split_last() else {
        return Ok(());
    };
    let dots = groups
        .iter()
        .filter(|group| group.gap == GroupGap::Dot)
        .count();
    let is_fraction =
        last.gap == GroupGap::Dot && dots == 1 && (last.digits.len() < 4 || before.len() == 1);
    if join_digits(before).len() >= NUMBER && (is_fraction || last.digits.len() == 1) {
        return Err(PhoneNumberError::Decimal(last.digits.clone()));
    }
    Ok(())
}

fn join_digits(groups: &[DigitGroup]) -> String {
    groups.iter().map(|group| group.digits.as_str()).collect()
}

/// A number as written: its digits in groups.
struct WrittenNumber {
    has_plus: bool,
    groups: Vec<DigitGroup>,
}

struct DigitGroup {
    /// ASCII.
    digits: String,
    /// The separator in front of it.
    gap: GroupGap,
    is_bracketed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupGap {
    Nothing,
    Blank,
    Dash,
    Dot,
}

impl WrittenNumber {
    fn parse_marked(text: &str) -> Result<Self, PhoneNumberError> {
        let mut written = Self {
            has_plus: false,
            groups: Vec::new(),
        };
        // Number of groups at the time when the currently open bracket was opened.
        let mut bracket: Option<usize> = None;
        let (mut gap, mut is_in_group) = (GroupGap::Nothing, false);
        for character in text.chars() {
            let there = written.groups.len();
            if let Some(digit) = ascii_digit(character) {
                if !is_in_group {
                    written.groups.push(DigitGroup {
                        digits: String::new(),
                        gap,
                        is_bracketed: bracket.is_some(),
                    });
                    (gap, is_in_group) = (GroupGap::Nothing, true);
                }
                written
                    .groups
                    .iter_mut()
                    .next_back()
                    .into_iter()
                    .for_each(|group| group.digits.push(digit));
                continue;
            }
            is_in_group = false;
            match character {
                '+' | '＋' | '﹢' if there == 0 && !written.has_plus => written.has_plus = true,
                '(' | '[' | '（' | '［' | '﹙' if bracket.is_none() => bracket = Some(there),
                ')' | ']' | '）' | '］' | '﹚' if bracket.is_some_and(|begun| begun < there) => {
                    bracket = None
                }
                blank if is_blank(blank) => {
                    gap = if gap == GroupGap::Nothing {
                        GroupGap::Blank
                    } else {
                        gap
                    }
                }
                sign if there > 0 && matches!(gap, GroupGap::Nothing | GroupGap::Blank) => {
                    gap = parse_gap(sign).ok_or(PhoneNumberError::InvalidCharacter(sign))?;
                }
                other => return Err(PhoneNumberError::InvalidCharacter(other)),
            }
        }
        match (gap, bracket) {
            (GroupGap::Dash, _) => Err(PhoneNumberError::InvalidCharacter('-')),
            (GroupGap::Dot, _) => Err(PhoneNumberError::InvalidCharacter('.')),
            (_, Some(_)) => Err(PhoneNumberError::InvalidCharacter('(')),
            _ => Ok(written),
        }
    }
}

/// Matches a space within a line.
fn is_blank(character: char) -> bool {
    CodePointMapData::<GeneralCategory>::new().get(character) == GeneralCategory::SpaceSeparator
}

fn parse_gap(sign: char) -> Option<GroupGap> {
    match sign {
        '.' | '．' | '․' | '·' | '•' | '∙' | '⋅' | '・' => Some(GroupGap::Dot),
        // Japanese characters that are written for a dash.
        'ー' | '─' | '━' => Some(GroupGap::Dash),
        sign => CodePointSetData::new::<Dash>()
            .contains(sign)
            .then_some(GroupGap::Dash),
    }
}

/// Returns the ASCII digit for a decimal digit of any script. Unicode keeps the ten digits of a
/// script together and in order.
fn ascii_digit(character: char) -> Option<char> {
    if character.is_ascii() {
        return Some(character).filter(char::is_ascii_digit);
    }
    let categories = CodePointMapData::<GeneralCategory>::new();
    let is_digit = |point: u32| categories.get32(point) == GeneralCategory::DecimalNumber;
    let point = u32::from(character);
    let before = (1..)
        .take_while(|back| point.checked_sub(*back).is_some_and(is_digit))
        .count();
    let value = u32::try_from(before % 10)
        .ok()
        .filter(|_| is_digit(point))?;
    char::from_digit(value, 10)
}

#[cfg(test)]
mod tests;
