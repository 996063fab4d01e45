//! Who may change an earlier message, as far as it is known without WhatsApp: what the store knows of its author, and what the
//! change itself says.

use whatsapp_rust::Jid;
use whatsapp_rust::types::message::MessageSource;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::whatsapp as wa;

use super::decode::MessageAddresses;
use super::decode::content::unwrap_message;
use crate::store::{Life, Store, StoreError};

/// A claim to change a message.
pub(in crate::whatsapp) struct ChangeClaim {
    /// All known addresses of the sender of the claim.
    pub by: Vec<String>,
    /// Whether the sender wrote the message; `None` if its author is unknown here.
    is_author: Option<bool>,
    /// The claim itself names another author.
    names_another: bool,
}

impl ChangeClaim {
    /// Reads the claim to change the message `id` that `message` makes.
    pub async fn read(
        store: &Store,
        session: &Life,
        (message, source): (&wa::Message, &MessageSource),
        known: &MessageAddresses,
        id: &str,
    ) -> Result<Self, StoreError> {
        let other = if source.is_from_me {
            None
        } else {
            known.other.as_ref()
        };
        let mut by: Vec<String> = [&source.sender]
            .into_iter()
            .chain(other)
            .map(Jid::to_non_ad_string)
            .collect();
        if source.is_from_me {
            by.extend(known.own.iter().map(Jid::to_non_ad_string));
        }
        let chats: Vec<String> = [Some(&source.chat), known.other.as_ref()]
            .into_iter()
            .flatten()
            .map(Jid::to_non_ad_string)
            .collect();
        let authors = store.outbox().find_authors(session, &chats, id).await?;
        let wrote = |author: &Option<String>| match author {
            Some(author) => by.contains(author),
            None => source.is_from_me,
        };
        let is_author = (!authors.is_empty()).then(|| authors.iter().any(wrote));
        // For a message that is unknown here, the claim itself names the author.
        let key = unwrap_message(message)
            .protocol_message
            .as_option()
            .and_then(|protocol| protocol.key.as_option());
        let names_another = is_in_group(source)
            && key.is_some_and(|key| {
                let named = key
                    .participant
                    .as_deref()
                    .and_then(|named| named.parse::<Jid>().ok());
                named.is_some_and(|named| !by.contains(&named.to_non_ad_string()))
                    || key.from_me == Some(false)
            });
        Ok(Self {
            by,
            is_author,
            names_another,
        })
    }

    /// Whether the sender may edit the message.
    pub fn may_edit(&self) -> bool {
        self.is_author != Some(false)
    }

    /// Whether the sender may delete the message as its author.
    pub fn may_delete(&self) -> bool {
        self.is_author.unwrap_or(!self.names_another)
    }
}

/// Whether a message is in a group.
pub(in crate::whatsapp) fn is_in_group(source: &MessageSource) -> bool {
    source.is_group || source.chat.is_group()
}
