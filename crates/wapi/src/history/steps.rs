//! Changes that events make to the history. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::event::{ChatChange, ChatUpdated, ContactUpdated, Person, Right};
use crate::message::{Content, Message, STATUS};
use crate::store::kept::{About, Change, KeptStatus, NewKept, Step};
use crate::store::{Life, Saved};

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
pub(super) type Said = HashMap<(i64, String), Message>;

/// Returns life and id of our own message whose content is needed to interpret an event.
pub(super) fn of_ours(event: &Saved) -> Option<(Life, String)> {
    status(&event.kind)?;
    let update: Update = data(event)?;
    Some((event.session.clone(), update.id))
}

/// Returns the changes that an event makes. An event that cannot be parsed, because a newer version
/// wrote it, changes nothing. The first event about one of our messages takes its content from
/// `said`: in a group, each member adds another event.
pub(super) fn steps(event: &Saved, said: &mut Said) -> Vec<Step> {
    let mut changes = changes(event, said).unwrap_or_default();
    // Statuses last a day and appear in no list of chats.
    changes.retain(|change| change.chat() != Some(STATUS));
    let step = |change| Step {
        seq: event.seq,
        session: event.session.clone(),
        change,
    };
    changes.into_iter().map(step).collect()
}

fn changes(event: &Saved, said: &mut Said) -> Option<Vec<Change>> {
    Some(match event.kind.as_str() {
        "message.received" => vec![data::<Told<Message>>(event)?.message()],
        "message.echo" => {
            let told: Told<Message> = data(event)?;
            let chat = told.chat.clone();
            vec![told.message(), Change::Seen { chat }]
        }
        "message.edited" => {
            let told: Told<Message> = data(event)?;
            vec![Change::Edited {
                of: told.about()?,
                content: Box::new(told.what),
            }]
        }
        "message.deleted" => {
            let told: Told<Taken> = data(event)?;
            vec![Change::Deleted {
                of: told.about()?,
                by: told.what.by,
            }]
        }
        "message.reaction" => {
            let told: Told<Reaction> = data(event)?;
            vec![Change::Reaction {
                of: told.about()?,
                emoji: told.what.emoji,
            }]
        }
        "chat.updated" => {
            let ChatUpdated { chat, change, .. } = data(event)?;
            vec![Change::Chat { chat, change }]
        }
        "contact.updated" => {
            let ContactUpdated {
                contact, merged, ..
            } = data(event)?;
            let merged = merged.map(|old| Change::Merged {
                old,
                new: contact.id.clone(),
            });
            merged
                .into_iter()
                .chain([Change::Contact(contact)])
                .collect()
        }
        "group.created" => vec![renamed(data::<Created>(event)?)],
        "group.updated" => {
            let Renamed { chat, change } = data(event)?;
            vec![renamed(Created {
                chat,
                subject: change.subject?,
            })]
        }
        kind => progress(event, status(kind)?, said)?,
    })
}

/// Handles progress of one of our own messages. The first event also records its content in its
/// chat.
fn progress(event: &Saved, status: KeptStatus, said: &mut Said) -> Option<Vec<Change>> {
    let Update {
        id,
        chat,
        timestamp: at,
    } = data(event)?;
    let key = (event.session.id(), id.clone());
    let message = match said.get(&key) {
        Some(message) if message.content.stands_alone() => said.remove(&key)?,
        // A change to another message takes effect when WhatsApp accepts it, and that event need
        // not come first.
        Some(message) => message.clone(),
        None => return Some(vec![Change::Status { chat, id, status }]),
    };
    let about = |message_id: &String| About {
        chat: chat.clone(),
        id: message_id.clone(),
        by: None,
        at,
    };
    Some(match &message.content {
        // Applied once, when WhatsApp accepts it.
        Content::Reaction { .. } | Content::Edit { .. } | Content::Deletion { .. }
            if status != KeptStatus::Sent =>
        {
            Vec::new()
        }
        Content::Reaction { reaction } => {
            vec![Change::Reaction {
                of: about(&reaction.message_id),
                emoji: reaction.emoji.clone(),
            }]
        }
        Content::Edit { edit } => {
            let words = edit
                .text
                .as_ref()
                .map(|text| &text.body)
                .or(edit.caption.as_ref());
            let content = Box::new(Message::text(words.cloned().unwrap_or_default()));
            vec![Change::Edited {
                of: about(&edit.message_id),
                content,
            }]
        }
        // Only admins delete the messages of others, which is checked before sending.
        Content::Deletion { deletion } => vec![Change::Deleted {
            of: about(&deletion.message_id),
            by: Right::Admin,
        }],
        // Not shown as messages of their own.
        content if !content.stands_alone() => Vec::new(),
        _ => {
            let reactions = Vec::new();
            let new = NewKept {
                chat: chat.clone(),
                id: id.clone(),
                from: None,
                at,
                message,
                status: None,
                reactions,
            };
            vec![
                Change::Message(Box::new(new)),
                Change::Status { chat, id, status },
            ]
        }
    })
}

fn status(kind: &str) -> Option<KeptStatus> {
    match kind {
        "message.sent" => Some(KeptStatus::Sent),
        "message.delivered" => Some(KeptStatus::Delivered),
        "message.read" => Some(KeptStatus::Read),
        "message.played" => Some(KeptStatus::Played),
        _ => None,
    }
}

fn renamed(Created { chat, subject }: Created) -> Change {
    let chat = Person {
        id: chat,
        name: Some(subject),
        ..Person::default()
    };
    Change::Chat {
        chat,
        change: ChatChange::default(),
    }
}

fn data<T: DeserializeOwned>(event: &Saved) -> Option<T> {
    serde_json::from_str::<Envelope<T>>(&event.body)
        .ok()
        .map(|envelope| envelope.data)
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// A message, or a change to one.
#[derive(Deserialize)]
struct Told<T> {
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
struct Taken {
    /// Deletions from before the right was checked count as the author's.
    #[serde(default)]
    by: Right,
}

#[derive(Deserialize)]
struct Reaction {
    emoji: Option<String>,
}

#[derive(Deserialize)]
struct Update {
    id: String,
    chat: String,
    timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Created {
    chat: String,
    subject: String,
}

#[derive(Deserialize)]
struct Renamed {
    chat: String,
    change: Subject,
}

#[derive(Deserialize)]
struct Subject {
    subject: Option<String>,
}

impl Told<Message> {
    fn message(self) -> Change {
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
        let status = from_me.then_some(KeptStatus::Sent);
        Change::Message(Box::new(NewKept {
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

impl<T> Told<T> {
    fn about(&self) -> Option<About> {
        let (chat, id) = (self.chat.clone(), self.message_id.clone()?);
        Some(About {
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

    use super::*;
    use crate::message::Reaction as Emoji;

    fn event(seq: i64, kind: &str, id: &str) -> Saved {
        let data = json!({"id": id, "chat": "club@g.us", "timestamp": "2026-01-01T00:00:00Z"});
        let (id, session) = (seq.to_string(), Life::nobodys("shop"));
        Saved {
            seq,
            id,
            session,
            kind: kind.to_owned(),
            body: json!({"data": data}).to_string(),
        }
    }

    #[test]
    fn a_message_is_written_once_however_many_have_it() {
        let mut said = Said::new();
        said.insert((0, "A".to_owned()), Message::text("hi".to_owned()));
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
        let changes: Vec<Change> = events
            .flat_map(|event| steps(&event, &mut said))
            .map(|step| step.change)
            .collect();
        let written = changes
            .iter()
            .filter(|change| matches!(change, Change::Message(_)))
            .count();
        let statuses = changes
            .iter()
            .filter(|change| matches!(change, Change::Status { .. }))
            .count();
        assert_eq!((written, statuses), (1, 4));
    }

    #[test]
    fn a_reaction_is_one_however_it_is_heard_of() {
        let mut said = Said::new();
        let reaction = Emoji {
            message_id: "A".to_owned(),
            emoji: Some("👍".to_owned()),
        };
        said.insert(
            (0, "B".to_owned()),
            Message::new(Content::Reaction { reaction }),
        );
        let mut count = |kind: &str| steps(&event(1, kind, "B"), &mut said).len();
        assert_eq!(
            ["message.delivered", "message.sent", "message.delivered"].map(&mut count),
            [0, 1, 0]
        );
    }
}
