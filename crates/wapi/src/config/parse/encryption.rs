//! Encryption of keys on the disk. Pure.

use std::path::PathBuf;

use super::SettingReader;
use crate::system::master_key::{KeyPlace, KeySource, MasterKey, MasterKeySettings, SealPolicy};

const KEY: &str = "WAPI_MASTER_KEY";
const KEY_FILE: &str = "WAPI_MASTER_KEY_FILE";
const KEY_COMMAND: &str = "WAPI_MASTER_KEY_COMMAND";
const OLD_KEY: &str = "WAPI_MASTER_KEY_OLD";
const OLD_KEY_FILE: &str = "WAPI_MASTER_KEY_OLD_FILE";
const ENCRYPT: &str = "WAPI_ENCRYPT";

/// Reads the master key and what is sealed with it. `None` means that an error was recorded.
pub fn read_master_key(reader: &mut SettingReader) -> Option<Option<MasterKeySettings>> {
    let current = read_source(reader, &[KEY, KEY_FILE, KEY_COMMAND]);
    let old = read_source(reader, &[OLD_KEY, OLD_KEY_FILE]);
    let is_given = reader.sources.setting_value(ENCRYPT).is_some();
    let policy = reader.read_optional(ENCRYPT, parse_policy);
    let (current, old) = (current?, old?);
    if is_given && policy.is_none() {
        return None;
    }
    let Some(current) = current else {
        if let Some(old) = old {
            let problem = "is set, but WAPI_MASTER_KEY, which is to replace it, is not; set both, or this key as \
                           WAPI_MASTER_KEY alone";
            reader.errors.add(old.setting, problem);
            return None;
        }
        if policy == Some(SealPolicy::Keys) {
            let problem = "is keys, but there is no master key; set WAPI_MASTER_KEY, WAPI_MASTER_KEY_FILE or \
                           WAPI_MASTER_KEY_COMMAND";
            reader.errors.add(ENCRYPT, problem);
            return None;
        }
        return Some(None);
    };
    Some(Some(MasterKeySettings {
        current,
        old,
        policy: policy.unwrap_or(SealPolicy::Keys),
    }))
}

/// Reads the one of these settings that is set. `None` means that an error was recorded.
fn read_source(reader: &mut SettingReader, settings: &[&'static str]) -> Option<Option<KeySource>> {
    let set = settings
        .iter()
        .filter(|name| reader.sources.setting_value(name).is_some());
    let set: Vec<_> = set.copied().collect();
    match set[..] {
        [] => Some(None),
        [setting] => {
            let place = reader.read_optional(setting, |text| match setting {
                KEY | OLD_KEY => MasterKey::parse(text).map(KeyPlace::Value),
                KEY_COMMAND => parse_command(text).map(KeyPlace::Command),
                _ => parse_file(text).map(KeyPlace::File),
            })?;
            Some(Some(KeySource { setting, place }))
        }
        [first, second, ..] => {
            let problem = format!("is set, and {first} as well; set one of the two");
            reader.errors.add(second, problem);
            None
        }
    }
}

fn parse_policy(text: &str) -> Result<SealPolicy, String> {
    match text {
        "keys" => Ok(SealPolicy::Keys),
        "none" => Ok(SealPolicy::Unseal),
        "all" => Err(
            "is all, which this version has not: it seals keys, and neither events nor messages; it can be keys or none"
                .to_owned(),
        ),
        key if MasterKey::has_form(key) => Err(
            "is a key itself; it can be keys or none, and the key belongs into WAPI_MASTER_KEY"
                .to_owned(),
        ),
        other => Err(format!("is `{other}`; it can be keys or none")),
    }
}

/// The text is not shown: it is a key that was put into the wrong setting.
const IS_KEY: &str =
    "is a key itself, not the place of one; set WAPI_MASTER_KEY, or WAPI_MASTER_KEY_OLD, to it";

/// A path that begins at the root is none of the keys that people make, even if it can be read as base64.
fn parse_file(text: &str) -> Result<PathBuf, String> {
    if MasterKey::has_form(text) && !text.starts_with('/') {
        return Err(IS_KEY.to_owned());
    }
    Ok(PathBuf::from(text))
}

fn parse_command(text: &str) -> Result<Vec<String>, String> {
    let words = split_command(text)?;
    match words.as_slice() {
        [word] if MasterKey::has_form(word) && !word.starts_with('/') => Err(IS_KEY.to_owned()),
        _ => Ok(words),
    }
}

/// Splits a command at its spaces; quotes of both kinds keep words together. Nothing else means
/// anything, so nothing has to be escaped.
fn split_command(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for sign in text.chars() {
        match (quote, sign) {
            (Some(end), _) if sign == end => quote = None,
            (None, '"' | '\'') => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (None, _) if sign.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(sign),
        }
    }
    if quote.is_some() {
        return Err("has a quote that does not end; write the quotes in pairs".to_owned());
    }
    words.extend(word);
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err("names no program; write the program and its arguments".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Setting;
    use crate::config::{ConfigSources, ValueSource, list_settings};

    const HEX: &str = "0e2d9a84c7563f1b8ad04e6972c5b13d5f0c6a1e94d7b2388c41e0a95d73f61b";
    const BASE64: &str = "Di2ahMdWPxuK0E5pcsWxPV8Mah6U17I4jEHgqV1z9hs=";

    fn read(values: &[(&str, &str)]) -> Result<Option<MasterKeySettings>, String> {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = ConfigSources::from_defaults().with_values(values, ValueSource::Environment);
        let mut reader = SettingReader::new(&sources);
        reader.refuse_empty_secrets();
        let read = read_master_key(&mut reader);
        let errors = reader.into_errors();
        match read {
            Some(read) if errors.is_empty() => Ok(read),
            _ => Err(errors.to_string()),
        }
    }

    #[test]
    fn without_a_master_key_nothing_is_sealed() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[(ENCRYPT, "none")]).unwrap().is_none());
    }

    #[test]
    fn a_master_key_is_found_in_one_place() {
        let one = read(&[(KEY, HEX)]).unwrap().unwrap();
        assert_eq!(one.policy, SealPolicy::Keys);
        assert!(matches!(one.current.place, KeyPlace::Value(_)));
        let values = [(KEY_FILE, "/a b"), (OLD_KEY, HEX), (ENCRYPT, "none")];
        let two = read(&values).unwrap().unwrap();
        assert_eq!(two.policy, SealPolicy::Unseal);
        assert!(matches!(two.current.place, KeyPlace::File(path) if path.as_os_str() == "/a b"));
        assert!(matches!(two.old.unwrap().place, KeyPlace::Value(_)));
        let three = read(&[(KEY_COMMAND, "age -d key"), (OLD_KEY_FILE, "/old")]);
        let three = three.unwrap().unwrap();
        assert!(matches!(three.current.place, KeyPlace::Command(words) if words.len() == 3));
        assert!(matches!(three.old.unwrap().place, KeyPlace::File(_)));
    }

    #[test]
    fn wrong_values_are_named_with_what_to_change_and_never_shown() {
        for (values, problem) in [
            (vec![(KEY, "hush")], "WAPI_MASTER_KEY must be 64 hex digits"),
            (
                vec![(KEY, "")],
                "WAPI_MASTER_KEY (from environment) is empty",
            ),
            (
                vec![(KEY_FILE, "")],
                "WAPI_MASTER_KEY_FILE (from environment) is empty",
            ),
            (
                vec![(KEY, HEX), (OLD_KEY, "hush")],
                "WAPI_MASTER_KEY_OLD must be 64 hex digits",
            ),
            (
                vec![(KEY, HEX), (KEY_FILE, "/key")],
                "WAPI_MASTER_KEY_FILE is set, and WAPI_MASTER_KEY as well; set one of the two",
            ),
            (
                vec![(KEY_FILE, "/key"), (KEY_COMMAND, "cat /key")],
                "WAPI_MASTER_KEY_COMMAND is set, and WAPI_MASTER_KEY_FILE as well",
            ),
            (
                vec![(KEY, HEX), (OLD_KEY, HEX), (OLD_KEY_FILE, "/key")],
                "WAPI_MASTER_KEY_OLD_FILE is set, and WAPI_MASTER_KEY_OLD as well",
            ),
            (
                vec![(OLD_KEY, HEX)],
                "WAPI_MASTER_KEY_OLD is set, but WAPI_MASTER_KEY, which is to replace it, is not",
            ),
            (
                vec![(KEY_COMMAND, "pass 'wapi key")],
                "WAPI_MASTER_KEY_COMMAND has a quote that does not end",
            ),
            (
                vec![(KEY_FILE, HEX)],
                "WAPI_MASTER_KEY_FILE is a key itself, not the place of one",
            ),
            (
                vec![(KEY, HEX), (OLD_KEY_FILE, BASE64)],
                "WAPI_MASTER_KEY_OLD_FILE is a key itself, not the place of one",
            ),
            (
                vec![(KEY_COMMAND, BASE64)],
                "WAPI_MASTER_KEY_COMMAND is a key itself, not the place of one",
            ),
            (
                vec![(KEY_COMMAND, "'' x")],
                "WAPI_MASTER_KEY_COMMAND names no program",
            ),
            (
                vec![(ENCRYPT, "keys")],
                "WAPI_ENCRYPT is keys, but there is no master key; set WAPI_MASTER_KEY",
            ),
            (
                vec![(KEY, HEX), (ENCRYPT, "all")],
                "WAPI_ENCRYPT is all, which this version has not",
            ),
            (
                vec![(KEY, HEX), (ENCRYPT, "yes")],
                "WAPI_ENCRYPT is `yes`; it can be keys or none",
            ),
            (
                vec![(ENCRYPT, HEX)],
                "WAPI_ENCRYPT is a key itself; it can be keys or none",
            ),
            (
                vec![(KEY, HEX), (ENCRYPT, BASE64)],
                "WAPI_ENCRYPT is a key itself; it can be keys or none",
            ),
        ] {
            let told = read(&values).unwrap_err();
            assert!(told.contains(problem), "{values:?}: {told}");
            assert!(!told.contains("hush"), "{told}");
            assert!(!told.contains(HEX) && !told.contains(BASE64), "{told}");
        }
    }

    #[test]
    fn wherever_a_key_is_put_it_is_not_listed() {
        for name in [KEY, KEY_FILE, KEY_COMMAND, OLD_KEY, OLD_KEY_FILE, ENCRYPT] {
            for key in [HEX, BASE64] {
                let value = [(name.to_owned(), key.to_owned())];
                let sources = ConfigSources::from_defaults();
                let sources = sources.with_values(value, ValueSource::Environment);
                assert!(!list_settings(&sources).contains(key), "{name}");
            }
        }
    }

    #[test]
    fn the_examples_of_the_settings_are_nobodys_keys() {
        for setting in [KEY, OLD_KEY] {
            let example = Setting::find_by_name(setting).unwrap().example;
            let told = read(&[(setting, example)]).unwrap_err();
            assert!(told.contains("this is the example"), "{told}");
        }
    }

    #[test]
    fn a_command_is_split_at_spaces_and_nothing_is_replaced() {
        for (text, words) in [
            ("cat /key", &["cat", "/key"][..]),
            ("  a\t b ", &["a", "b"]),
            (r#"sh -c 'echo "$A"'"#, &["sh", "-c", r#"echo "$A""#]),
            (r#"a "b c"d '' \$e"#, &["a", "b cd", "", r"\$e"]),
        ] {
            assert_eq!(split_command(text).unwrap(), words, "{text}");
        }
    }
}
