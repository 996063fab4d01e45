//! Chat settings and contacts of a phone, which all devices of the account share: archive, pin,
//! mute, star, rename.

use serde::Serialize;
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::sync_action_value as action;

use crate::model::history::Author;
use crate::model::ids::Chat;
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::app_state::{self, AppStateChange, AppStateEntry, CRITICAL_BLOCK, REGULAR_HIGH};

/// The collection of contacts.
const CRITICAL_UNBLOCK_LOW: &str = "critical_unblock_low";

/// The collection of archived, pinned and read chats.
const REGULAR_LOW: &str = "regular_low";

/// The settings of a chat in a phone's chat list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChatSettings {
    /// Whether it is archived.
    pub archived: bool,
    /// Whether it is pinned to the top.
    pub pinned: bool,
    /// The end of its mute, in milliseconds since 1970; -1 for no end.
    pub muted_until: Option<i64>,
    /// Whether it is marked as unread.
    pub unread: bool,
}

/// Whether a phone sends its new app-state key to its linked devices by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyShare {
    /// It sends it to all of them, as phones do.
    Now,
    /// They have to request it, as if the message that brings it was lost.
    OnRequest,
}

impl Phone {
    /// Archives or unarchives a chat.
    pub fn archives_chat(&self, chat: &str, archived: bool) -> anyhow::Result<()> {
        let action = action::ArchiveChatAction {
            archived: Some(archived),
            message_range: message_range(),
        };
        let value = SyncActionValue {
            archive_chat_action: MessageField::some(action),
            ..Default::default()
        };
        self.sets_action(REGULAR_LOW, &["archive", &self.address_of(chat)?], 3, value)
    }

    /// Pins or unpins a chat.
    pub fn pins_chat(&self, chat: &str, pinned: bool) -> anyhow::Result<()> {
        let action = action::PinAction {
            pinned: Some(pinned),
        };
        let value = SyncActionValue {
            pin_action: MessageField::some(action),
            ..Default::default()
        };
        self.sets_action(REGULAR_LOW, &["pin_v1", &self.address_of(chat)?], 5, value)
    }

    /// Mutes a chat until this time, in milliseconds since 1970, or without an end (-1); `None`
    /// unmutes it.
    pub fn mutes_chat(&self, chat: &str, until: Option<i64>) -> anyhow::Result<()> {
        let mute_end_timestamp = Some(until.unwrap_or(0));
        let action = action::MuteAction {
            muted: Some(until.is_some()),
            mute_end_timestamp,
            ..Default::default()
        };
        let value = SyncActionValue {
            mute_action: MessageField::some(action),
            ..Default::default()
        };
        self.sets_action(REGULAR_HIGH, &["mute", &self.address_of(chat)?], 2, value)
    }

    /// Marks a chat as unread, or as read.
    pub fn marks_unread(&self, chat: &str, unread: bool) -> anyhow::Result<()> {
        let action = action::MarkChatAsReadAction {
            read: Some(!unread),
            message_range: message_range(),
        };
        let value = SyncActionValue {
            mark_chat_as_read_action: MessageField::some(action),
            ..Default::default()
        };
        self.sets_action(
            REGULAR_LOW,
            &["markChatAsRead", &self.address_of(chat)?],
            3,
            value,
        )
    }

    /// Stars or unstars a message.
    pub fn stars_message(
        &self,
        chat: &str,
        message_id: &str,
        author: Author,
        starred: bool,
    ) -> anyhow::Result<()> {
        let key = self
            .message_key(chat, message_id, author)?
            .into_option()
            .unwrap_or_default();
        let action = action::StarAction {
            starred: Some(starred),
        };
        let value = SyncActionValue {
            star_action: MessageField::some(action),
            ..Default::default()
        };
        let from_me = if author == Author::Me { "1" } else { "0" };
        let participant = key.participant.unwrap_or_else(|| "0".to_owned());
        self.sets_action(
            REGULAR_HIGH,
            &[
                "star",
                &self.address_of(chat)?,
                message_id,
                from_me,
                &participant,
            ],
            2,
            value,
        )
    }

    /// Saves a person under a name.
    pub fn names_contact(&self, whom: &str, name: &str) -> anyhow::Result<()> {
        let [number, lid] = self.both_addresses(whom)?;
        let username = {
            let (number, world) = (self.resolve_number(whom)?, self.server.world.lock());
            let account = world.account(&number);
            account.and_then(|account| account.profile.username.clone())
        };
        let contact = action::ContactAction {
            username,
            full_name: Some(name.to_owned()),
            first_name: name.split(' ').next().map(str::to_owned),
            lid_jid: Some(lid),
            save_on_primary_addressbook: Some(true),
            ..Default::default()
        };
        let value = SyncActionValue {
            contact_action: MessageField::some(contact),
            ..Default::default()
        };
        self.sets_action(CRITICAL_UNBLOCK_LOW, &["contact", &number], 2, value)
    }

    /// Removes a person from its contacts.
    pub fn forgets_contact(&self, whom: &str) -> anyhow::Result<()> {
        let [number, _] = self.both_addresses(whom)?;
        self.writes_action(CRITICAL_UNBLOCK_LOW, &["contact", &number], 2, None)
    }

    /// Deletes a chat from the list, with all its messages.
    pub fn deletes_chat(&self, chat: &str) -> anyhow::Result<()> {
        let action = action::DeleteChatAction {
            message_range: message_range(),
        };
        let value = SyncActionValue {
            delete_chat_action: MessageField::some(action),
            ..Default::default()
        };
        self.sets_action(
            REGULAR_HIGH,
            &["deleteChat", &self.address_of(chat)?, "1"],
            6,
            value,
        )
    }

    /// Deletes all messages of a chat, which stays in the list.
    pub fn clears_chat(&self, chat: &str) -> anyhow::Result<()> {
        let action = action::ClearChatAction {
            message_range: message_range(),
        };
        let value = SyncActionValue {
            clear_chat_action: MessageField::some(action),
            ..Default::default()
        };
        self.sets_action(
            REGULAR_HIGH,
            &["clearChat", &self.address_of(chat)?, "1", "1"],
            6,
            value,
        )
    }

    /// Changes the account's push name.
    pub fn sets_push_name(&self, name: &str) -> anyhow::Result<()> {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.push_name = name.to_owned();
        }
        let change = push_name(name);
        app_state::write_changes(&self.server, &self.number, CRITICAL_BLOCK, &[change])
    }

    /// Makes a new app-state key for the account; later entries can only be read with it.
    pub fn renews_app_state_key(&self, share: KeyShare) -> anyhow::Result<()> {
        self.with_phone_state(|phone_state| phone_state.app_state.rotate_key());
        match share {
            KeyShare::Now => app_state::share_keys(&self.server, &self.number),
            KeyShare::OnRequest => Ok(()),
        }
    }

    /// The settings of a chat, whichever of the account's devices has made them.
    pub fn chat_settings(&self, chat: &str) -> anyhow::Result<ChatSettings> {
        let low = |action: &str| self.newest_action(REGULAR_LOW, action, chat);
        let mute = self
            .newest_action(REGULAR_HIGH, "mute", chat)?
            .and_then(|value| value.mute_action.into_option());
        let mute = mute.filter(|mute| mute.muted == Some(true));
        let is = |flag: Option<bool>| flag == Some(true);
        Ok(ChatSettings {
            archived: low("archive")?.is_some_and(|value| is(value.archive_chat_action.archived)),
            pinned: low("pin_v1")?.is_some_and(|value| is(value.pin_action.pinned)),
            muted_until: mute.map(|mute| mute.mute_end_timestamp.unwrap_or(-1)),
            unread: low("markChatAsRead")?
                .is_some_and(|value| value.mark_chat_as_read_action.read == Some(false)),
        })
    }

    /// The saved name of a person.
    pub fn contact_name(&self, whom: &str) -> anyhow::Result<Option<String>> {
        let contact = self.newest_action(CRITICAL_UNBLOCK_LOW, "contact", whom)?;
        Ok(contact.and_then(|value| value.contact_action.into_option()?.full_name))
    }

    /// The account's push name, as its devices have agreed on it.
    pub fn push_name(&self) -> Option<String> {
        self.with_phone_state(|phone_state| {
            let newest = phone_state
                .app_state
                .entries(CRITICAL_BLOCK)
                .max_by_key(|entry| entry.value.timestamp)?;
            newest.value.push_name_setting.as_option()?.name.clone()
        })
    }

    /// The entries that the account's devices wrote to a collection or removed from it, oldest
    /// first, by index, such as `["deleteMessageForMe", CHAT, ID, "1", "0"]`.
    pub fn app_state_writes(&self, collection: &str) -> anyhow::Result<Vec<Vec<String>>> {
        Ok(self.with_phone_state(|phone_state| phone_state.app_state.written_indexes(collection)))
    }

    fn newest_action(
        &self,
        collection: &str,
        action: &str,
        chat: &str,
    ) -> anyhow::Result<Option<SyncActionValue>> {
        let addresses = self.both_addresses(chat)?;
        let meant = |entry: &&AppStateEntry| match &entry.index[..] {
            [kind, chat, ..] => kind == action && addresses.contains(chat),
            _ => false,
        };
        Ok(self.with_phone_state(|phone_state| {
            let entries = phone_state.app_state.entries(collection).filter(meant);
            entries
                .max_by_key(|entry| entry.value.timestamp)
                .map(|entry| entry.value.clone())
        }))
    }

    /// The addresses of a person by number and by LID; the same address twice for all other chats.
    pub(crate) fn both_addresses(&self, chat: &str) -> anyhow::Result<[String; 2]> {
        let number = match self.find_chat(chat)? {
            many @ (Chat::Group(_) | Chat::Status | Chat::Newsletter(_)) => {
                return Ok([many.to_string(), many.to_string()]);
            }
            Chat::Person(number) => number,
        };
        let world = self.server.world.lock();
        let account = world
            .account(&number)
            .expect("an account is never removed while the simulator runs");
        Ok([Addressing::PhoneNumber, Addressing::Lid]
            .map(|addressing| account.jid(addressing, 0).to_string()))
    }

    pub(crate) fn sets_action(
        &self,
        collection: &str,
        index: &[&str],
        schema: i32,
        value: SyncActionValue,
    ) -> anyhow::Result<()> {
        self.writes_action(collection, index, schema, Some(value))
    }

    pub(crate) fn writes_action(
        &self,
        collection: &str,
        index: &[&str],
        schema: i32,
        value: Option<SyncActionValue>,
    ) -> anyhow::Result<()> {
        let index = index.iter().map(|&part| part.to_owned()).collect();
        let value = value.map(|value| SyncActionValue {
            timestamp: value
                .timestamp
                .or_else(|| Some(crate::wire::unix_time_ms())),
            ..value
        });
        app_state::write_changes(
            &self.server,
            &self.number,
            collection,
            &[AppStateChange {
                index,
                schema,
                value,
            }],
        )
    }
}

/// The account's push name, as its phone writes it first of all: a linked device learns its own
/// push name from it.
pub(crate) fn push_name(name: &str) -> AppStateChange {
    let setting = action::PushNameSetting {
        name: Some(name.to_owned()),
    };
    let value = SyncActionValue {
        timestamp: Some(crate::wire::unix_time_ms()),
        push_name_setting: MessageField::some(setting),
        ..Default::default()
    };
    AppStateChange {
        index: vec!["setting_pushName".to_owned()],
        schema: 1,
        value: Some(value),
    }
}

/// The last message that an action covers: phones name the newest.
fn message_range() -> MessageField<action::SyncActionMessageRange> {
    let last_message_timestamp = Some(crate::wire::unix_time().cast_signed());
    MessageField::some(action::SyncActionMessageRange {
        last_message_timestamp,
        ..Default::default()
    })
}
