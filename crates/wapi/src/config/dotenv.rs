//! The `.env` file: one name and one literal value per line. Pure.

use std::collections::BTreeMap;

const PREFIX: &str = "WAPI_";

/// The faults of the file, without any of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotenvError(pub Vec<String>);

/// Returns the settings in the file. Variables of other programs are skipped, whatever their
/// syntax.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, String>, DotenvError> {
    let text = decode_text(bytes).map_err(|problem| DotenvError(vec![problem]))?;
    let mut found = BTreeMap::<String, (usize, String)>::new();
    let mut problems = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            problems.push(format!(
                "has no `=` in line {number}; a line is NAME=value, or begins with #"
            ));
            continue;
        };
        let (name, value) = (strip_export(name), value.trim());
        if !name.starts_with(PREFIX) {
            if is_like_setting(name) {
                problems.push(format!(
                    "has a name in line {number} that looks like a setting but is none; settings begin with {PREFIX}, \
                     in capital letters, with nothing before them but `export`"
                ));
            }
            if let Err(problem) = skip_quoted_lines(number, value, &mut lines) {
                problems.push(problem);
            }
            continue;
        }
        match unquote_value(value) {
            Ok(value) => {
                if let Some((before, _)) = found.insert(name.to_owned(), (number, value.to_owned()))
                {
                    problems.push(format!(
                        "has {name} twice, in lines {before} and {number}; remove one"
                    ));
                }
            }
            Err(problem) => problems.push(format!("{problem} in line {number} ({name})")),
        }
    }
    let values = found
        .into_iter()
        .map(|(name, (_, value))| (name, value))
        .collect();
    if problems.is_empty() {
        Ok(values)
    } else {
        Err(DotenvError(problems))
    }
}

fn strip_export(name: &str) -> &str {
    let name = name.trim();
    let exported = name
        .strip_prefix("export")
        .filter(|rest| rest.starts_with([' ', '\t']));
    exported.unwrap_or(name).trim_start()
}

/// Returns whether a line seems to be meant as one of our settings: skipping a misspelt one would
/// leave the gateway without it.
fn is_like_setting(name: &str) -> bool {
    let last = name.split_whitespace().next_back().unwrap_or_default();
    let letters: String = last
        .chars()
        .filter(|sign| sign.is_ascii_alphanumeric() || *sign == '_')
        .collect();
    letters.to_ascii_uppercase().starts_with(PREFIX)
}

/// Skips the remaining lines of another program's quoted value. A quotation that never ends, or
/// that spans one of our settings, is an error: a quotation mark is missing.
fn skip_quoted_lines<'a>(
    first: usize,
    value: &str,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<(), String> {
    let Some(quote) = value
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''))
    else {
        return Ok(());
    };
    if value[1..].contains(quote) {
        return Ok(());
    }
    let mut swallowed = None;
    for (number, line) in lines {
        if line
            .split_once('=')
            .is_some_and(|(name, _)| is_like_setting(name))
        {
            swallowed = swallowed.or(Some(number));
        }
        if line.contains(quote) {
            return swallowed.map_or(Ok(()), |ours| {
                Err(format!(
                    "has a quotation that starts in line {first} and runs over the setting in line {ours}; \
                     end it before that line"
                ))
            });
        }
    }
    Err(format!(
        "has a quotation that starts in line {first} and never ends"
    ))
}

/// Returns the value without the quotation marks around it. Values are literal: syntax that other
/// readers of such files would expand is refused, as it would mean one thing here and another
/// there.
fn unquote_value(value: &str) -> Result<&str, &'static str> {
    let Some(quote @ ('"' | '\'')) = value.chars().next() else {
        return if value.contains(" #") || value.contains("\t#") {
            Err(
                "has a `#` after a space, which may start a comment or be part of the value: put the comment into a \
                 line of its own, or the value into single quotation marks,",
            )
        } else {
            Ok(value)
        };
    };
    let inner = value[1..]
        .strip_suffix(quote)
        .filter(|inner| !inner.contains(quote));
    let inner =
        inner.ok_or("has a quotation that does not end with the line, or text after it,")?;
    if quote == '"' && inner.contains('\\') {
        return Err(
            "has a `\\` between double quotation marks; use single ones, where it has no special meaning,",
        );
    }
    Ok(inner)
}

fn decode_text(bytes: &[u8]) -> Result<&str, String> {
    let is_wide =
        bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0);
    if is_wide {
        return Err("is UTF-16 or not text; save it as UTF-8".to_owned());
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("is not UTF-8 in line {line}; save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Result<String, DotenvError> {
        parse(format!("WAPI_A={line}\n").as_bytes())
            .map(|mut values| values.remove("WAPI_A").unwrap())
    }

    #[test]
    fn a_value_is_what_stands_there() {
        for (written, meant) in [
            ("abc$def", "abc$def"),
            (
                "$2b$12$abcdefghijklmnopqrstuv",
                "$2b$12$abcdefghijklmnopqrstuv",
            ),
            ("${HOME}`pwd`$(id)", "${HOME}`pwd`$(id)"),
            ("a=b==", "a=b=="),
            ("a#b", "a#b"),
            ("#a", "#a"),
            ("a\\nb", "a\\nb"),
            ("two words", "two words"),
            (" padded\t", "padded"),
            ("\"two  words # and $more\"", "two  words # and $more"),
            ("'it\\s \"quoted\"'", "it\\s \"quoted\""),
            ("a\"b", "a\"b"),
            ("\"\"", ""),
            ("", ""),
            ("пароль", "пароль"),
        ] {
            assert_eq!(value(written).as_deref(), Ok(meant), "{written}");
        }
        let whole = "\u{feff}# first\r\nexport\tWAPI_A = 1\r\n\r\n  WAPI_B='2'\r\nOTHER=a b \"c\nMY_WAPI_A=4\nNEXT=\"one\ntwo three\n\"\nWAPI_C=3";
        let read = parse(whole.as_bytes()).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(read, [("WAPI_A", "1"), ("WAPI_B", "2"), ("WAPI_C", "3")]);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_never_shown() {
        for (text, words) in [
            (&b"WAPI_A=1\nhush-hush\n"[..], "line 2"),
            (b"\n\nWAPI_A=\"hush", "line 3 (WAPI_A)"),
            (b"WAPI_A='hush' hush", "line 1"),
            (b"WAPI_A=\"hush\\\"hush\"", "line 1"),
            (b"WAPI_A=hush # hush", "line 1"),
            (
                b"WAPI_A=hush\nOTHER=1\nOTHER=2\nWAPI_A=hush",
                "lines 1 and 4",
            ),
            (b"\xff\xfeh\0u\0s\0h\0", "UTF-16"),
            (b"h\0u\0s\0h\0", "UTF-16"),
            (b"WAPI_A=1\nWAPI_B=hush\xe9\n", "not UTF-8 in line 2"),
            (
                b"MOTD=\"hush\nWAPI_A=1\n",
                "starts in line 1 and never ends",
            ),
            (
                b"A=1\nMOTD='hush\nWAPI_A='1'\n",
                "starts in line 2 and runs over the setting in line 3",
            ),
            (b"MOTD=\"hush\nexport WAPI_A=1\nhush\"", "in line 2"),
            (b"wapi_a=hush", "in line 1"),
            (b"Wapi_A=hush", "in line 1"),
            (b"- WAPI_A=hush", "in line 1"),
            (b"set WAPI_A=hush", "in line 1"),
            ("\u{200b}WAPI_A=hush".as_bytes(), "in line 1"),
            ("export \u{feff}WAPI_A=hush".as_bytes(), "in line 1"),
        ] {
            let DotenvError(problems) = parse(text).unwrap_err();
            let refused = problems.join("; ");
            assert!(
                refused.contains(words) && !refused.contains("hush"),
                "{refused}"
            );
        }
        assert_eq!(
            parse(b"a\nWAPI_A='\nb").unwrap_err().0.len(),
            3,
            "all of it at once"
        );
    }
}
