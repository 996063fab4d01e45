//! Changes that events make to the history. Pure.

use std::collections::HashMap;

use crate::model::event::{
    ChatChange, ContactUpdated, DeletionRight, EventData, GroupChange, MessageOrigin,
    MessageUpdate, Person, ReceivedMessage,
};
use crate::model::message::{Message, MessageContent, STATUS};
use crate::store::history::{
    ChangeTarget, HistoryChange, HistoryMutation, MessageProgress, NewHistoryMessage,
};
use crate::store::{Life, StoredEvent};

/// The event types that change the history.
pub(super) const TYPES: [&str; 13] = [
    "message.received",
    "message.echo",
    "message.edited",
    "message.deleted",
    "message.reaction",
    "message.sent",
    "message.delivered",
    "message.read",
    "message.played",
    "chat.updated",
    "contact.updated",
    "group.created",
    "group.updated",
];

/// Contents of our own messages, by life and id.
pub(super) type SentContents = HashMap<(i64, String), Message>;

/// An event with its data.
pub(super) struct ReadEvent<'a> {
    event: &'a StoredEvent,
    data: EventData,
}

impl<'a> ReadEvent<'a> {
    /// Parses an event, which is stored as its envelope; `None` if a newer version wrote it.
    pub fn parse(event: &'a StoredEvent) -> Option<Self> {
        let data = serde_json::from_str(&event.body).ok()?;
        Some(Self { event, data })
    }
}

/// Returns life and id of our own message whose content is needed to interpret an event.
pub(super) fn own_message_key(read: &ReadEvent<'_>) -> Option<(Life, String)> {
    let (EventData::MessageSent(update)
    | EventData::MessageDelivered(update)
    | EventData::MessageRead(update)
    | EventData::MessagePlayed(update)) = &read.data
    else {
        return None;
    };
    Some((read.event.session.clone(), update.id.clone()))
}

/// Returns the changes that an event makes. The first event about one of our messages takes its content from
/// `sent`: in a group, each member adds another event.
pub(super) fn event_mutations(
    ReadEvent { event, data }: ReadEvent<'_>,
    sent: &mut SentContents,
) -> Vec<HistoryMutation> {
    let mut changes = event_changes(event, data, sent).unwrap_or_default();
    // Statuses last a day and appear in no list of chats.
    changes.retain(|change| change.chat_id() != Some(STATUS));
    let step = |change| HistoryMutation {
        seq: event.seq,
        session: event.session.clone(),
        change,
    };
    changes.into_iter().map(step).collect()
}

fn event_changes(
    event: &StoredEvent,
    data: EventData,
    sent: &mut SentContents,
) -> Option<Vec<HistoryChange>> {
    Some(match data {
        EventData::MessageReceived(event) => vec![message_change(*event)],
        EventData::MessageEcho(event) => {
            let chat = event.origin.chat.clone();
            vec![message_change(*event), HistoryChange::Seen { chat }]
        }
        EventData::MessageEdited(event) => vec![HistoryChange::Edited {
            of: change_target(event.origin, event.message_id),
            content: Box::new(event.change),
        }],
        EventData::MessageDeleted(event) => vec![HistoryChange::Deleted {
            of: change_target(event.origin, event.message_id),
            by: event.change.by,
        }],
        EventData::MessageReaction(event) => vec![HistoryChange::Reaction {
            of: change_target(event.origin, event.message_id),
            emoji: event.change.emoji,
        }],
        EventData::ChatUpdated(event) => vec![HistoryChange::Chat {
            chat: event.chat,
            change: event.change,
        }],
        EventData::ContactUpdated(event) => {
            let ContactUpdated {
                contact, merged, ..
            } = *event;
            let merged = merged.map(|old| HistoryChange::Merged {
                old,
                new: contact.id.clone(),
            });
            merged
                .into_iter()
                .chain([HistoryChange::Contact(contact)])
                .collect()
        }
        EventData::GroupCreated(event) => vec![rename_group(event.chat, event.group.subject)],
        EventData::GroupUpdated(event) => match event.change {
            GroupChange::Subject(subject) => vec![rename_group(event.chat, subject)],
            _ => return None,
        },
        EventData::MessageSent(update)
        | EventData::MessageDelivered(update)
        | EventData::MessageRead(update)
        | EventData::MessagePlayed(update) => {
            let status = progress_status(&event.kind)?;
            own_message_changes(event, update, status, sent)?
        }
        _ => return None,
    })
}

/// Handles progress of one of our own messages. The first event also records its content in its
/// chat.
fn own_message_changes(
    event: &StoredEvent,
    update: MessageUpdate,
    status: MessageProgress,
    sent: &mut SentContents,
) -> Option<Vec<HistoryChange>> {
    let MessageUpdate {
        id,
        chat,
        timestamp: at,
        ..
    } = update;
    let key = (event.session.id(), id.clone());
    let message = match sent.get(&key) {
        Some(message) if message.content.is_standalone() => sent.remove(&key)?,
        // A change to another message takes effect when WhatsApp accepts it, and that event need
        // not come first.
        Some(message) => message.clone(),
        None => return Some(vec![HistoryChange::Status { chat, id, status }]),
    };
    let about = |message_id: &String| ChangeTarget {
        chat: chat.clone(),
        id: message_id.clone(),
        by: None,
        at,
    };
    Some(match &message.content {
        // Applied once, when WhatsApp accepts it.
        MessageContent::Reaction { .. }
        | MessageContent::Edit { .. }
        | MessageContent::Deletion { .. }
            if status != MessageProgress::Sent =>
        {
            Vec::new()
        }
        MessageContent::Reaction { reaction } => {
            vec![HistoryChange::Reaction {
                of: about(&reaction.message_id),
                emoji: reaction.emoji.clone(),
            }]
        }
        MessageContent::Edit { edit } => {
            let words = edit
                .text
                .as_ref()
                .map(|text| &text.body)
                .or(edit.caption.as_ref());
            let content = Box::new(Message::from_text(words.cloned().unwrap_or_default()));
            vec![HistoryChange::Edited {
                of: about(&edit.message_id),
                content,
            }]
        }
        // Only admins delete the messages of others, which is checked before sending.
        MessageContent::Deletion { deletion } => vec![HistoryChange::Deleted {
            of: about(&deletion.message_id),
            by: DeletionRight::Admin,
        }],
        // Not shown as messages of their own.
        content if !content.is_standalone() => Vec::new(),
        _ => {
            let reactions = Vec::new();
            let new = NewHistoryMessage {
                chat: chat.clone(),
                id: id.clone(),
                from: None,
                at,
                message,
                is_in_log: false,
                status: None,
                reactions,
            };
            vec![
                HistoryChange::Message(Box::new(new)),
                HistoryChange::Status { chat, id, status },
            ]
        }
    })
}

fn progress_status(kind: &str) -> Option<MessageProgress> {
    match kind {
        "message.sent" => Some(MessageProgress::Sent),
        "message.delivered" => Some(MessageProgress::Delivered),
        "message.read" => Some(MessageProgress::Read),
        "message.played" => Some(MessageProgress::Played),
        _ => None,
    }
}

fn rename_group(id: String, subject: String) -> HistoryChange {
    let chat = Person {
        id,
        name: Some(subject),
        ..Person::default()
    };
    HistoryChange::Chat {
        chat,
        change: ChatChange::default(),
    }
}

fn message_change(ReceivedMessage { origin, message }: ReceivedMessage) -> HistoryChange {
    let MessageOrigin {
        id,
        chat,
        from,
        from_me,
        timestamp: at,
        ..
    } = origin;
    let from = (!from_me).then_some(from);
    // It came from WhatsApp, so WhatsApp has it.
    let status = from_me.then_some(MessageProgress::Sent);
    HistoryChange::Message(Box::new(NewHistoryMessage {
        chat,
        id,
        from,
        at,
        message,
        is_in_log: true,
        status,
        reactions: Vec::new(),
    }))
}

fn change_target(origin: MessageOrigin, id: String) -> ChangeTarget {
    ChangeTarget {
        chat: origin.chat,
        id,
        by: (!origin.from_me).then_some(origin.from),
        at: origin.timestamp,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::history::mutations::*;
    use crate::model::message::ReactionContent as Emoji;

    fn event(seq: i64, kind: &str, id: &str) -> StoredEvent {
        let data = json!({"id": id, "chat": "club@g.us", "timestamp": "2026-01-01T00:00:00Z"});
        let (id, session) = (seq.to_string(), Life::for_gateway("shop"));
        StoredEvent {
            seq,
            id,
            session,
            kind: kind.to_owned(),
            body: json!({"type": kind, "data": data}).to_string().into(),
        }
    }

    fn mutations_of(event: &StoredEvent, sent: &mut SentContents) -> Vec<HistoryMutation> {
        let read = ReadEvent::parse(event);
        read.map_or(Vec::new(), |read| event_mutations(read, sent))
    }

    #[test]
    fn events_of_earlier_versions_are_still_read() {
        let person = json!({"id": "1@lid", "phone": null, "lid": "1@lid", "name": null});
        let known = json!({
            "id": "A", "chat": "club@g.us", "from": person, "timestamp": "2026-01-01T00:00:00Z",
            "message_id": "B", "emoji": "👍", "type": "text", "text": {"body": "hi"},
            "subject": "Club", "description": null, "created_at": null, "created_by": null,
            "expires_in": null, "change": {"subject": "Club"}, "contact": person,
        });
        for kind in TYPES {
            let mut data = known.clone();
            if kind == "chat.updated" {
                data["chat"] = person.clone();
            }
            let stored = StoredEvent {
                body: json!({"type": kind, "data": data}).to_string().into(),
                ..event(1, kind, "A")
            };
            let changes = mutations_of(&stored, &mut SentContents::new());
            assert!(!changes.is_empty(), "{kind} changes nothing");
        }
    }

    #[test]
    fn a_message_is_written_once_however_many_have_it() {
        let mut sent = SentContents::new();
        sent.insert((0, "A".to_owned()), Message::from_text("hi".to_owned()));
        let kinds = [
            "message.sent",
            "message.delivered",
            "message.delivered",
            "message.read",
        ];
        let events = kinds
            .iter()
            .zip(1..)
            .map(|(kind, seq)| event(seq, kind, "A"));
        let changes: Vec<HistoryChange> = events
            .flat_map(|event| mutations_of(&event, &mut sent))
            .map(|step| step.change)
            .collect();
        let written = changes
            .iter()
            .filter(|change| matches!(change, HistoryChange::Message(_)))
            .count();
        let statuses = changes
            .iter()
            .filter(|change| matches!(change, HistoryChange::Status { .. }))
            .count();
        assert_eq!((written, statuses), (1, 4));
    }

    #[test]
    fn a_reaction_is_one_however_it_is_heard_of() {
        let mut sent = SentContents::new();
        let reaction = Emoji {
            message_id: "A".to_owned(),
            emoji: Some("👍".to_owned()),
        };
        sent.insert(
            (0, "B".to_owned()),
            Message::new(MessageContent::Reaction { reaction }),
        );
        let mut count = |kind: &str| mutations_of(&event(1, kind, "B"), &mut sent).len();
        assert_eq!(
            ["message.delivered", "message.sent", "message.delivered"].map(&mut count),
            [0, 1, 0]
        );
    }
}
