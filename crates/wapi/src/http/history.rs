//! Chats, contacts and messages of the history.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;

use super::Gateway;
use super::chats::NamedChat;
use super::error::Problem;
use super::extract::Named;
use super::query::Query;
use crate::event::{Account, Person};
use crate::history::IsOff;
use crate::message::{ChatId, Message};
use crate::sessions::SessionName;
use crate::store::kept::{Cursor, Found, FoundReaction, KeptChat, Side};
use crate::store::{Life, StoreError};

/// Default and maximum number of entries per answer.
const LIMIT: (u32, u32) = (50, 500);

/// A chat.
#[derive(Debug, Serialize)]
pub(super) struct Chat {
    #[serde(flatten)]
    chat: Person,
    last_message: Option<Shown>,
    unread_count: u32,
    /// Marked as unread by hand.
    unread: bool,
    archived: bool,
    pinned: bool,
    #[serde(serialize_with = "crate::stamp::optional")]
    muted_until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChatPage {
    chats: Vec<Chat>,
    /// `before` of the next call; `null` when there are no more.
    next: Option<String>,
}

/// A message in a chat.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    session: String,
    id: String,
    chat: String,
    from: Person,
    from_me: bool,
    #[serde(serialize_with = "crate::stamp::serialize")]
    timestamp: Timestamp,
    #[serde(flatten)]
    says: Says,
    /// Delivery status of a message that the account sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::stamp::optional")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::stamp::optional")]
    deleted_at: Option<Timestamp>,
    reactions: Vec<Reaction>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Says {
    Message(Box<Message>),
    /// A deleted message has no content.
    Nothing {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

#[derive(Debug, Serialize)]
struct Reaction {
    from: Person,
    from_me: bool,
    emoji: String,
}

#[derive(Debug, Serialize)]
pub(super) struct MessagePage {
    messages: Vec<Shown>,
    /// `before` of the call for older messages; `null` when there are no more.
    before: Option<String>,
    /// `after` of the call for newer messages, now or later; `null` when the chat has none.
    after: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SearchPage {
    messages: Vec<Shown>,
    /// `before` of the next call; `null` when there are no more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ContactPage {
    contacts: Vec<Person>,
    /// `after` of the next call; `null` when there are no more.
    next: Option<String>,
}

/// `GET …/chats?before=&limit=`: lists chats, the most recent message first.
pub(super) async fn chats(
    State(gateway): State<Gateway>,
    Named(session): Named,
    mut query: Query,
) -> Result<Json<ChatPage>, Problem> {
    let limit = limit(&mut query);
    let before = cursor(&mut query, "before");
    query.done()?;
    let ours = Ours::of(&gateway, session)?;
    let kept = gateway.history.look().await?;
    let chats = kept
        .chats(&ours.life, before?, limit)
        .await
        .map_err(unreadable)?;
    let next = (chats.len() == limit as usize)
        .then(|| chats.last().map(|chat| chat.cursor.to_string()))
        .flatten();
    Ok(Json(ChatPage {
        chats: chats.into_iter().map(|chat| ours.chat(chat)).collect(),
        next,
    }))
}

/// `GET …/chats/{chat}`: shows a chat.
pub(super) async fn chat(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    query: Query,
) -> Result<Json<Chat>, Problem> {
    query.done()?;
    let ours = Ours::of(&gateway, session)?;
    let kept = gateway.history.look().await?;
    let id = gateway
        .sessions
        .id_of(&ours.session, &ours.life, &chat)
        .await?;
    let found = kept.chat(&ours.life, &id).await.map_err(unreadable)?;
    found
        .map(|chat| Json(ours.chat(chat)))
        .ok_or(Problem::NoChat)
}

/// `GET …/chats/{chat}/messages?before=&after=&limit=`: lists messages, newest first.
pub(super) async fn messages(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    mut query: Query,
) -> Result<Json<MessagePage>, Problem> {
    let limit = limit(&mut query);
    let (before, after) = (cursor(&mut query, "before"), cursor(&mut query, "after"));
    query.done()?;
    let side = match (before?, after?) {
        (None, None) => Side::Newest,
        (Some(before), None) => Side::Before(before),
        (None, Some(after)) => Side::After(after),
        (Some(_), Some(_)) => {
            return Err(Problem::field(
                "after",
                "cannot be given beside `before`; leave one of them out",
            ));
        }
    };
    let ours = Ours::of(&gateway, session)?;
    let kept = gateway.history.look().await?;
    let id = gateway
        .sessions
        .id_of(&ours.session, &ours.life, &chat)
        .await?;
    let (found, has_more) = kept
        .messages(&ours.life, &id, side, limit)
        .await
        .map_err(unreadable)?;
    if found.is_empty()
        && kept
            .chat(&ours.life, &id)
            .await
            .map_err(unreadable)?
            .is_none()
    {
        return Err(Problem::NoChat);
    }
    let (newest, oldest) = (
        found.first().map(|found| found.cursor),
        found.last().map(|found| found.cursor),
    );
    let (before, after) = match side {
        // The message of the cursor exists at least.
        Side::After(given) => (oldest.or(Some(given)), newest.or(Some(given))),
        Side::Newest | Side::Before(_) => (oldest.filter(|_| has_more), newest),
    };
    let text = |cursor: Cursor| cursor.to_string();
    let messages = found.into_iter().map(|found| ours.message(found)).collect();
    Ok(Json(MessagePage {
        messages,
        before: before.map(text),
        after: after.map(text),
    }))
}

/// `GET …/messages?q=&chat=&before=&limit=`: searches messages by text, the last received first.
pub(super) async fn search(
    State(gateway): State<Gateway>,
    Named(session): Named,
    mut query: Query,
) -> Result<Json<SearchPage>, Problem> {
    let limit = limit(&mut query);
    let (asked, chat) = (query.text("q"), query.text("chat"));
    let before = cursor(&mut query, "before");
    query.done()?;
    let asked =
        asked.ok_or_else(|| Problem::field("q", "is missing; it is what the messages say"))?;
    let chat = match chat {
        Some(chat) => {
            Some(ChatId::parse(&chat).map_err(|error| Problem::field("chat", error.to_string()))?)
        }
        None => None,
    };
    let ours = Ours::of(&gateway, session)?;
    let kept = gateway.history.look().await?;
    let chat = match chat {
        Some(chat) => Some(
            gateway
                .sessions
                .id_of(&ours.session, &ours.life, &chat)
                .await?,
        ),
        None => None,
    };
    let found = kept
        .search(&ours.life, chat.as_deref(), &asked, before?, limit)
        .await
        .map_err(unreadable)?;
    let Some((found, next)) = found else {
        return Err(Problem::field(
            "q",
            "must have a letter, a digit or an emoji to look for",
        ));
    };
    let messages = found.into_iter().map(|found| ours.message(found)).collect();
    Ok(Json(SearchPage {
        messages,
        next: next.map(|next| next.to_string()),
    }))
}

/// `GET …/contacts?after=&limit=`: lists contacts by id.
pub(super) async fn contacts(
    State(gateway): State<Gateway>,
    Named(session): Named,
    mut query: Query,
) -> Result<Json<ContactPage>, Problem> {
    let limit = limit(&mut query);
    let after = query.text("after").unwrap_or_default();
    query.done()?;
    let ours = Ours::of(&gateway, session)?;
    let kept = gateway.history.look().await?;
    let contacts = kept
        .contacts(&ours.life, &after, limit)
        .await
        .map_err(unreadable)?;
    let next = (contacts.len() == limit as usize)
        .then(|| contacts.last().map(|it| it.id.clone()))
        .flatten();
    Ok(Json(ContactPage { contacts, next }))
}

/// `GET …/contacts/{contact}`: shows a contact.
pub(super) async fn contact(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    query: Query,
) -> Result<Json<Person>, Problem> {
    query.done()?;
    let ours = Ours::of(&gateway, session)?;
    let kept = gateway.history.look().await?;
    let id = gateway
        .sessions
        .id_of(&ours.session, &ours.life, &chat)
        .await?;
    let found = kept.contact(&ours.life, &id).await.map_err(unreadable)?;
    found.map(Json).ok_or(Problem::NoContact)
}

fn limit(query: &mut Query) -> u32 {
    query.limit(LIMIT)
}

fn cursor(query: &mut Query, name: &'static str) -> Result<Option<Cursor>, Problem> {
    let given = query.text(name).filter(|text| !text.is_empty());
    given
        .map(|text| {
            text.parse()
                .map_err(|error: &str| Problem::field(name, error))
        })
        .transpose()
}

/// The account that the history belongs to.
struct Ours {
    session: SessionName,
    life: Life,
    account: Person,
}

impl Ours {
    fn of(gateway: &Gateway, session: SessionName) -> Result<Self, Problem> {
        let found = gateway.sessions.find(&session).ok_or(Problem::NoSession)?;
        let account = found.state().account.map(person).unwrap_or_default();
        Ok(Self {
            session,
            life: found.life(),
            account,
        })
    }

    fn name(&self) -> &str {
        self.session.as_str()
    }

    fn chat(&self, chat: KeptChat) -> Chat {
        let KeptChat {
            chat,
            last_message,
            unread,
            marked_unread,
            archived,
            pinned,
            muted_until,
            ..
        } = chat;
        let last_message = last_message.map(|found| self.message(found));
        Chat {
            chat,
            last_message,
            unread_count: unread,
            unread: marked_unread,
            archived,
            pinned,
            muted_until,
        }
    }

    fn message(&self, found: Found) -> Shown {
        let Found {
            chat,
            id,
            from,
            at: timestamp,
            message,
            status,
            edited_at,
            deleted_at,
            reactions,
            ..
        } = found;
        let reaction = |reaction: FoundReaction| {
            let (from, from_me) = self.person(reaction.by);
            Reaction {
                from,
                from_me,
                emoji: reaction.emoji,
            }
        };
        let says = match message {
            Some(message) => Says::Message(Box::new(message)),
            None => Says::Nothing { kind: "deleted" },
        };
        let (from, from_me) = self.person(from);
        let (session, status) = (self.name().to_owned(), status.map(|status| status.word()));
        let reactions = reactions.into_iter().map(reaction).collect();
        Shown {
            session,
            id,
            chat,
            from,
            from_me,
            timestamp,
            says,
            status,
            edited_at,
            deleted_at,
            reactions,
        }
    }

    /// Returns the person, and whether it is the account itself.
    fn person(&self, somebody: Option<Person>) -> (Person, bool) {
        match somebody {
            Some(somebody) => (somebody, false),
            None => (self.account.clone(), true),
        }
    }
}

fn person(account: Account) -> Person {
    let Account { phone, lid, name } = account;
    Person {
        id: ChatId::Phone(phone.clone()).to_string(),
        phone: Some(phone),
        lid,
        name,
        ..Person::default()
    }
}

impl From<IsOff> for Problem {
    fn from(_: IsOff) -> Self {
        Self::HistoryOff
    }
}

fn unreadable(error: StoreError) -> Problem {
    tracing::error!(%error, "the history cannot be read");
    Problem::Internal
}
