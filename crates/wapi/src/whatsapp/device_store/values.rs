//! Keys and values of the rows, for what the engine does not hand over as bytes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use whatsapp_rust::wacore::reporting_token::MESSAGE_SECRET_SIZE;
use whatsapp_rust::wacore::store::error::{Result, StoreError};
use whatsapp_rust::wacore::store::traits::{LidPnMappingEntry, MessageSecret};

use crate::model::ids::to_hex;
use crate::store::{EngineRow, KeyRange, RowChange, RowKind};

/// Between the parts of a key; in none of them.
const SEPARATOR: &str = "\n";

/// A mapping of a LID; the key has the LID.
#[derive(Serialize, Deserialize)]
pub(super) struct LidMapping {
    pub phone_number: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub learning_source: String,
}

impl LidMapping {
    pub fn into_entry(self, lid: &str) -> LidPnMappingEntry {
        LidPnMappingEntry {
            lid: lid.to_owned(),
            phone_number: self.phone_number,
            created_at: self.created_at,
            updated_at: self.updated_at,
            learning_source: self.learning_source,
        }
    }
}

/// Encodes a value.
pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}

/// Decodes a value.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}

/// Decodes a value that the engine learns again if it is absent, as one that cannot be read is.
pub(super) fn decode_or_forget<T: DeserializeOwned>(kind: RowKind, value: &[u8]) -> Option<T> {
    let decoded = serde_json::from_slice(value);
    if let Err(error) = &decoded {
        tracing::warn!(?kind, %error, "ignoring a saved row of the engine that cannot be read");
    }
    decoded.ok()
}

/// Puts a row without a number.
pub(super) fn put(kind: RowKind, key: impl Into<String>, value: impl Into<Vec<u8>>) -> RowChange {
    put_numbered(kind, key, 0, value)
}

pub(super) fn put_numbered(
    kind: RowKind,
    key: impl Into<String>,
    extra: i64,
    value: impl Into<Vec<u8>>,
) -> RowChange {
    RowChange::Put(row(kind, key, extra, value))
}

pub(super) fn row(
    kind: RowKind,
    key: impl Into<String>,
    extra: i64,
    value: impl Into<Vec<u8>>,
) -> EngineRow {
    EngineRow {
        kind,
        key: key.into(),
        extra,
        value: value.into(),
    }
}

/// The key of an id; keys sort as the ids do.
pub(super) fn id_key(id: u32) -> String {
    format!("{id:08x}")
}

pub(super) fn parse_id(key: &str) -> Option<u32> {
    u32::from_str_radix(key, 16).ok()
}

pub(super) fn parse_hex(key: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = key.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    bytes.collect()
}

/// The key of an app-state entry's checksum.
pub(super) fn mac_key(collection: &str, index_mac: &[u8]) -> String {
    join_key([collection, &to_hex(index_mac)])
}

/// Joins the parts of a key.
pub(super) fn join_key<const PARTS: usize>(parts: [&str; PARTS]) -> String {
    parts.join(SEPARATOR)
}

/// The keys whose first part this is.
pub(super) fn keys_of(first: &str) -> KeyRange {
    KeyRange::starting_with(&format!("{first}{SEPARATOR}"))
}

/// The last part of a key.
pub(super) fn last_part(key: &str) -> &str {
    key.rsplit(SEPARATOR).next().unwrap_or(key)
}

/// The value of a message's secret: the secret, and the time of its message in seconds.
pub(super) fn encode_secret(secret: &MessageSecret, message_ts: i64) -> Vec<u8> {
    [&secret[..], &message_ts.to_be_bytes()].concat()
}

pub(super) fn decode_secret(value: &[u8]) -> Option<(MessageSecret, i64)> {
    let (secret, message_ts) = value.split_at_checked(MESSAGE_SECRET_SIZE)?;
    let message_ts = i64::from_be_bytes(message_ts.try_into().ok()?);
    Some((secret.try_into().ok()?, message_ts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_what_they_stand_for_and_are_read_back() {
        assert!(id_key(255) < id_key(256) && id_key(9) < id_key(10));
        assert_eq!(parse_id(&id_key(0x00ff_ffff)), Some(0x00ff_ffff));
        assert_eq!(parse_hex(&to_hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!((parse_hex("0"), parse_hex("0g")), (None, None));
        let key = join_key(["g@g.us", "1:2@lid"]);
        assert!(keys_of("g@g.us").contains(&key) && !keys_of("g@g.u").contains(&key));
        assert_eq!(last_part(&key), "1:2@lid");
        let secret = encode_secret(&[7; MESSAGE_SECRET_SIZE], -1);
        assert_eq!(decode_secret(&secret), Some(([7; MESSAGE_SECRET_SIZE], -1)));
        assert_eq!(decode_secret(&secret[1..]), None);
    }
}
