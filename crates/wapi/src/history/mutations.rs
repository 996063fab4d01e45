//! Changes that events make to the history. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::event::{ChatChange, ChatUpdated, ContactUpdated, DeletionRight, Person};
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

/// Returns life and id of our own message whose content is needed to interpret an event.
pub(super) fn own_message_key(event: &StoredEvent) -> Option<(Life, String)> {
    progress_status(&event.kind)?;
    let update: ProgressData = parse_data(event)?;
    Some((event.session.clone(), update.id))
}

/// Returns the changes that an event makes. An event that cannot be parsed, because a newer version
/// wrote it, changes nothing. The first event about one of our messages takes its content from
/// `said`: in a group, each member adds another event.
pub(super) fn event_mutations(
    event: &StoredEvent,
    said: &mut SentContents,
) -> Vec<HistoryMutation> {
    let mut changes = event_changes(event, said).unwrap_or_default();
    // Statuses last a day and appear in no list of chats.
    changes.retain(|change| change.chat_id() != Some(STATUS));
    let step = |change| HistoryMutation {
        seq: event.seq,
        session: event.session.clone(),
        change,
    };
    changes.into_iter().map(step).collect()
}

fn event_changes(event: &StoredEvent, said: &mut SentContents) -> Option<Vec<HistoryChange>> {
    Some(match event.kind.as_str() {
        "message.received" => vec![parse_data::<MessageData<Message>>(event)?.into_change()],
        "message.echo" => {
            let told: MessageData<Message> = parse_data(event)?;
            let chat = told.chat.clone();
            vec![told.into_change(), HistoryChange::Seen { chat }]
        }
        "message.edited" => {
            let told: MessageData<Message> = parse_data(event)?;
            vec![HistoryChange::Edited {
                of: told.change_target()?,
                content: Box::new(told.what),
            }]
        }
        "message.deleted" => {
            let told: MessageData<DeletionData> = parse_data(event)?;
            vec![HistoryChange::Deleted {
                of: told.change_target()?,
                by: told.what.by,
            }]
        }
        "message.reaction" => {
            let told: MessageData<ReactionData> = parse_data(event)?;
            vec![HistoryChange::Reaction {
                of: told.change_target()?,
                emoji: told.what.emoji,
            }]
        }
        "chat.updated" => {
            let ChatUpdated { chat, change, .. } = parse_data(event)?;
            vec![HistoryChange::Chat { chat, change }]
        }
        "contact.updated" => {
            let ContactUpdated {
                contact, merged, ..
            } = parse_data(event)?;
            let merged = merged.map(|old| HistoryChange::Merged {
                old,
                new: contact.id.clone(),
            });
            merged
                .into_iter()
                .chain([HistoryChange::Contact(contact)])
                .collect()
        }
        "group.created" => vec![rename_group(parse_data::<GroupCreatedData>(event)?)],
        "group.updated" => {
            let GroupUpdatedData { chat, change } = parse_data(event)?;
            vec![rename_group(GroupCreatedData {
                chat,
                subject: change.subject?,
            })]
        }
        kind => own_message_changes(event, progress_status(kind)?, said)?,
    })
}

/// Handles progress of one of our own messages. The first event also records its content in its
/// chat.
fn own_message_changes(
    event: &StoredEvent,
    status: MessageProgress,
    said: &mut SentContents,
) -> Option<Vec<HistoryChange>> {
    let ProgressData {
        id,
        chat,
        timestamp: at,
    } = parse_data(event)?;
    let key = (event.session.id(), id.clone());
    let message = match said.get(&key) {
        Some(message) if message.content.is_standalone() => said.remove(&key)?,
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

fn rename_group(GroupCreatedData { chat, subject }: GroupCreatedData) -> HistoryChange {
    let chat = Person {
        id: chat,
        name: Some(subject),
        ..Person::default()
    };
    HistoryChange::Chat {
        chat,
        change: ChatChange::default(),
    }
}

fn parse_data<T: DeserializeOwned>(event: &StoredEvent) -> Option<T> {
    serde_json::from_str::<EventEnvelope<T>>(&event.body)
        .ok()
        .map(|envelope| envelope.data)
}

#[derive(Deserialize)]
struct EventEnvelope<T> {
    data: T,
}

/// A message, or a change to one.
#[derive(Deserialize)]
struct MessageData<T> {
    id: String,
    chat: String,
    from: Person,
    #[serde(default)]
    from_me: bool,
    timestamp: Timestamp,
    /// The message that is changed.
    message_id: Option<String>,
    #[serde(flatten)]
    what: T,
}

#[derive(Deserialize)]
struct DeletionData {
    /// Deletions from before the right was checked count as the author's.
    #[serde(default)]
    by: DeletionRight,
}

#[derive(Deserialize)]
struct ReactionData {
    emoji: Option<String>,
}

#[derive(Deserialize)]
struct ProgressData {
    id: String,
    chat: String,
    timestamp: Timestamp,
}

#[derive(Deserialize)]
struct GroupCreatedData {
    chat: String,
    subject: String,
}

#[derive(Deserialize)]
struct GroupUpdatedData {
    chat: String,
    change: SubjectChange,
}

#[derive(Deserialize)]
struct SubjectChange {
    subject: Option<String>,
}

impl MessageData<Message> {
    fn into_change(self) -> HistoryChange {
        let Self {
            id,
            chat,
            from,
            from_me,
            timestamp: at,
            what: message,
            ..
        } = self;
        let from = (!from_me).then_some(from);
        // It came from WhatsApp, so WhatsApp has it.
        let status = from_me.then_some(MessageProgress::Sent);
        HistoryChange::Message(Box::new(NewHistoryMessage {
            chat,
            id,
            from,
            at,
            message,
            status,
            reactions: Vec::new(),
        }))
    }
}

impl<T> MessageData<T> {
    fn change_target(&self) -> Option<ChangeTarget> {
        let (chat, id) = (self.chat.clone(), self.message_id.clone()?);
        Some(ChangeTarget {
            chat,
            id,
            by: (!self.from_me).then(|| self.from.clone()),
            at: self.timestamp,
        })
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
            body: json!({"data": data}).to_string(),
        }
    }

    #[test]
    fn a_message_is_written_once_however_many_have_it() {
        let mut said = SentContents::new();
        said.insert((0, "A".to_owned()), Message::from_text("hi".to_owned()));
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
            .flat_map(|event| event_mutations(&event, &mut said))
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
        let mut said = SentContents::new();
        let reaction = Emoji {
            message_id: "A".to_owned(),
            emoji: Some("👍".to_owned()),
        };
        said.insert(
            (0, "B".to_owned()),
            Message::new(MessageContent::Reaction { reaction }),
        );
        let mut count = |kind: &str| event_mutations(&event(1, kind, "B"), &mut said).len();
        assert_eq!(
            ["message.delivered", "message.sent", "message.delivered"].map(&mut count),
            [0, 1, 0]
        );
    }
}
