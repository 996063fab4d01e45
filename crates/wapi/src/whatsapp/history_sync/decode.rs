//! Conversion of history-sync protobufs into chats, contacts and messages. Pure.

use jiff::Timestamp;
use whatsapp_rust::Jid;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::web_message_info::Status;

use super::chunk::ChatPiece;
use super::{HistoryBatch, HistoryMessage};
use crate::model::event::{EventData, FOREVER, Person, PersonNames};
use crate::store::history::{ImportedChat, MessageProgress};
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::receive::decode::{self, MessageAddresses};

/// Times below this are in seconds, up to the year 5138; others in milliseconds, since 1973.
const MILLISECONDS: u64 = 100_000_000_000;
/// Push name of a person without a name.
const NAMELESS: &str = "-";

/// Returns the addresses needed to understand a piece, each with the person's other address if the
/// piece gives it.
pub(crate) fn collect_addresses(piece: &ChatPiece) -> Vec<(Jid, Option<Jid>)> {
    let Some(chat) = parse_jid(&piece.chat.id) else {
        return Vec::new();
    };
    let mut named = vec![];
    if chat.is_group() {
        named.extend(
            piece
                .messages
                .iter()
                .filter_map(|info| Some((find_participant(info)?, None))),
        );
        let by = piece
            .messages
            .iter()
            .flat_map(|info| &info.reactions)
            .filter_map(|it| it.key.as_option());
        named.extend(by.filter_map(|key| Some((parse_jid(key.participant.as_deref()?)?, None))));
    } else {
        let other = if chat.is_lid() {
            &piece.chat.pn_jid
        } else {
            &piece.chat.lid_jid
        };
        named.push((chat, other.as_deref().and_then(parse_jid)));
    }
    named
}

/// Converts a chat and some of its messages; `None` for newsletters, statuses and lists.
pub(crate) fn convert_piece(
    session: &str,
    piece: &ChatPiece,
    own: &[Jid],
    others: &KnownAddresses,
) -> Option<HistoryBatch> {
    let address =
        parse_jid(&piece.chat.id).filter(|jid| jid.is_group() || jid.is_pn() || jid.is_lid())?;
    let message = |info| convert_message(session, &address, info, own, others);
    Some(HistoryBatch {
        chats: vec![convert_chat(&address, &piece.chat, others)],
        messages: piece.messages.iter().filter_map(message).collect(),
        ..HistoryBatch::default()
    })
}

/// Returns the addresses that these names belong to.
pub(crate) fn named_addresses(names: &[wa::Pushname]) -> Vec<(Jid, Option<Jid>)> {
    let named = names.iter().filter_map(|it| parse_jid(it.id.as_deref()?));
    named.map(|jid| (jid, None)).collect()
}

/// Returns whether the person of this name is known by their number.
pub(crate) fn has_number(name: &wa::Pushname, others: &KnownAddresses) -> bool {
    let jid = name.id.as_deref().and_then(parse_jid);
    jid.is_none_or(|jid| !jid.is_lid() || others.other_address(&jid).is_some())
}

/// Converts the push names and the pairs of number and LID.
pub(crate) fn convert_people(part: &wa::HistorySync, others: &KnownAddresses) -> HistoryBatch {
    let named = part.pushnames.iter().filter_map(|it| {
        let name = it
            .pushname
            .as_deref()
            .filter(|name| !name.is_empty() && *name != NAMELESS)?;
        let of = parse_jid(it.id.as_deref()?).filter(|jid| jid.is_pn() || jid.is_lid())?;
        Some(others.build_person(&of, None, Some(name)))
    });
    let known = part.phone_number_to_lid_mappings.iter().filter_map(|it| {
        let (number, lid) = (
            parse_jid(it.pn_jid.as_deref()?)?,
            parse_jid(it.lid_jid.as_deref()?)?,
        );
        Some(decode::build_person(&number, Some(&lid), ""))
    });
    HistoryBatch {
        address_pairs: known.collect(),
        contacts: named.collect(),
        ..HistoryBatch::default()
    }
}

fn parse_jid(text: &str) -> Option<Jid> {
    text.parse().ok()
}

fn find_participant(info: &wa::WebMessageInfo) -> Option<Jid> {
    let participant = info
        .participant
        .as_deref()
        .or(info.key.as_option()?.participant.as_deref());
    parse_jid(participant.filter(|participant| !participant.is_empty())?)
}

fn convert_chat(
    address: &Jid,
    conversation: &wa::Conversation,
    others: &KnownAddresses,
) -> ImportedChat {
    let name = [&conversation.name, &conversation.display_name]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty());
    let chat = match address.is_group() {
        true => Person {
            id: address.to_non_ad_string(),
            name: name.cloned(),
            ..Person::default()
        },
        // The name under which the account has saved them.
        false => others
            .build_person(address, None, None)
            .with_names(PersonNames {
                saved: name.cloned(),
                username: conversation
                    .username
                    .clone()
                    .filter(|username| !username.is_empty()),
                ..PersonNames::default()
            }),
    };
    let active_at = conversation
        .last_msg_timestamp
        .or(conversation.conversation_timestamp)
        .filter(|at| *at > 0);
    ImportedChat {
        chat,
        active_at: active_at.and_then(parse_seconds),
        unread: conversation.unread_count.unwrap_or(0),
        marked_unread: conversation.marked_as_unread.unwrap_or(false),
        archived: conversation.archived.unwrap_or(false),
        pinned: conversation.pinned.is_some_and(|at| at > 0),
        muted_until: parse_mute_end(conversation.mute_end_time.unwrap_or(0)),
    }
}

fn parse_seconds(at: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(at).ok()?).ok()
}

/// Converts an end time, in seconds or milliseconds, since phones use both; `None` for 0. A
/// negative or invalid time means forever.
fn parse_mute_end(at: u64) -> Option<Timestamp> {
    let milliseconds = if at < MILLISECONDS {
        at.saturating_mul(1_000)
    } else {
        at
    };
    let until = || {
        i64::try_from(milliseconds)
            .ok()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
    };
    (at > 0).then(|| until().unwrap_or(FOREVER).min(FOREVER))
}

/// Converts a message; `None` for an entry that is no message of its own: changes are part of the
/// messages they apply to, and notifications about a group have no content.
fn convert_message(
    session: &str,
    chat: &Jid,
    info: &wa::WebMessageInfo,
    own: &[Jid],
    others: &KnownAddresses,
) -> Option<HistoryMessage> {
    let (key, message) = (info.key.as_option()?, info.message.as_option()?);
    let is_from_me = key.from_me.unwrap_or(false);
    let sender = match (is_from_me, chat.is_group()) {
        (true, _) => own.first()?.clone(),
        (false, true) => find_participant(info)?,
        (false, false) => chat.clone(),
    };
    let peer = if is_from_me { chat } else { &sender };
    let known = MessageAddresses {
        other: others.other_address(peer),
        own: own.to_vec(),
    };
    let source = MessageSource {
        chat: chat.clone(),
        sender,
        is_from_me,
        is_group: chat.is_group(),
        ..Default::default()
    };
    let at = i64::try_from(info.message_timestamp?).ok()?;
    let about = MessageInfo {
        source,
        id: key.id.clone()?,
        push_name: info.push_name.clone().unwrap_or_default(),
        timestamp: DateTime::from_timestamp(at, 0)?,
        ..Default::default()
    };
    let incoming = decode::decode_message(session, message, &about, &known)?;
    matches!(
        incoming.data,
        EventData::MessageReceived(_) | EventData::MessageEcho(_)
    )
    .then(|| HistoryMessage {
        incoming,
        status: is_from_me.then(|| convert_status(info.status)),
        reactions: convert_reactions(info, chat, others),
    })
}

/// Converts the status of an own message, at least `Sent`: the phone received the message from
/// WhatsApp, or sent it.
fn convert_status(status: Option<Status>) -> MessageProgress {
    match status {
        Some(Status::DELIVERY_ACK) => MessageProgress::Delivered,
        Some(Status::READ) => MessageProgress::Read,
        Some(Status::PLAYED) => MessageProgress::Played,
        _ => MessageProgress::Sent,
    }
}

fn convert_reactions(
    info: &wa::WebMessageInfo,
    chat: &Jid,
    others: &KnownAddresses,
) -> Vec<(Option<Person>, String)> {
    let reaction = |it: &wa::Reaction| {
        let emoji = it.text.clone().filter(|emoji| !emoji.is_empty())?;
        let key = it.key.as_option()?;
        if key.from_me.unwrap_or(false) {
            return Some((None, emoji));
        }
        let by = if chat.is_group() {
            parse_jid(key.participant.as_deref()?)?
        } else {
            chat.clone()
        };
        Some((Some(others.build_person(&by, None, None)), emoji))
    };
    info.reactions.iter().filter_map(reaction).collect()
}
