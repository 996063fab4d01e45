//! One row of the engine, and the changes of rows.

/// Kind of a row, with its number in the database. The comment says what the key is, and the number
/// if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// The device itself; there is one row. The first kind, so that it is the first to be deleted.
    Device = 1,
    /// Identity of another device, by its address.
    Identity = 2,
    /// Signal session with another device, by its address.
    Session = 3,
    /// One-time key, by its id; 1 once it is uploaded.
    PreKey = 4,
    /// Signed key, by its id.
    SignedPreKey = 5,
    /// Sender key of a group's member, by the engine's name for it.
    SenderKey = 6,
    /// Key of the app state, by its id.
    SyncKey = 7,
    /// Version of an app-state collection, by the collection.
    Version = 8,
    /// Checksum of an app-state entry, by collection and entry.
    Mac = 9,
    /// Device of a group's member, by group and device; 1 if it has the sender key.
    SenderKeyDevice = 10,
    /// Number of a LID, by `lid` and the LID; a LID of a number, by `pn`, the number, and the LID, with
    /// the time of the last update.
    LidMapping = 11,
    /// First key of a session, by address and message.
    BaseKey = 12,
    /// Devices of a user, by the user.
    DeviceList = 13,
    /// Members of a group, by the group.
    Group = 14,
    /// Token of a trusted contact, by the contact.
    TrustToken = 15,
    /// Secret of a message, by chat, sender, and id; when it expires, or 0.
    Secret = 16,
}

impl RowKind {
    /// All kinds.
    #[cfg(test)]
    pub const ALL: [Self; 16] = [
        Self::Device,
        Self::Identity,
        Self::Session,
        Self::PreKey,
        Self::SignedPreKey,
        Self::SenderKey,
        Self::SyncKey,
        Self::Version,
        Self::Mac,
        Self::SenderKeyDevice,
        Self::LidMapping,
        Self::BaseKey,
        Self::DeviceList,
        Self::Group,
        Self::TrustToken,
        Self::Secret,
    ];

    /// The number in the database.
    pub const fn number(self) -> i64 {
        self as i64
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineRow {
    pub kind: RowKind,
    pub key: String,
    pub extra: i64,
    pub value: Vec<u8>,
}

/// Keys from `from` to just before `to`; all keys after it without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    pub from: String,
    pub to: Option<String>,
}

impl KeyRange {
    /// All keys.
    pub const ALL: Self = Self {
        from: String::new(),
        to: None,
    };

    /// The keys that begin with a text that ends with an ASCII character.
    pub fn starting_with(start: &str) -> Self {
        let mut end = start.as_bytes().to_vec();
        let to = match end.last_mut() {
            // The character after it: keys compare by their bytes.
            Some(last) if *last < 0x7f => {
                *last += 1;
                String::from_utf8(end).ok()
            }
            _ => None,
        };
        Self {
            from: start.to_owned(),
            to,
        }
    }

    pub fn contains(&self, key: &str) -> bool {
        key >= &*self.from && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// A change of rows of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// Inserts a row, or replaces the one of its kind and key.
    Put(EngineRow),
    /// Sets the number of a row; one that is absent stays so.
    SetExtra(RowKind, String, i64),
    Delete(RowKind, String),
    DeleteRange(RowKind, KeyRange),
    /// Deletes the rows whose number is positive and not above this one.
    Expire(RowKind, i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_what_begins_alike_and_nothing_else() {
        let range = KeyRange::starting_with("1:");
        for (key, is_in) in [
            ("1", false),
            ("1:", true),
            ("1:2@lid", true),
            ("1;", false),
            ("10:", false),
        ] {
            assert_eq!(range.contains(key), is_in, "{key}");
        }
        assert!(KeyRange::ALL.contains("") && KeyRange::ALL.contains("\u{ff}"));
    }
}
