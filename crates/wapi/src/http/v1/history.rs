//! Chats, contacts and messages of the history.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;

use super::chats::ChatPath;
use super::chats::labels::ChatLabels;
use crate::history::HistoryOffError;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::model::event::{Account, OptionTally, Person};
use crate::model::message::{ChatId, Message, MessageContent};
use crate::model::session_name::SessionName;
use crate::store::history::{HistoryCursor, PageAnchor, StoredChat, StoredMessage, StoredReaction};
use crate::store::{Life, StoreError};

/// Default and maximum number of entries per answer.
const ENTRY_LIMIT: (u32, u32) = (50, 500);

/// A chat.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ChatDocument {
    #[serde(flatten)]
    chat: Person,
    last_message: Option<MessageDocument>,
    unread_count: u32,
    /// Marked as unread by hand.
    unread: bool,
    archived: bool,
    pinned: bool,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    muted_until: Option<Timestamp>,
    /// Ids of its labels.
    labels: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct ChatPage {
    chats: Vec<ChatDocument>,
    /// `before` of the next call; `null` when there are no more.
    next: Option<String>,
}

/// A message in a chat.
#[derive(Debug, Serialize)]
pub(in crate::http) struct MessageDocument {
    session: String,
    id: String,
    chat: String,
    from: Person,
    from_me: bool,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    timestamp: Timestamp,
    #[serde(flatten)]
    says: HistoryContent,
    /// Delivery status of a message that the account sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    edited_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    deleted_at: Option<Timestamp>,
    reactions: Vec<ReactionDocument>,
    /// The votes on a poll or the responses to an event, where they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    tally: Option<Vec<OptionTally>>,
}

impl MessageDocument {
    /// Adds the votes so far to a poll or an event.
    async fn count_votes(&mut self, gateway: &Gateway, life: &Life) -> Result<(), Problem> {
        if let HistoryContent::Message(message) = &self.says
            && let MessageContent::Poll { .. } | MessageContent::Event { .. } = message.content
        {
            let tally = gateway.store.inbound().tally_poll(life, &self.id).await;
            self.tally = tally.map_err(history_problem)?;
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum HistoryContent {
    Message(Box<Message>),
    /// A deleted message has no content.
    Nothing {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

#[derive(Debug, Serialize)]
struct ReactionDocument {
    from: Person,
    from_me: bool,
    emoji: String,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct MessagePage {
    messages: Vec<MessageDocument>,
    /// `before` of the call for older messages; `null` when there are no more.
    before: Option<String>,
    /// `after` of the call for newer messages, now or later; `null` when the chat has none.
    after: Option<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct SearchPage {
    messages: Vec<MessageDocument>,
    /// `before` of the next call; `null` when there are no more.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct ContactPage {
    contacts: Vec<Person>,
    /// `after` of the next call; `null` when there are no more.
    next: Option<String>,
}

/// `GET …/chats?before=&limit=`: lists chats, the most recent message first.
pub(in crate::http) async fn list_chats(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<ChatPage>, Problem> {
    let limit = read_limit(&mut query);
    let before = read_cursor(&mut query, "before");
    query.finish()?;
    let ours = HistoryOwner::from_session(&gateway, session)?;
    let kept = gateway.history.current().await?;
    let chats = kept
        .list_chats(&ours.life, before?, limit)
        .await
        .map_err(history_problem)?;
    let next = (chats.len() == limit as usize)
        .then(|| chats.last().map(|chat| chat.cursor.to_string()))
        .flatten();
    let labels = ChatLabels::load(&gateway, &ours.life).await?;
    let shown = chats.into_iter().map(|chat| ours.show_chat(chat, &labels));
    Ok(Json(ChatPage {
        chats: shown.collect(),
        next,
    }))
}

/// `GET …/chats/{chat}`: shows a chat.
pub(in crate::http) async fn show_chat(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    query: QueryParameters,
) -> Result<Json<ChatDocument>, Problem> {
    query.finish()?;
    let ours = HistoryOwner::from_session(&gateway, session)?;
    let kept = gateway.history.current().await?;
    let id = gateway
        .sessions
        .resolve_id(&ours.session, &ours.life, &chat)
        .await?;
    let found = kept
        .find_chat(&ours.life, &id)
        .await
        .map_err(history_problem)?;
    let found = found.ok_or(Problem::NoChat)?;
    let labels = ChatLabels::load(&gateway, &ours.life).await?;
    Ok(Json(ours.show_chat(found, &labels)))
}

/// `GET …/chats/{chat}/messages?before=&after=&up_to=&limit=`: lists messages, newest first.
pub(in crate::http) async fn list_messages(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    mut query: QueryParameters,
) -> Result<Json<MessagePage>, Problem> {
    let limit = read_limit(&mut query);
    let (before, after) = (
        read_cursor(&mut query, "before"),
        read_cursor(&mut query, "after"),
    );
    let up_to = query.optional_text("up_to").filter(|id| !id.is_empty());
    query.finish()?;
    let (before, after) = (before?, after?);
    let positions =
        usize::from(before.is_some()) + usize::from(after.is_some()) + usize::from(up_to.is_some());
    if positions > 1 {
        return Err(Problem::invalid_field(
            if after.is_some() { "after" } else { "up_to" },
            "cannot be combined with another position; give one of `before`, `after`, and `up_to`",
        ));
    }
    let ours = HistoryOwner::from_session(&gateway, session)?;
    let kept = gateway.history.current().await?;
    let id = gateway
        .sessions
        .resolve_id(&ours.session, &ours.life, &chat)
        .await?;
    let side = match (before, after, up_to) {
        (Some(before), ..) => PageAnchor::Before(before),
        (_, Some(after), _) => PageAnchor::After(after),
        (.., Some(message)) => {
            let found = kept.find_message_cursor(&ours.life, &id, &message).await;
            let cursor = found.map_err(history_problem)?;
            PageAnchor::UpTo(cursor.ok_or(Problem::NoMessage)?)
        }
        (None, None, None) => PageAnchor::Newest,
    };
    let (found, has_more) = kept
        .list_messages(&ours.life, &id, side, limit)
        .await
        .map_err(history_problem)?;
    if found.is_empty()
        && kept
            .find_chat(&ours.life, &id)
            .await
            .map_err(history_problem)?
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
        PageAnchor::After(given) => (oldest.or(Some(given)), newest.or(Some(given))),
        PageAnchor::Newest | PageAnchor::Before(_) | PageAnchor::UpTo(_) => {
            (oldest.filter(|_| has_more), newest)
        }
    };
    let text = |cursor: HistoryCursor| cursor.to_string();
    let messages = found.into_iter().map(|found| ours.message_document(found));
    let mut messages: Vec<_> = messages.collect();
    for message in &mut messages {
        message.count_votes(&gateway, &ours.life).await?;
    }
    Ok(Json(MessagePage {
        messages,
        before: before.map(text),
        after: after.map(text),
    }))
}

/// `GET …/messages?q=&chat=&before=&limit=`: searches messages by text, the last received first.
pub(in crate::http) async fn search_messages(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<SearchPage>, Problem> {
    let limit = read_limit(&mut query);
    let (search, chat) = (query.optional_text("q"), query.optional_text("chat"));
    let before = read_cursor(&mut query, "before");
    query.finish()?;
    let search = search
        .ok_or_else(|| Problem::invalid_field("q", "is missing; give the text to search for"))?;
    let chat = match chat {
        Some(chat) => Some(
            ChatId::parse(&chat)
                .map_err(|error| Problem::invalid_field("chat", error.to_string()))?,
        ),
        None => None,
    };
    let ours = HistoryOwner::from_session(&gateway, session)?;
    let kept = gateway.history.current().await?;
    let chat = match chat {
        Some(chat) => Some(
            gateway
                .sessions
                .resolve_id(&ours.session, &ours.life, &chat)
                .await?,
        ),
        None => None,
    };
    let found = kept
        .search_messages(&ours.life, chat.as_deref(), &search, before?, limit)
        .await
        .map_err(history_problem)?;
    let Some((found, next)) = found else {
        return Err(Problem::invalid_field(
            "q",
            "must have a letter, a digit, or an emoji",
        ));
    };
    let messages = found
        .into_iter()
        .map(|found| ours.message_document(found))
        .collect();
    Ok(Json(SearchPage {
        messages,
        next: next.map(|next| next.to_string()),
    }))
}

/// `GET …/contacts?after=&limit=`: lists contacts by id.
pub(in crate::http) async fn list_contacts(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<ContactPage>, Problem> {
    let limit = read_limit(&mut query);
    let after = query.optional_text("after").unwrap_or_default();
    query.finish()?;
    let ours = HistoryOwner::from_session(&gateway, session)?;
    let kept = gateway.history.current().await?;
    let contacts = kept
        .list_contacts(&ours.life, &after, limit)
        .await
        .map_err(history_problem)?;
    let next = (contacts.len() == limit as usize)
        .then(|| contacts.last().map(|it| it.id.clone()))
        .flatten();
    Ok(Json(ContactPage { contacts, next }))
}

/// `GET …/contacts/{contact}`: shows a contact.
pub(in crate::http) async fn show_contact(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    query: QueryParameters,
) -> Result<Json<Person>, Problem> {
    query.finish()?;
    let ours = HistoryOwner::from_session(&gateway, session)?;
    let kept = gateway.history.current().await?;
    let id = gateway
        .sessions
        .resolve_id(&ours.session, &ours.life, &chat)
        .await?;
    let found = kept
        .find_contact(&ours.life, &id)
        .await
        .map_err(history_problem)?;
    found.map(Json).ok_or(Problem::NoContact)
}

fn read_limit(query: &mut QueryParameters) -> u32 {
    query.list_limit(ENTRY_LIMIT)
}

fn read_cursor(
    query: &mut QueryParameters,
    name: &'static str,
) -> Result<Option<HistoryCursor>, Problem> {
    let given = query.optional_text(name).filter(|text| !text.is_empty());
    given
        .map(|text| {
            text.parse()
                .map_err(|error: &str| Problem::invalid_field(name, error))
        })
        .transpose()
}

/// The account that the history belongs to.
struct HistoryOwner {
    session: SessionName,
    life: Life,
    account: Person,
}

impl HistoryOwner {
    fn from_session(gateway: &Gateway, session: SessionName) -> Result<Self, Problem> {
        let found = gateway.sessions.find(&session).ok_or(Problem::NoSession)?;
        let account = found
            .state()
            .account
            .map(account_person)
            .unwrap_or_default();
        Ok(Self {
            session,
            life: found.life(),
            account,
        })
    }

    fn session_name(&self) -> &str {
        self.session.as_str()
    }

    fn show_chat(&self, chat: StoredChat, labels: &ChatLabels) -> ChatDocument {
        let StoredChat {
            chat,
            last_message,
            unread,
            marked_unread,
            archived,
            pinned,
            muted_until,
            ..
        } = chat;
        let last_message = last_message.map(|found| self.message_document(found));
        ChatDocument {
            labels: labels.labels_of(&chat),
            chat,
            last_message,
            unread_count: unread,
            unread: marked_unread,
            archived,
            pinned,
            muted_until,
        }
    }

    fn message_document(&self, found: StoredMessage) -> MessageDocument {
        let StoredMessage {
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
        let reaction = |reaction: StoredReaction| {
            let (from, from_me) = self.person_or_account(reaction.by);
            ReactionDocument {
                from,
                from_me,
                emoji: reaction.emoji,
            }
        };
        let says = match message {
            Some(message) => HistoryContent::Message(Box::new(message)),
            None => HistoryContent::Nothing { kind: "deleted" },
        };
        let (from, from_me) = self.person_or_account(from);
        let (session, status) = (
            self.session_name().to_owned(),
            status.map(|status| status.into_str()),
        );
        let reactions = reactions.into_iter().map(reaction).collect();
        MessageDocument {
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
            tally: None,
        }
    }

    /// Returns the person, and whether it is the account itself.
    fn person_or_account(&self, somebody: Option<Person>) -> (Person, bool) {
        match somebody {
            Some(somebody) => (somebody, false),
            None => (self.account.clone(), true),
        }
    }
}

fn account_person(account: Account) -> Person {
    let Account { phone, lid, name } = account;
    Person {
        id: ChatId::Phone(phone.clone()).to_string(),
        phone: Some(phone),
        lid,
        name,
        ..Person::default()
    }
}

impl From<HistoryOffError> for Problem {
    fn from(_: HistoryOffError) -> Self {
        Self::HistoryOff
    }
}

fn history_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "failed to read the history");
    Problem::Internal
}
