//! What is told of chats and people beside messages. A public contract.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize};

use super::Person;

/// `chat.updated`: a chat is another than it was.
///
/// `{"session": "shop", "chat": {"id": "…@g.us", "phone": null, "lid": null, "name": "Team"}, "archived": true}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatUpdated {
    pub session: String,
    /// With whom it is; of a group, its address and its subject, as far as they are known.
    pub chat: Person,
    #[serde(flatten)]
    pub change: ChatChange,
}

/// What is new of a chat; what did not change is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// `null`: it is muted no more. Muted for ever is [`FOREVER`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[serde(serialize_with = "crate::stamp::nullable")]
    pub muted_until: Option<Option<Timestamp>>,
    /// `true`: it was marked as unread by hand. `false`: all of it was read, or everything up to `read_up_to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    /// A message; what came after it is not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_up_to: Option<String>,
    /// `true`: it is gone from the list, and its messages with it, until something is written in it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// `true`: its messages are gone, and the chat is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared: Option<bool>,
    /// Beside `unread: false`, `deleted` and `cleared`, as far as the device said it: messages of after this second are not meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::stamp::optional")]
    pub up_to: Option<Timestamp>,
}

impl ChatChange {
    /// Whether what it says of messages holds for all of them.
    pub const fn is_of_all(&self) -> bool {
        self.read_up_to.is_none() && self.up_to.is_none()
    }
}

/// A time that does not come: the end of the year 9998, in every clock on earth a year that can be written.
pub const FOREVER: Timestamp = Timestamp::constant(253_370_764_799, 0);

/// `contact.updated`: something became known of a person, or they changed it themselves.
///
/// `{"session": "shop", "contact": {"id": …, "phone": …, "lid": …, "name": "Ann"}, "name": "Ann"}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactUpdated {
    pub session: String,
    /// Everything that is known now.
    pub contact: Person,
    /// What changed, again; what did not is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they call themselves now, where another name is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The text below their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// `null`: they show none any more.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub picture: Option<Option<ShownPicture>>,
    /// An id they had until now, because they were taken for two. It names them no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
}

/// A picture that somebody shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPicture {
    /// Another one when it changes; `null` where WhatsApp does not say.
    pub id: Option<String>,
    /// Where it is, below the gateway's own address.
    pub url: String,
}

impl ShownPicture {
    /// `whom`: an address, or a number.
    pub fn new(session: &str, whom: &str, id: Option<String>) -> Self {
        let session = utf8_percent_encode(session, NON_ALPHANUMERIC);
        Self {
            id,
            url: format!("/v1/sessions/{session}/contacts/{whom}/picture"),
        }
    }
}

/// Tells a `null` from what is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        for (json, change) in [
            (
                r#"{"archived":true}"#,
                ChatChange {
                    archived: Some(true),
                    ..ChatChange::default()
                },
            ),
            (
                r#"{"muted_until":null}"#,
                ChatChange {
                    muted_until: Some(None),
                    ..ChatChange::default()
                },
            ),
            (
                r#"{"muted_until":"9998-12-31T23:59:59.000Z"}"#,
                ChatChange {
                    muted_until: Some(Some(FOREVER)),
                    ..ChatChange::default()
                },
            ),
            ("{}", ChatChange::default()),
        ] {
            assert_eq!(serde_json::to_string(&change).unwrap(), json);
            assert_eq!(serde_json::from_str::<ChatChange>(json).unwrap(), change);
        }
    }
}
