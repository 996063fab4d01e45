//! Labels of chats, under whichever address WhatsApp has them.

use std::collections::BTreeMap;

use crate::model::event::{LABEL_COLORS, Label, Person};
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions};
use crate::store::{ChatLabelEntry, Life};

impl Sessions {
    /// Creates a label under an id that was never used. By default it has a colour that no label
    /// has. An id is free only where all labels of the account were read: otherwise the phone may
    /// have a label under it.
    pub async fn create_label(
        &self,
        name: &SessionName,
        life: &Life,
        title: String,
        color: Option<i32>,
    ) -> Result<Label, SessionError> {
        let online = self.online(name)?;
        let _alone = online.session.label_lock.lock().await;
        let store = self.inner.deps.store.inbound();
        online.read_labels().await?;
        if !store.knows_all_labels(life).await? {
            return Err(SessionError::LabelsUnread);
        }
        let used = store.used_label_ids(life).await?;
        let id = used.iter().max().map_or(1, |last| last.saturating_add(1));
        let color = match color {
            Some(color) => color,
            None => {
                let labels = store.list_labels(life).await?;
                (0..LABEL_COLORS)
                    .find(|color| labels.iter().all(|label| label.color != *color))
                    .unwrap_or_default()
            }
        };
        let label = Label {
            id: id.to_string(),
            name: title,
            color,
        };
        online.save_label(&label, None).await?;
        Ok(label)
    }

    /// Lists the chats that have a label, each once.
    pub async fn list_labelled_chats(
        &self,
        name: &SessionName,
        life: &Life,
        label: &str,
    ) -> Result<Vec<Person>, SessionError> {
        let all = self
            .inner
            .deps
            .store
            .inbound()
            .list_chat_labels(life)
            .await?;
        let mut chats: BTreeMap<String, (Person, ChatLabelEntry)> = BTreeMap::new();
        for entry in all.into_iter().filter(|entry| entry.label == label) {
            let Ok(chat) = ChatId::parse(&entry.chat) else {
                continue;
            };
            let id = self.resolve_id(name, life, &chat).await?;
            if let Some((_, known)) = chats.get_mut(&id) {
                // Under the other address; the later entry counts.
                if known.at < entry.at {
                    *known = entry;
                }
                continue;
            }
            let mut person = Person {
                id: id.clone(),
                ..Person::default()
            };
            if chat.is_person() {
                for address in self.all_addresses(name, life, &chat).await? {
                    match ChatId::parse(&address) {
                        Ok(ChatId::Phone(phone)) => person.phone = Some(phone),
                        Ok(ChatId::Lid(_)) => person.lid = Some(address),
                        _ => {}
                    }
                }
            }
            chats.insert(id, (person, entry));
        }
        let current = chats.into_values().filter(|(_, entry)| entry.labeled);
        Ok(current.map(|(person, _)| person).collect())
    }

    /// Gives a label to a chat, or takes it away, under each address that has it.
    pub async fn set_chat_label(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
        label: &str,
        labeled: bool,
    ) -> Result<(), SessionError> {
        let online = self.online(name)?;
        let addresses = self.all_addresses(name, life, chat).await?;
        let store = self.inner.deps.store.inbound();
        let mut entries = store.list_chat_labels(life).await?;
        entries.retain(|entry| entry.label == label && addresses.contains(&entry.chat));
        if ChatLabelEntry::current_labels(&entries).is_empty() != labeled {
            return Ok(());
        }
        if labeled {
            return Ok(online
                .set_chat_label(&chat.to_string(), label, true)
                .await?);
        }
        for entry in entries.iter().filter(|entry| entry.labeled) {
            online.set_chat_label(&entry.chat, label, false).await?;
        }
        Ok(())
    }
}
