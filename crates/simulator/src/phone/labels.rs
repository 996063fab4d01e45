//! Labels of an account: of chats and of messages, shared by all of its devices.

use std::collections::BTreeMap;

use anyhow::Context;
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::sync_action_value as action;

use crate::model::history::Author;
use crate::phone::Phone;

/// The collection of labels.
const REGULAR: &str = "regular";
/// The version of the labels' schemas.
const SCHEMA: i32 = 3;

/// A label, as a phone shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneLabel {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The index of its colour.
    pub color: i32,
}

impl Phone {
    /// Creates a label, or renames and recolours it.
    pub fn saves_label(&self, id: &str, name: &str, color: i32) -> anyhow::Result<()> {
        let edit = action::LabelEditAction {
            name: Some(name.to_owned()),
            color: Some(color),
            deleted: Some(false),
            ..Default::default()
        };
        self.edits_label(id, edit)
    }

    /// Deletes a label.
    pub fn deletes_label(&self, id: &str) -> anyhow::Result<()> {
        let edit = action::LabelEditAction {
            deleted: Some(true),
            ..Default::default()
        };
        self.edits_label(id, edit)
    }

    /// Moves a label in the phone's list, which is a field of the label that other devices keep.
    pub fn moves_label(&self, id: &str, place: i32) -> anyhow::Result<()> {
        let edit = self.label_edit(id).context("no such label")?;
        let edit = action::LabelEditAction {
            order_index: Some(place),
            ..edit
        };
        self.edits_label(id, edit)
    }

    /// The place of a label in the phone's list, if it was moved.
    pub fn label_place(&self, id: &str) -> Option<i32> {
        self.label_edit(id)?.order_index
    }

    fn label_edit(&self, id: &str) -> Option<action::LabelEditAction> {
        self.with_phone_state(|handset| {
            let mut entries = handset.app_state.entries(REGULAR);
            let of_label = entries.find(|entry| entry.index == ["label_edit", id])?;
            of_label.value.label_edit_action.clone().into_option()
        })
    }

    /// Begins without labels, as a phone that was set up anew.
    pub fn loses_labels(&self) -> anyhow::Result<()> {
        let lost: Vec<Vec<String>> = self.with_phone_state(|handset| {
            let entries = handset.app_state.entries(REGULAR);
            let of_labels = entries.filter(|entry| entry.index[0].starts_with("label_"));
            of_labels.map(|entry| entry.index.clone()).collect()
        });
        for index in lost {
            let index: Vec<&str> = index.iter().map(String::as_str).collect();
            self.writes_action(REGULAR, &index, SCHEMA, None)?;
        }
        Ok(())
    }

    fn edits_label(&self, id: &str, edit: action::LabelEditAction) -> anyhow::Result<()> {
        let value = SyncActionValue {
            label_edit_action: MessageField::some(edit),
            ..Default::default()
        };
        self.sets_action(REGULAR, &["label_edit", id], SCHEMA, value)
    }

    /// Gives a label to a chat, or takes it away.
    pub fn labels_chat(&self, chat: &str, label: &str, labeled: bool) -> anyhow::Result<()> {
        let chat = self.address_of(chat)?;
        let value = association(labeled);
        self.sets_action(REGULAR, &["label_jid", label, &chat], SCHEMA, value)
    }

    /// The same on a device whose clock shows another time, in milliseconds since 1970.
    pub fn labels_chat_at(
        &self,
        chat: &str,
        label: &str,
        labeled: bool,
        time: i64,
    ) -> anyhow::Result<()> {
        let chat = self.address_of(chat)?;
        let value = SyncActionValue {
            timestamp: Some(time),
            ..association(labeled)
        };
        self.sets_action(REGULAR, &["label_jid", label, &chat], SCHEMA, value)
    }

    /// The labels that exist, whichever of the account's devices has made them.
    pub fn labels(&self) -> Vec<PhoneLabel> {
        let mut newest = BTreeMap::new();
        self.with_phone_state(|handset| {
            for entry in handset.app_state.entries(REGULAR) {
                let [kind, id] = &entry.index[..] else {
                    continue;
                };
                let time = entry.value.timestamp;
                let is_newer = newest.get(id).is_none_or(|(known, _)| *known < time);
                if kind == "label_edit" && is_newer {
                    newest.insert(id.clone(), (time, entry.value.label_edit_action.clone()));
                }
            }
        });
        let shown = newest.into_iter().filter_map(|(id, (_, edit))| {
            let edit = edit.into_option()?;
            (edit.deleted != Some(true)).then(|| PhoneLabel {
                id,
                name: edit.name.unwrap_or_default(),
                color: edit.color.unwrap_or_default(),
            })
        });
        shown.collect()
    }

    /// The ids of a chat's labels, whichever of the account's devices has given them.
    pub fn chat_labels(&self, chat: &str) -> anyhow::Result<Vec<String>> {
        let addresses = self.both_addresses(chat)?;
        Ok(self.labels_of(|index| match index {
            [kind, _, chat] => kind == "label_jid" && addresses.contains(chat),
            _ => false,
        }))
    }

    /// The ids of a message's labels, whichever of the account's devices has given them.
    pub fn message_labels(
        &self,
        chat: &str,
        message_id: &str,
        author: Author,
    ) -> anyhow::Result<Vec<String>> {
        let addresses = self.both_addresses(chat)?;
        let is_own = if author == Author::Me { "1" } else { "0" };
        Ok(self.labels_of(|index| match index {
            [kind, _, chat, id, from_me, _] => {
                kind == "label_message"
                    && addresses.contains(chat)
                    && id == message_id
                    && from_me == is_own
            }
            _ => false,
        }))
    }

    fn labels_of(&self, is_meant: impl Fn(&[String]) -> bool) -> Vec<String> {
        let existing = self.labels();
        self.with_phone_state(|handset| {
            let entries = handset.app_state.entries(REGULAR);
            let mut newest = BTreeMap::new();
            for entry in entries.filter(|entry| is_meant(&entry.index)) {
                let (label, time) = (&entry.index[1], entry.value.timestamp);
                let labeled = entry.value.label_association_action.labeled == Some(true);
                if newest.get(label).is_none_or(|(known, _)| *known < time) {
                    newest.insert(label.clone(), (time, labeled));
                }
            }
            let given = newest.into_iter().filter(|(_, (_, labeled))| *labeled);
            given
                .map(|(label, _)| label)
                .filter(|label| existing.iter().any(|it| it.id == *label))
                .collect()
        })
    }
}

fn association(labeled: bool) -> SyncActionValue {
    SyncActionValue {
        label_association_action: MessageField::some(action::LabelAssociationAction {
            labeled: Some(labeled),
            ..Default::default()
        }),
        ..Default::default()
    }
}
