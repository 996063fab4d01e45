//! Location of a file on WhatsApp's media servers, and its key. Pure.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// The kinds of files that messages carry, with the words of a message's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(const_into_str, serialize_all = "lowercase")]
pub enum RemoteFileKind {
    Image,
    Video,
    Audio,
    Document,
    Sticker,
}

/// A file on WhatsApp's media servers. Stored as JSON, so fields may only be added.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFile {
    pub kind: RemoteFileKind,
    /// Its path there; it expires after some weeks.
    pub direct_path: String,
    /// The encryption key; empty if the file is not encrypted.
    #[serde(with = "base64_bytes")]
    pub key: Vec<u8>,
    /// Hashes of the plain file and of the encrypted one.
    #[serde(with = "base64_bytes")]
    pub sha256: Vec<u8>,
    #[serde(with = "base64_bytes")]
    pub encrypted_sha256: Vec<u8>,
    /// Bytes, according to the sender.
    pub size: Option<u64>,
    /// Whether the account sent it, from another of its devices.
    #[serde(default)]
    pub from_me: bool,
}

impl std::fmt::Debug for RemoteFile {
    /// Omits the key, and the path, which is as good as a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("kind", &self.kind)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Bytes encoded as base64 text.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::remote_file::*;

    #[test]
    fn it_comes_back_as_it_was_and_shows_no_key() {
        let remote = RemoteFile {
            kind: RemoteFileKind::Sticker,
            direct_path: "/v/secret".to_owned(),
            key: vec![1; 32],
            sha256: vec![2; 32],
            encrypted_sha256: vec![3; 32],
            size: Some(4),
            from_me: true,
        };
        let text = serde_json::to_string(&remote).unwrap();
        assert_eq!(serde_json::from_str::<RemoteFile>(&text).unwrap(), remote);
        assert_eq!(
            format!("{remote:?}"),
            "Remote { kind: Sticker, size: Some(4), .. }"
        );
    }
}
