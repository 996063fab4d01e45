//! The master key, which seals the keys of sessions on the disk, and the places that it is read from.

mod reading;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretBox};

use crate::system::clock::Clock;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// The time limit for a command or a file: a server far away may be asked, and the start waits.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The examples of the settings, which anybody knows.
pub const EXAMPLE_KEYS: [&str; 2] = [
    "5f0c6a1e94d7b2388c41e0a95d73f61b0e2d9a84c7563f1b8ad04e6972c5b13d",
    "a3d51b7f08c2e6944f1d3b60c58e92a7d40f7e163b9c82d5e60a17f4b8293c5e",
];

/// A key of 256 bits. Never shown.
pub struct MasterKey(SecretBox<[u8; KEY_BYTES]>);

impl Clone for MasterKey {
    fn clone(&self) -> Self {
        Self::from_bytes(*self.bytes())
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MasterKey")
    }
}

impl MasterKey {
    /// Takes the bytes as a key.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// Parses 64 hex digits, or the base64 of 32 bytes. The error explains the mistake without
    /// showing the key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "must be 64 hex digits, as `openssl rand -hex 32` prints them, or the base64 of 32 bytes";
        let Some(bytes) = decode_text(text) else {
            return Err(format!(
                "{form}; these {} characters are neither",
                text.trim().chars().count()
            ));
        };
        let count = bytes.len();
        let bytes = <[u8; KEY_BYTES]>::try_from(bytes)
            .map_err(|_| format!("{form}; this has {count} bytes"))?;
        // A key that somebody has typed to try things out, or that a template has left.
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(format!(
                "{form}; this is one byte again and again, which anybody guesses"
            ));
        }
        let is_example = |example: &str| decode_text(example).is_some_and(|known| known == bytes);
        if EXAMPLE_KEYS.into_iter().any(is_example) {
            return Err(format!(
                "{form}; this is the example of the documentation, which anybody knows"
            ));
        }
        Ok(Self::from_bytes(bytes))
    }

    /// Returns whether a text has the form of a key, good or bad.
    pub fn has_form(text: &str) -> bool {
        decode_text(text).is_some_and(|bytes| bytes.len() == KEY_BYTES)
    }

    /// The bytes, for a cipher.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        self.0.expose_secret()
    }
}

/// Decodes hex digits or base64; `None` if the text is neither.
fn decode_text(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && text.len() == 2 * KEY_BYTES {
        return (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
            .collect();
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| engine.decode(text).ok())
}

/// What is done with the keys of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealPolicy {
    /// They are sealed.
    Keys,
    /// The seal is taken off.
    Unseal,
}

/// The keys of a start, once they are read.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    pub current: MasterKey,
    /// What the data folder may be sealed with until now.
    pub old: Option<MasterKey>,
    pub policy: SealPolicy,
}

/// Where the keys are found.
#[derive(Debug, Clone)]
pub struct MasterKeySettings {
    pub current: KeySource,
    pub old: Option<KeySource>,
    pub policy: SealPolicy,
}

/// The place of one key, with the name of its setting.
#[derive(Debug, Clone)]
pub struct KeySource {
    pub setting: &'static str,
    pub place: KeyPlace,
}

/// The ways to give a key. Never shown: a key may stand where its place should.
#[derive(Clone)]
pub enum KeyPlace {
    Value(MasterKey),
    File(PathBuf),
    /// A program and its arguments; its output is the key.
    Command(Vec<String>),
}

impl std::fmt::Debug for KeyPlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Value(_) => "Value",
            Self::File(_) => "File",
            Self::Command(_) => "Command",
        })
    }
}

impl MasterKeySettings {
    /// Reads the keys from their places. Errors name the setting and never show a key.
    pub async fn read(&self, clock: &Clock) -> Result<MasterKeys> {
        let old = match &self.old {
            Some(source) => Some(source.read(clock).await?),
            None => None,
        };
        Ok(MasterKeys {
            current: self.current.read(clock).await?,
            old,
            policy: self.policy,
        })
    }
}

impl KeySource {
    async fn read(&self, clock: &Clock) -> Result<MasterKey> {
        let setting = self.setting;
        let text = match &self.place {
            KeyPlace::Value(key) => return Ok(key.clone()),
            KeyPlace::File(path) => clock
                .timeout(READ_TIMEOUT, reading::read_file(path.clone()))
                .await
                .map_err(|_| anyhow!("nothing came in {} s", READ_TIMEOUT.as_secs()))
                .and_then(|content| content)
                .with_context(|| {
                    format!("{setting} names no file that can be read; name one with the key, which the user of wapi may read")
                })?,
            KeyPlace::Command(words) => clock
                .timeout(READ_TIMEOUT, reading::run_command(words, clock))
                .await
                .map_err(|_| anyhow!("it has not ended after {} s", READ_TIMEOUT.as_secs()))
                .and_then(|output| output)
                .with_context(|| {
                    format!("{setting} is a command that has given no key; run it as the user of wapi, and see what it prints")
                })?,
        };
        MasterKey::parse(&text).map_err(|problem| match &self.place {
            KeyPlace::Command(_) => anyhow!("{setting}: the output of the command {problem}"),
            _ => anyhow!("{setting}: the content of the file {problem}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::system::clock::TimeSource;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    fn read(place: KeyPlace) -> impl Future<Output = Result<MasterKey>> {
        let source = KeySource {
            setting: "WAPI_MASTER_KEY_COMMAND",
            place,
        };
        async move { source.read(&Clock::system()).await }
    }

    fn command(words: &[&str]) -> KeyPlace {
        KeyPlace::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_key_is_the_same_in_each_of_its_forms() {
        let wanted: [u8; KEY_BYTES] = std::array::from_fn(|at| at as u8);
        let padded = STANDARD.encode(wanted);
        let bare = padded.trim_end_matches('=');
        for text in [HEX, &format!(" {HEX}\n"), &padded, bare] {
            assert_eq!(MasterKey::parse(text).unwrap().bytes(), &wanted, "{text}");
        }
        let url_safe = URL_SAFE.encode([0xfb; 31].into_iter().chain([1]).collect::<Vec<_>>());
        MasterKey::parse(&url_safe).unwrap();
    }

    #[test]
    fn a_wrong_key_is_explained_and_not_repeated() {
        for (text, problem) in [
            ("", "this has 0 bytes"),
            ("c2hvcnQ=", "this has 5 bytes"),
            ("correct horse battery staple", "28 characters are neither"),
            (&HEX[1..], "63 characters are neither"),
            (&format!("{HEX}00"), "bytes"),
            (&format!("0x{HEX}"), "66 characters are neither"),
            (&"0".repeat(64), "again and again"),
            (EXAMPLE_KEYS[0], "the example of the documentation"),
            (&EXAMPLE_KEYS[1].to_uppercase(), "the example of the"),
        ] {
            let told = MasterKey::parse(text).unwrap_err();
            assert!(told.contains(problem), "{text}: {told}");
            assert!(text.is_empty() || !told.contains(text), "{told}");
        }
        assert_eq!(format!("{:?}", MasterKey::parse(HEX).unwrap()), "MasterKey");
    }

    #[tokio::test]
    async fn a_key_is_read_from_files_and_from_the_output_of_commands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{HEX}\n")).unwrap();
        let wanted = MasterKey::parse(HEX).unwrap();
        let text = path.to_str().unwrap();
        for place in [KeyPlace::File(path.clone()), command(&["cat", text])] {
            assert_eq!(read(place).await.unwrap().bytes(), wanted.bytes());
        }
    }

    #[tokio::test]
    async fn a_place_without_a_key_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hush hush").unwrap();
        let text = path.to_str().unwrap();
        for (place, problem) in [
            (command(&["false"]), "it ended with"),
            (command(&["/no/such/hush"]), "its program cannot be run: "),
            (command(&["true"]), "the output of the command must be 64"),
            (command(&["cat", text]), "must be 64 hex digits"),
            (command(&["cat", "/dev/zero"]), "so it is no key"),
            (
                KeyPlace::File(folder.path().join("hush")),
                "names no file that can be read",
            ),
            (KeyPlace::File(path.clone()), "must be 64 hex digits"),
        ] {
            let told = format!("{:#}", read(place).await.unwrap_err());
            assert!(told.contains(problem), "{told}");
            assert!(told.starts_with("WAPI_MASTER_KEY_COMMAND"), "{told}");
            assert!(!told.contains("hush"), "{told}");
        }
    }

    #[tokio::test]
    async fn a_command_is_not_waited_for_by_what_it_leaves_running() {
        for script in [
            format!("sleep 120 & echo {HEX}"),
            format!("echo {HEX}; exec >&-; sleep 0.1"),
        ] {
            let key = read(command(&["sh", "-c", &script])).await;
            assert!(key.is_ok(), "{script}: {key:?}");
        }
    }

    /// Every time limit is over at once.
    struct NoTime;

    impl TimeSource for NoTime {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn a_place_that_says_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for (place, problem) in [
            (KeyPlace::File(pipe), "nothing came in 30 s"),
            (command(&["sleep", "120"]), "it has not ended after 30 s"),
        ] {
            let source = KeySource {
                setting: "WAPI_MASTER_KEY_FILE",
                place,
            };
            let told = source.read(&Clock::new(NoTime)).await.unwrap_err();
            let told = format!("{told:#}");
            assert!(told.contains(problem), "{told}");
        }
    }
}
