//! Labels of chats and messages, changed for all of the account's devices.

use whatsapp_rust::schemas::{Collection, IndexPart, LABEL_EDIT, LABEL_JID, Schema, Scope};
use whatsapp_rust::waproto::buffa::{Message, MessageField};
use whatsapp_rust::waproto::whatsapp::SyncActionValue;
use whatsapp_rust::waproto::whatsapp::sync_action_value::{
    LabelAssociationAction, LabelEditAction,
};

use crate::model::event::Label;
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::{RequestError, request_failed};
use crate::whatsapp::send::encode;

/// Labels of messages, of which the engine's table knows nothing.
const LABEL_MESSAGE: Schema = Schema {
    key: "LabelMessage",
    name: "label_message",
    scope: Scope::Message,
    index_parts: &[
        IndexPart::Literal {
            value: "label_message",
        },
        IndexPart::StringPart { name: "labelId" },
        IndexPart::Jid { name: "chatJid" },
        IndexPart::StringPart { name: "messageId" },
        IndexPart::BoolString { name: "fromMe" },
        IndexPart::JidOrZero {
            name: "participant",
        },
    ],
    collection: Collection::Regular,
    ..LABEL_JID
};

impl Link {
    /// Creates a label, or changes its name and colour. `action`: that with which it was saved last,
    /// encoded; its other fields stay.
    pub async fn save_label(
        &self,
        label: &Label,
        action: Option<&[u8]>,
    ) -> Result<(), RequestError> {
        let earlier = action.and_then(|action| LabelEditAction::decode_from_slice(action).ok());
        let edit = LabelEditAction {
            name: Some(label.name.clone()),
            color: Some(label.color),
            deleted: Some(false),
            ..earlier.unwrap_or_default()
        };
        self.edit_label(&label.id, edit).await
    }

    /// Reads all labels of the account, unless that was done since the device was linked, and waits
    /// until they are saved.
    pub async fn read_labels(&self) -> Result<(), RequestError> {
        let reading = async {
            self.labels.read_all().await;
            self.labels.flush().await;
            Ok::<_, RequestError>(())
        };
        self.run_request(reading).await
    }

    /// Deletes a label.
    pub async fn delete_label(&self, id: &str) -> Result<(), RequestError> {
        let edit = LabelEditAction {
            deleted: Some(true),
            ..Default::default()
        };
        self.edit_label(id, edit).await
    }

    async fn edit_label(&self, id: &str, edit: LabelEditAction) -> Result<(), RequestError> {
        let value = SyncActionValue {
            label_edit_action: MessageField::some(edit),
            ..Default::default()
        };
        self.write_label_entry(&LABEL_EDIT, &[id], value).await
    }

    /// Gives a label to the chat with this address, or takes it away.
    pub async fn set_chat_label(
        &self,
        address: &str,
        label: &str,
        labeled: bool,
    ) -> Result<(), RequestError> {
        self.write_label_entry(&LABEL_JID, &[label, address], association(labeled))
            .await
    }

    /// Gives a label to a message, or takes it away. `author`: as in [`Self::set_starred`].
    pub async fn set_message_label(
        &self,
        (chat, id): (&ChatId, &str),
        author: Option<&str>,
        label: &str,
        labeled: bool,
    ) -> Result<(), RequestError> {
        let is_group = matches!(chat, ChatId::Group(_));
        let from_me = if author.is_none() { "1" } else { "0" };
        // In a direct chat, the author of all other messages is the peer.
        let participant = author.filter(|_| is_group).unwrap_or("0");
        let chat = encode::chat_jid(chat).to_string();
        let index = [label, &chat, id, from_me, participant];
        self.write_label_entry(&LABEL_MESSAGE, &index, association(labeled))
            .await
    }

    async fn write_label_entry(
        &self,
        schema: &Schema,
        index: &[&str],
        value: SyncActionValue,
    ) -> Result<(), RequestError> {
        let value = SyncActionValue {
            timestamp: Some(self.clock.now().as_millisecond()),
            ..value
        };
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let writing = Box::pin(self.client.send_app_state_action(schema, index, &value));
        self.run_request(async { writing.await.map_err(request_failed) })
            .await?;
        self.labels.flush().await;
        Ok(())
    }
}

fn association(labeled: bool) -> SyncActionValue {
    SyncActionValue {
        label_association_action: MessageField::some(LabelAssociationAction {
            labeled: Some(labeled),
            ..Default::default()
        }),
        ..Default::default()
    }
}
