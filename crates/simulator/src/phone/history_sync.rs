//! History sync: the chats, messages and names that a phone sends to a device it has just linked.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::message::HistorySyncNotification;
use waproto::whatsapp::web_message_info::Status;

use crate::crypto::media_cipher;
use crate::model::history::{Author, HistoryChat, HistoryMessage, HistoryStatus};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::Server;
use crate::server::account::trust::TrustToken;
use crate::server::stanza::messages::phone_message;

impl Phone {
    /// Adds messages of a chat, oldest first, to the phone's history from before any device was
    /// linked. Devices linked from now on receive them.
    pub fn remembers_chat(&self, chat: &str, messages: Vec<HistoryMessage>) -> anyhow::Result<()> {
        let peer = self.find_chat(chat)?;
        if let Chat::Person(peer) = &peer {
            self.records_tokens(peer, &messages);
        }
        self.with_phone_state(|phone_state| {
            phone_state.history.push(HistoryChat {
                chat: chat.to_owned(),
                messages,
            })
        });
        Ok(())
    }

    /// Records that the author of each message gave the other person a token at that time.
    fn records_tokens(&self, peer: &PhoneNumber, messages: &[HistoryMessage]) {
        let mut world = self.server.world.lock();
        for (author, giver, holder) in [
            (Author::Me, &self.number, peer),
            (Author::Them, peer, &self.number),
        ] {
            let newest = messages
                .iter()
                .filter(|message| message.author == author)
                .map(|it| it.timestamp)
                .max();
            if let Some(newest) = newest.filter(|_| giver != holder) {
                world.give_token(giver, holder, newest);
            }
        }
    }

    /// Sets how many messages of a chat one history-sync chunk holds from now on.
    pub fn packs_history(&self, messages: usize) {
        self.with_phone_state(|phone_state| phone_state.chunk_size = messages.max(1));
    }

    /// Sends the push names before the chats from now on. Devices fetch the chunks of a history side
    /// by side, so they may have them in any order.
    pub fn tells_names_first(&self) {
        self.with_phone_state(|phone_state| phone_state.names_first = true);
    }

    /// Sends the history to all linked devices once more.
    pub fn sends_history_again(&self) -> anyhow::Result<()> {
        let devices = self.linked_devices().into_iter().map(|device| DeviceId {
            number: self.number.clone(),
            device: device.device,
        });
        devices
            .into_iter()
            .try_for_each(|device| send_history(&self.server, &device))
    }

    /// A message of the history as the protobuf for a device.
    pub(crate) fn history_message(
        &self,
        chat: &str,
        message: &HistoryMessage,
    ) -> anyhow::Result<wa::HistorySyncMsg> {
        let from = match &message.from {
            Some(from) => Some(self.member_address(chat, from)?),
            None => None,
        };
        let key = wa::MessageKey {
            remote_jid: Some(self.address_of(chat)?),
            from_me: Some(message.author == Author::Me),
            id: Some(message.id.clone()),
            participant: from.clone(),
        };
        let reaction = |(author, emoji): &(Author, String)| wa::Reaction {
            key: MessageField::some(wa::MessageKey {
                remote_jid: key.remote_jid.clone(),
                from_me: Some(*author == Author::Me),
                id: Some(format!("{}-{emoji}", message.id)),
                participant: from.clone().filter(|_| *author == Author::Them),
            }),
            text: Some(emoji.clone()),
            ..Default::default()
        };
        let info = wa::WebMessageInfo {
            status: message.status.map(|status| match status {
                HistoryStatus::Delivered => Status::DELIVERY_ACK,
                HistoryStatus::Read => Status::READ,
            }),
            reactions: message.reactions.iter().map(reaction).collect(),
            key: MessageField::some(key.clone()),
            message: MessageField::some(message.message.clone()),
            message_timestamp: Some(message.timestamp),
            participant: from,
            ..Default::default()
        };
        Ok(wa::HistorySyncMsg {
            message: MessageField::some(info),
            msg_order_id: Some(message.timestamp),
        })
    }

    /// A chat as the chat list shows it, with some of its messages, newest first.
    pub(crate) fn history_conversation(
        &self,
        chat: &str,
        messages: &[&HistoryMessage],
    ) -> anyhow::Result<wa::Conversation> {
        let settings = self.chat_settings(chat)?;
        let id = self.address_of(chat)?;
        let [number, lid] = self.both_addresses(chat)?;
        let is_group = number.ends_with("@g.us");
        let is_by_lid = !is_group && id.ends_with("@lid");
        let newest = messages.iter().map(|message| message.timestamp).max();
        let (held, given) = self.tokens_with(chat)?;
        Ok(wa::Conversation {
            id,
            messages: messages
                .iter()
                .rev()
                .map(|message| self.history_message(chat, message))
                .collect::<anyhow::Result<_>>()?,
            conversation_timestamp: newest,
            last_msg_timestamp: newest,
            name: self.contact_name(chat).ok().flatten(),
            archived: Some(settings.archived),
            pinned: settings.pinned.then_some(1),
            mute_end_time: settings
                .muted_until
                .and_then(|until| u64::try_from(until).ok()),
            marked_as_unread: Some(settings.unread),
            unread_count: Some(0),
            pn_jid: (is_by_lid).then(|| number.clone()),
            lid_jid: (!is_by_lid && !is_group).then(|| lid.clone()),
            tc_token: held.as_ref().map(|token| token.bytes.clone()),
            tc_token_timestamp: held.map(|token| token.given),
            tc_token_sender_timestamp: given.map(|token| token.given),
            ..Default::default()
        })
    }

    /// The token that the other person of a chat has given the account, and the one that the
    /// account has given them, if still valid.
    fn tokens_with(&self, chat: &str) -> anyhow::Result<(Option<TrustToken>, Option<TrustToken>)> {
        let Chat::Person(peer) = self.find_chat(chat)? else {
            return Ok((None, None));
        };
        let world = self.server.world.lock();
        Ok((
            world.valid_token(&peer, &self.number).cloned(),
            world.valid_token(&self.number, &peer).cloned(),
        ))
    }

    /// The account's token salt, if history sync includes it.
    fn salt_in_history(&self) -> Option<Vec<u8>> {
        let is_told = self
            .server
            .world
            .lock()
            .account(&self.number)?
            .has_salt_in_history();
        is_told.then(|| self.token_salt())?.map(Vec::from)
    }

    /// The number and LID of every other account, and its push name.
    fn mappings_and_names(&self) -> (Vec<wa::PhoneNumberToLIDMapping>, Vec<wa::Pushname>) {
        let world = self.server.world.lock();
        let others = world
            .accounts()
            .filter(|account| account.number != self.number);
        let one = |account: &crate::server::world::Account| {
            let [number, lid] =
                [Addressing::PhoneNumber, Addressing::Lid].map(|it| account.jid(it, 0).to_string());
            let id = account.jid(account.addressing, 0).to_string();
            let pushname = Some(account.push_name.clone());
            (
                wa::PhoneNumberToLIDMapping {
                    pn_jid: Some(number),
                    lid_jid: Some(lid),
                },
                wa::Pushname {
                    id: Some(id),
                    pushname,
                },
            )
        };
        others.map(one).unzip()
    }

    /// The settings of all chats: the time since which they go by LID, if they do.
    fn global_settings(&self) -> wa::GlobalSettings {
        let world = self.server.world.lock();
        let account = world
            .account(&self.number)
            .filter(|account| account.is_moved_to_lids());
        wa::GlobalSettings {
            chat_db_lid_migration_timestamp: account
                .and_then(|account| i64::try_from(account.addressed_since).ok()),
            ..Default::default()
        }
    }

    /// The chunks of the history: the chats with their newest message each, the push names, and the
    /// older messages.
    fn history_chunks(&self) -> anyhow::Result<Vec<wa::HistorySync>> {
        let (chunk, names_first, chats) = self.with_phone_state(|phone_state| {
            let chats = phone_state
                .history
                .iter()
                .map(|past| (past.chat.clone(), past.messages.clone()));
            let chats: Vec<(String, Vec<HistoryMessage>)> = chats.collect();
            (phone_state.chunk_size, phone_state.names_first, chats)
        });
        if chats.is_empty() {
            return Ok(Vec::new());
        }
        let mut first = Vec::new();
        let mut older = Vec::new();
        for (chat, messages) in &chats {
            let newest: Vec<&HistoryMessage> = messages.last().into_iter().collect();
            first.push(self.history_conversation(chat, &newest)?);
            for chunk in messages[..messages.len().saturating_sub(1)].rchunks(chunk) {
                older.push(self.history_conversation(chat, &chunk.iter().collect::<Vec<_>>())?);
            }
        }
        let (phone_number_to_lid_mappings, pushnames) = self.mappings_and_names();
        let part = |kind, order| wa::HistorySync {
            sync_type: kind,
            chunk_order: Some(order),
            ..Default::default()
        };
        let mut parts = vec![
            wa::HistorySync {
                conversations: first,
                phone_number_to_lid_mappings,
                global_settings: MessageField::some(self.global_settings()),
                nct_salt: self.salt_in_history(),
                ..part(HistorySyncType::INITIAL_BOOTSTRAP, 1)
            },
            wa::HistorySync {
                pushnames,
                ..part(HistorySyncType::PUSH_NAME, 1)
            },
        ];
        if names_first {
            parts.swap(0, 1);
        }
        if older.is_empty() {
            // A device that waits for the end would wait for ever. That phones end it like this is
            // an assumption.
            parts.push(wa::HistorySync {
                progress: Some(100),
                ..part(HistorySyncType::RECENT, 1)
            });
        }
        let count = older.len();
        parts.extend(
            older
                .into_iter()
                .enumerate()
                .map(|(index, conversation)| wa::HistorySync {
                    conversations: vec![conversation],
                    progress: Some(((index + 1) * 100 / count) as u32),
                    ..part(HistorySyncType::RECENT, index as u32 + 1)
                }),
        );
        Ok(parts)
    }
}

/// Sends the history to a linked device, if the phone has any.
pub(crate) fn send_history(server: &Arc<Server>, device: &DeviceId) -> anyhow::Result<()> {
    let (phone, takes_inline) = {
        let world = server.world.lock();
        let account = world.account(&device.number).context("no such account")?;
        let linked = world.device(device).context("no such device")?;
        let phone = Phone {
            server: server.clone(),
            number: account.number.clone(),
            lid: account.lid.clone(),
        };
        (phone, linked.takes_inline_history)
    };
    for part in phone.history_chunks()? {
        let notification = history_notification(server, &part, takes_inline, None)?;
        phone_message::send_to_own_device(server, device, &notification)?;
    }
    Ok(())
}

/// Returns the message that announces a history-sync chunk or holds it inline. `request`: the id of
/// the device's request for it.
pub(crate) fn history_notification(
    server: &Server,
    part: &wa::HistorySync,
    takes_inline: bool,
    request: Option<&str>,
) -> anyhow::Result<wa::Message> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&part.encode_to_vec())?;
    let packed = encoder.finish()?;
    let kind = match part.sync_type {
        HistorySyncType::PUSH_NAME => wa::message::HistorySyncType::PUSH_NAME,
        HistorySyncType::RECENT => wa::message::HistorySyncType::RECENT,
        HistorySyncType::ON_DEMAND => wa::message::HistorySyncType::ON_DEMAND,
        _ => wa::message::HistorySyncType::INITIAL_BOOTSTRAP,
    };
    let head = HistorySyncNotification {
        sync_type: Some(kind),
        chunk_order: part.chunk_order,
        progress: part.progress,
        peer_data_request_session_id: request.map(str::to_owned),
        ..Default::default()
    };
    let may_be_inline = matches!(
        part.sync_type,
        HistorySyncType::INITIAL_BOOTSTRAP | HistorySyncType::ON_DEMAND
    );
    let notification = if takes_inline && may_be_inline {
        HistorySyncNotification {
            initial_hist_bootstrap_inline_payload: Some(packed),
            ..head
        }
    } else {
        let sealed = media_cipher::encrypt_file("md-msg-hist", &packed)?;
        HistorySyncNotification {
            direct_path: Some(server.media.upload_file(&sealed)?),
            media_key: Some(sealed.media_key.to_vec()),
            file_length: Some(packed.len() as u64),
            file_sha256: Some(sealed.file_sha256),
            file_enc_sha256: Some(sealed.file_enc_sha256),
            ..head
        }
    };
    Ok(wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            r#type: Some(wa::message::protocol_message::Type::HISTORY_SYNC_NOTIFICATION),
            history_sync_notification: MessageField::some(notification),
            ..Default::default()
        }),
        ..Default::default()
    })
}
