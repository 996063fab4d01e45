//! Session names: any text, made safe for file names and URLs.

use std::fmt;

/// The name of a session, chosen by its owner.
///
/// 1 to 200 arbitrary characters. Names are compared exactly, including case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct SessionName(String);

/// Reasons why a text cannot name a session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionNameError {
    #[error("is empty; a session needs a name")]
    Empty,
    #[error("has more than {} characters", SessionName::MAX_CHARACTERS)]
    TooLong,
    /// File systems allow 255 bytes, and suffixes need some of them.
    #[error(
        "has too many special characters: as a file name it would be longer than {} bytes",
        SessionName::MAX_FILE_STEM
    )]
    TooLongAsFile,
    /// URLs cannot carry these two: `.` and `..` vanish from every path, however they are encoded.
    #[error("is `.` or `..`, which cannot be part of an address")]
    Dots,
}

impl SessionName {
    const MAX_CHARACTERS: usize = 200;
    const MAX_FILE_STEM: usize = 240;

    pub fn parse(text: &str) -> Result<Self, SessionNameError> {
        match text {
            "" => return Err(SessionNameError::Empty),
            "." | ".." => return Err(SessionNameError::Dots),
            _ if text.chars().count() > Self::MAX_CHARACTERS => {
                return Err(SessionNameError::TooLong);
            }
            _ => {}
        }
        let name = Self(text.to_owned());
        if name.file_stem().len() > Self::MAX_FILE_STEM {
            return Err(SessionNameError::TooLongAsFile);
        }
        Ok(name)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the file name without its extension; [`Self::from_file_stem`] is the inverse.
    ///
    /// Letters and digits of all scripts, `-` and `_` are kept; every byte of any other character
    /// is percent-encoded. So the result contains no `/` or `.`, and `%` only as an escape.
    pub fn file_stem(&self) -> String {
        let mut stem = String::with_capacity(self.0.len());
        for character in self.0.chars() {
            if character.is_alphanumeric() || matches!(character, '-' | '_') {
                stem.push(character);
            } else {
                push_encoded(&mut stem, character);
            }
        }
        stem
    }

    /// Returns `None` if no session has this file stem.
    pub fn from_file_stem(stem: &str) -> Option<Self> {
        let decoded = percent_encoding::percent_decode_str(stem)
            .decode_utf8()
            .ok()?;
        Self::parse(&decoded)
            .ok()
            .filter(|name| name.file_stem() == stem)
    }

    /// Returns the name as one segment of a URL path.
    pub fn url_segment(&self) -> String {
        let mut segment = String::with_capacity(self.0.len());
        for character in self.0.chars() {
            if character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '~') {
                segment.push(character);
            } else {
                push_encoded(&mut segment, character);
            }
        }
        segment
    }
}

fn push_encoded(text: &mut String, character: char) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        text.push_str(percent_encoding::percent_encode_byte(byte));
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::session_name::*;

    #[test]
    fn hostile_names_become_harmless_file_names_and_come_back() {
        for (name, stem) in [
            ("shop", "shop"),
            ("../../x", "%2E%2E%2F%2E%2E%2Fx"),
            ("a/b", "a%2Fb"),
            ("a%2Fb", "a%252Fb"),
            ("C:\\con\0", "C%3A%5Ccon%00"),
            ("магазин №1", "магазин%20%E2%84%961"),
            ("🐙", "%F0%9F%90%99"),
            ("...", "%2E%2E%2E"),
            (" ", "%20"),
        ] {
            let session = SessionName::parse(name).unwrap();
            assert_eq!(session.file_stem(), stem);
            assert_eq!(SessionName::from_file_stem(stem), Some(session));
        }
    }

    #[test]
    fn names_have_limits() {
        let long = |text: &str, times| SessionName::parse(&text.repeat(times));
        assert_eq!(SessionName::parse(""), Err(SessionNameError::Empty));
        assert_eq!(SessionName::parse(".."), Err(SessionNameError::Dots));
        assert!(long("a", 200).is_ok());
        assert_eq!(long("a", 201), Err(SessionNameError::TooLong));
        assert!(long("🐙", 20).is_ok());
        assert_eq!(long("🐙", 21), Err(SessionNameError::TooLongAsFile));
    }

    #[test]
    fn foreign_file_names_are_no_sessions() {
        for stem in ["%zz", "a%2fb", "%FF", "", "a.b", "%61"] {
            assert_eq!(SessionName::from_file_stem(stem), None, "{stem}");
        }
    }

    #[test]
    fn a_name_is_one_segment_of_an_address() {
        let base = url::Url::parse("https://example.com/webhook/").unwrap();
        for name in ["../../x", "a/b", "?q#f", "🐙 №", "...", "a%2Fb"] {
            let address = base
                .join(&SessionName::parse(name).unwrap().url_segment())
                .unwrap();
            let segments: Vec<_> = address.path_segments().unwrap().collect();
            assert_eq!(segments.len(), 2, "{address}");
            let back = percent_encoding::percent_decode_str(segments[1])
                .decode_utf8()
                .unwrap();
            assert_eq!((back.as_ref(), address.query()), (name, None));
        }
    }
}
