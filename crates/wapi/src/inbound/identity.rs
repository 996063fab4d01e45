//! Identity resolution: one stable id for each person and chat, whichever address is used. The
//! first known address stays the id.

use futures_util::future::try_join_all;

use super::InboundEvent;
use crate::model::event::{EventData, Person};
use crate::model::message::Message;
use crate::store::{Life, Store, StoreError};

/// Replaces the addresses in these events with stable ids.
pub(super) async fn resolve_events(
    store: &Store,
    session: &Life,
    incoming: &mut [InboundEvent],
) -> Result<(), StoreError> {
    for incoming in incoming {
        incoming.chat = resolve_event(
            store,
            session,
            &mut incoming.data,
            &incoming.chat,
            ResolveMode::Register,
        )
        .await?;
    }
    Ok(())
}

/// How to treat an address that is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveMode {
    Register,
    /// The person is only mentioned: as a member of a group, or because their phone received a
    /// message.
    Reference,
    /// Only look the address up.
    Lookup,
}

/// Replaces the addresses of the people in an event with their ids; returns the id of the chat.
pub async fn resolve_event(
    store: &Store,
    session: &Life,
    data: &mut EventData,
    chat: &str,
    knowledge: ResolveMode,
) -> Result<String, StoreError> {
    resolve_all_mentioned(store, session, group_people(data)).await?;
    if let Some(message) = data.message_mut() {
        resolve_message(store, session, message).await?;
    }
    let Some((event_chat, from)) = chat_and_author(data) else {
        return Ok(chat.to_owned());
    };
    let was = from.as_ref().map(|from| from.id.clone());
    if let Some(from) = from {
        resolve_person(store, session, from, knowledge).await?;
        if was.as_deref() == Some(chat) {
            let id = from.id.clone();
            if let Some(event_chat) = event_chat {
                event_chat.clone_from(&id);
            }
            return Ok(id);
        }
    }
    let id = resolve_chat(store, session, chat, knowledge).await?;
    if let Some(event_chat) = event_chat {
        event_chat.clone_from(&id);
    }
    Ok(id)
}

/// Resolves a person that is only mentioned.
pub async fn resolve_mentioned(
    store: &Store,
    session: &Life,
    person: &mut Person,
) -> Result<(), StoreError> {
    resolve_person(store, session, person, ResolveMode::Reference).await
}

/// Resolves many mentioned people, who are saved together where they have to be.
pub async fn resolve_all_mentioned(
    store: &Store,
    session: &Life,
    people: impl IntoIterator<Item = &mut Person>,
) -> Result<(), StoreError> {
    try_join_all(
        people
            .into_iter()
            .map(|person| resolve_mentioned(store, session, person)),
    )
    .await
    .map(drop)
}

/// Resolves the people in a message: the mentioned ones, and the author of the quoted message.
async fn resolve_message(
    store: &Store,
    session: &Life,
    message: &mut Message,
) -> Result<(), StoreError> {
    let original: Vec<String> = message
        .mentioned
        .iter()
        .map(|person| person.id.clone())
        .collect();
    resolve_all_mentioned(store, session, &mut message.mentioned).await?;
    for mention in &mut message.mentions {
        if let Some(index) = original.iter().position(|id| id == mention) {
            mention.clone_from(&message.mentioned[index].id);
        }
    }
    if let Some(context) = &mut message.context
        && let Some(from) = context.from.take()
    {
        let mut author = Person {
            id: from,
            phone: context.phone.take(),
            lid: context.lid.take(),
            ..Person::default()
        };
        resolve_mentioned(store, session, &mut author).await?;
        (context.from, context.phone, context.lid) = (Some(author.id), author.phone, author.lid);
    }
    Ok(())
}

/// Returns the people in a group event.
fn group_people(data: &mut EventData) -> Vec<&mut Person> {
    match data {
        EventData::GroupCreated(event) => event
            .by
            .iter_mut()
            .chain(event.group.people_mut())
            .collect(),
        EventData::GroupUpdated(event) => event.by.iter_mut().collect(),
        EventData::GroupParticipants(event) => {
            event.by.iter_mut().chain(&mut event.participants).collect()
        }
        EventData::GroupRequest(event) => {
            event.by.iter_mut().chain(&mut event.participants).collect()
        }
        _ => Vec::new(),
    }
}

/// Resolves a person and remembers the id. Groups keep their address.
pub async fn register_person(
    store: &Store,
    session: &Life,
    person: &mut Person,
) -> Result<(), StoreError> {
    resolve_person(store, session, person, ResolveMode::Register).await
}

/// Resolves a person to their id.
async fn resolve_person(
    store: &Store,
    session: &Life,
    person: &mut Person,
    knowledge: ResolveMode,
) -> Result<(), StoreError> {
    let number = person
        .phone
        .as_ref()
        .map(|phone| format!("{phone}@s.whatsapp.net"));
    if let Some(id) = resolve_addresses(
        store,
        session,
        number.as_deref(),
        person.lid.as_deref(),
        knowledge,
    )
    .await?
    {
        set_person_id(person, id);
    }
    Ok(())
}

/// Sets the id, which is one of the person's addresses and may be missing from this event.
fn set_person_id(person: &mut Person, id: String) {
    if person.lid.is_none() && id.ends_with("@lid") {
        person.lid = Some(id.clone());
    }
    if person.phone.is_none() {
        person.phone = id.strip_suffix("@s.whatsapp.net").map(str::to_owned);
    }
    person.id = id;
}

/// Returns the id of the chat with this address. A group has a single address.
async fn resolve_chat(
    store: &Store,
    session: &Life,
    chat: &str,
    knowledge: ResolveMode,
) -> Result<String, StoreError> {
    let (number, lid) = (
        chat.ends_with("@s.whatsapp.net").then_some(chat),
        chat.ends_with("@lid").then_some(chat),
    );
    let id = resolve_addresses(store, session, number, lid, knowledge).await?;
    Ok(id.unwrap_or_else(|| chat.to_owned()))
}

async fn resolve_addresses(
    store: &Store,
    session: &Life,
    number: Option<&str>,
    lid: Option<&str>,
    knowledge: ResolveMode,
) -> Result<Option<String>, StoreError> {
    match knowledge {
        ResolveMode::Register => {
            store
                .identities()
                .resolve_identity(session, number, lid)
                .await
        }
        ResolveMode::Reference => {
            store
                .identities()
                .resolve_mention(session, number, lid)
                .await
        }
        ResolveMode::Lookup => {
            let addresses: Vec<&str> = [number, lid].into_iter().flatten().collect();
            store.identities().find_identity(session, &addresses).await
        }
    }
}

/// Returns the chat of an event and its author.
fn chat_and_author(data: &mut EventData) -> Option<(Option<&mut String>, Option<&mut Person>)> {
    Some(match data {
        EventData::MessageStarred(event) => (Some(&mut event.chat), None),
        EventData::ChatTyping(event) => (Some(&mut event.chat), Some(&mut event.from)),
        EventData::PresenceChanged(event) => (None, Some(&mut event.from)),
        EventData::ChatUpdated(event) => (None, Some(&mut event.chat)),
        EventData::ContactUpdated(event) => (None, Some(&mut event.contact)),
        EventData::CallIncoming(event) => (None, Some(&mut event.from)),
        EventData::CallEnded(event) => (None, Some(&mut event.from)),
        data => {
            let origin = data.origin_mut()?;
            (Some(&mut origin.chat), Some(&mut origin.from))
        }
    })
}

/// Merges the people known by either address; `contact.updated` events report the changes.
pub(super) async fn merge_people(store: Store, session: Life, pairs: Vec<[String; 2]>) {
    for [number, lid] in pairs {
        // Nothing is written for a session that has been removed meanwhile.
        if !store.lives().is_current(&session) {
            return;
        }
        if let Err(error) = store
            .identities()
            .merge_identities(&session, &number, &lid)
            .await
        {
            tracing::warn!(session = session.name(), %error, "failed to save which number and LID belong together; the \
             next message brings them again");
        }
    }
}
