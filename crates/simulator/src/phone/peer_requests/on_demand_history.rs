//! On-demand history: answers a device that requests older messages of a chat, or one that it could
//! not read.

use std::sync::Arc;

use waproto::whatsapp as wa;
use waproto::whatsapp::conversation::EndOfHistoryTransferType;
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;

use crate::model::history::{Author, HistoryMessage};
use crate::model::ids::{Chat, DeviceId};
use crate::phone::{Phone, history_sync};
use crate::server::stanza::messages::phone_message;

/// The default number of messages in one answer.
const DEFAULT_PAGE_SIZE: usize = 50;

impl Phone {
    /// All messages of a chat that the phone has, oldest first: history from before any device was
    /// linked, received, and sent.
    fn stored_messages(&self, chat: &Chat) -> Vec<HistoryMessage> {
        let chats = self.with_phone_state(|phone_state| {
            let chats = phone_state
                .history
                .iter()
                .map(|chat| (chat.chat.clone(), chat.messages.clone()));
            chats.collect::<Vec<_>>()
        });
        let is_this = |address: &str| self.find_chat(address).is_ok_and(|of| of == *chat);
        let mut kept: Vec<HistoryMessage> = chats
            .into_iter()
            .filter(|(address, _)| is_this(address))
            .flat_map(|(_, messages)| messages)
            .collect();
        self.with_phone_state(|phone_state| {
            let name = chat.to_string();
            let received = phone_state
                .inbox
                .iter()
                .filter(|message| message.chat == name);
            kept.extend(received.map(|message| {
                HistoryMessage {
                    author: if message.from_me {
                        Author::Me
                    } else {
                        Author::Them
                    },
                    from: (!message.from_me)
                        .then(|| message.from.clone())
                        .filter(|_| matches!(chat, Chat::Group(_))),
                    ..new_history_message(&message.id, message.timestamp, &message.protobuf)
                }
            }));
            let sent = phone_state
                .all_sent()
                .filter(|(_, sent)| sent.to == *chat && !sent.is_peer);
            kept.extend(sent.filter_map(|(at, sent)| {
                let message = waproto::buffa::Message::decode_from_slice(&sent.message).ok()?;
                Some(HistoryMessage {
                    author: Author::Me,
                    ..new_history_message(&sent.id, *at, &Arc::new(message))
                })
            }));
        });
        kept.retain(|it| {
            !it.message.protocol_message.is_set() && !it.message.reaction_message.is_set()
        });
        kept.sort_by_key(|message| message.timestamp);
        kept
    }

    /// Returns a message, under the number of the person the chat is with.
    pub(crate) fn stored_message(&self, chat: &str, id: &str) -> Option<wa::WebMessageInfo> {
        let of = self.find_chat(chat).ok()?;
        let message = self
            .stored_messages(&of)
            .into_iter()
            .find(|message| message.id == id)?;
        let mut info = self
            .history_message(chat, &message)
            .ok()?
            .message
            .into_option()?;
        info.key.get_or_insert_default().remote_jid = Some(of.to_string());
        Some(info)
    }
}

fn new_history_message(id: &str, timestamp: u64, message: &Arc<wa::Message>) -> HistoryMessage {
    let (id, message) = (id.to_owned(), wa::Message::clone(message));
    HistoryMessage {
        id,
        author: Author::Them,
        from: None,
        timestamp,
        message,
        status: None,
        reactions: Vec::new(),
    }
}

/// Sends a device the messages of a chat before the oldest one that it has. `id`: the id of its
/// request.
pub(crate) fn send_older_messages(
    phone: &Phone,
    device: &DeviceId,
    id: &str,
    asked: &HistorySyncOnDemandRequest,
) -> anyhow::Result<()> {
    let address = asked.chat_jid.as_deref().unwrap_or_default();
    let kept = phone.stored_messages(&phone.find_chat(address)?);
    let known = kept
        .iter()
        .position(|message| Some(&message.id) == asked.oldest_msg_id.as_ref());
    let oldest = asked
        .oldest_msg_timestamp_ms
        .and_then(|at| u64::try_from(at / 1000).ok())
        .unwrap_or(u64::MAX);
    let end = known.unwrap_or_else(|| kept.partition_point(|message| message.timestamp < oldest));
    let count = asked
        .on_demand_msg_count
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count > 0);
    let start = end.saturating_sub(count.unwrap_or(DEFAULT_PAGE_SIZE));
    let mut conversation =
        phone.history_conversation(address, &kept[start..end].iter().collect::<Vec<_>>())?;
    conversation.end_of_history_transfer = Some(start == 0);
    conversation.end_of_history_transfer_type = Some(match start {
        0 => EndOfHistoryTransferType::COMPLETE_AND_NO_MORE_MESSAGE_REMAIN_ON_PRIMARY,
        _ => EndOfHistoryTransferType::COMPLETE_ON_DEMAND_SYNC_BUT_MORE_MSG_REMAIN_ON_PRIMARY,
    });
    let part = wa::HistorySync {
        sync_type: HistorySyncType::ON_DEMAND,
        conversations: vec![conversation],
        chunk_order: Some(1),
        progress: Some(100),
        ..Default::default()
    };
    let is_inline = asked.support_inline_response.unwrap_or(false);
    let notification =
        history_sync::history_notification(&phone.server, &part, is_inline, Some(id))?;
    phone_message::send_to_own_device(&phone.server, device, &notification)
}
