//! Chat and contact events. A public contract.

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Person;

/// `chat.updated`: a property of a chat changed.
///
/// `{"session": "shop", "chat": {"id": "…@g.us", "phone": null, "lid": null, "name": "Team"},
/// "archived": true}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChatUpdated {
    #[serde(default)]
    pub session: String,
    /// The other person; for a group, its address and subject, as far as they are known.
    pub chat: Person,
    #[serde(flatten)]
    pub change: ChatChange,
}

/// The changed properties of a chat; unchanged ones are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChatChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// `null`: the chat is no longer muted. In the year 9998: it is muted without end.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(extend("nullable" = true))]
    #[serde(serialize_with = "crate::model::timestamp::nullable")]
    pub muted_until: Option<Option<Timestamp>>,
    /// Ids of the chat's labels, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// `true`: the account marked the chat as unread. `false`: it has read all of the chat, or
    /// everything up to `read_up_to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    /// Id of a message; later messages are still unread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_up_to: Option<String>,
    /// `true`: the chat and its messages are deleted; the next message restores the chat to the
    /// list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// `true`: the chat's messages are deleted, and the chat stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared: Option<bool>,
    /// With `unread: false`, `deleted` and `cleared`, as far as the device said it: messages after
    /// this second are not affected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub up_to: Option<Timestamp>,
}

impl ChatChange {
    /// Returns whether the change applies to all messages of the chat.
    pub const fn is_for_all_messages(&self) -> bool {
        self.read_up_to.is_none() && self.up_to.is_none()
    }
}

/// A time that never comes: the end of the year 9998, in every time zone a year that can be
/// written.
pub const FOREVER: Timestamp = Timestamp::constant(253_370_764_799, 0);

/// `contact.updated`: a property of a person became known, or the person changed it.
///
/// `{"session": "shop", "contact": {"id": …, "phone": …, "lid": …, "name": "Ann"}, "name": "Ann"}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContactUpdated {
    pub session: String,
    /// All that is known now.
    pub contact: Person,
    /// This and the following are the changed properties, again; unchanged ones are left out.
    #[schemars(description = "Omitted if unchanged, like all properties except `contact`.")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new push name, where another name is displayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The text below their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// `null`: their profile picture is no longer visible.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(extend("nullable" = true))]
    pub picture: Option<Option<ProfilePicture>>,
    /// A former id of theirs, from the time before two ids were recognized as one person. It is no
    /// longer valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<String>,
}

/// A profile picture that is visible to the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProfilePicture {
    /// Differs when the picture changes; `null` where WhatsApp does not say.
    pub id: Option<String>,
    /// Path of the picture, relative to the gateway's own address.
    pub url: String,
}

impl ProfilePicture {
    /// Creates the path of the picture of `address`, an address or a number.
    pub fn new(session: &str, address: &str, id: Option<String>) -> Self {
        let session = utf8_percent_encode(session, NON_ALPHANUMERIC);
        Self {
            id,
            url: format!("/v1/sessions/{session}/contacts/{address}/picture"),
        }
    }
}

/// Distinguishes `null` from an absent field.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

#[cfg(test)]
mod tests {
    use crate::model::event::update::*;

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
