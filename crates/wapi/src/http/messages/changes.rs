//! `/v1/sessions/{session}/messages/{id}`: editing, deleting and forwarding an existing message.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;

use super::body::Asked;
use super::{
    Accepting, NamedMessage, accept, again, answer, changed, content, idempotency_key, newsletter,
    patience,
};
use super::{repeated, unreadable};
use crate::event::{Member, Role};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::extract::Fields;
use crate::http::query::Query;
use crate::keys::Caller;
use crate::message::{ChatId, Content, Deletion, Edit, Message};
use crate::sessions::SessionName;
use crate::store::{CANCELLED, Life, Quoted, Rewording, SentMessage};

/// Kinds of message with a text that can be edited.
const CHANGEABLE: [&str; 4] = ["text", "image", "video", "document"];
/// Phones ignore edits of messages older than this.
const EDITABLE: SignedDuration = SignedDuration::from_mins(15);

/// `PATCH …/messages/{id}`: edits a text or a caption sent through the gateway. The edit is sent as
/// a message of its own.
pub async fn edit(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let route = format!("PATCH {}", message.route());
    let (wait, key) = (
        patience(query)?,
        idempotency_key(&caller, &headers, route, &fields)?,
    );
    let NamedMessage { session, id } = message;
    let NewWords {
        kind,
        edit,
        says_preview,
    } = new_words(fields, id.clone())?;
    let life = gateway.life(&session)?;
    let key = key.map(|key| key.of(&life));
    let accepting = Accepting {
        gateway: &gateway,
        session: &session,
        life: &life,
    };
    if let Some(answer) = repeated(&accepting, key.as_ref(), None, wait).await? {
        return Ok(answer);
    }
    let found = gateway
        .store
        .sent_message(&life, &id)
        .await
        .map_err(unreadable)?;
    let (to, found) = found.ok_or(Problem::NoMessage).and_then(chat_of)?;
    not_status(&to)?;
    if found.message.content.kind() != kind {
        let found = found.message.content.kind();
        return Err(Problem::field(
            "id",
            format!("names a message of type {found}, not {kind}"),
        ));
    }
    if found.deleted_at.is_some() {
        return Err(Problem::field(
            "id",
            "names a message that was deleted; send a new one",
        ));
    }
    // A message that has not left is sent with the new text.
    if found.sent_at.is_none() {
        let message = reworded(found.message.clone(), &edit, says_preview);
        match gateway
            .sessions
            .reword(&session, &id, message, key.clone())
            .await?
        {
            Rewording::Done => {
                let asked = Asked::about(to, found.message);
                return changed(
                    &gateway,
                    &session,
                    &life,
                    (&id, StatusCode::ACCEPTED),
                    &asked,
                )
                .await;
            }
            Rewording::Repeated(id) => return again(&accepting, &id, None, wait).await,
            Rewording::KeyTaken => return Err(Problem::KeyTaken),
            Rewording::TooLate => {}
        }
    }
    let said_at = found.sent_at.unwrap_or(gateway.clock.now());
    if gateway.clock.now().duration_since(said_at) > EDITABLE {
        return Err(Problem::TooLate);
    }
    let asked = Asked::about(to, Message::new(Content::Edit { edit }));
    let (messages, replayed) = accepting.all(&asked, key, wait).await?;
    answer(&gateway, &asked, &session, messages, replayed).await
}

/// Replaces a message's text or caption. A link preview stays on or off unless the edit sets it.
fn reworded(message: Message, edit: &Edit, says_preview: bool) -> Message {
    let mut message = message;
    let had_preview = matches!(&message.content, Content::Text { text } if text.preview_url);
    message.content.reword(edit);
    if let Content::Text { text } = &mut message.content
        && !says_preview
    {
        text.preview_url = had_preview;
    }
    message
}

/// A requested edit.
struct NewWords {
    /// The kind of the edited message.
    kind: &'static str,
    edit: Edit,
    /// Whether the edit sets `preview_url`.
    says_preview: bool,
}

/// Reads the kind of the edited message and its new text or caption.
fn new_words(mut fields: Fields, message_id: String) -> Result<NewWords, Problem> {
    let there: Vec<_> = CHANGEABLE
        .into_iter()
        .filter(|kind| fields.has(kind))
        .collect();
    let [kind] = there[..] else {
        CHANGEABLE.into_iter().for_each(|kind| fields.ignore(kind));
        fields.refuse(
            "text",
            format!(
                "is missing; what can be changed is one of {}",
                CHANGEABLE.join(", ")
            ),
        );
        fields.refuse_unknown();
        return fields.done(None);
    };
    if fields
        .optional_text("type")
        .is_some_and(|named| named != kind)
    {
        fields.refuse(
            "type",
            format!("is not {kind}, which is what the other words are for"),
        );
    }
    let mut says_preview = false;
    let edit = fields.inner(kind).map(|mut inner| {
        says_preview = inner.is_given("preview_url");
        let edit = match kind {
            "text" => content::text(&mut inner).map(|text| Edit {
                message_id,
                text: Some(text),
                caption: None,
            }),
            _ => {
                let caption = content::caption(&mut inner).unwrap_or_default();
                Some(Edit {
                    message_id,
                    text: None,
                    caption: Some(caption),
                })
            }
        };
        fields.absorb(kind, inner);
        edit
    });
    fields.refuse_unknown();
    let edit = fields.done(edit.flatten())?;
    Ok(NewWords {
        kind,
        edit,
        says_preview,
    })
}

/// `DELETE …/messages/{id}`: deletes a message for everyone or, with `for=me`, only on the
/// account's own devices.
///
/// A message not sent through the gateway is found by its `chat`.
pub async fn delete(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    mut query: Query,
) -> Result<Response, Problem> {
    let (from, chat) = (query.text("for"), query.text("chat"));
    let wait = patience(query)?;
    let life = gateway.life(&message.session)?;
    let is_for_all_or_me = matches!(from.as_deref(), None | Some("everyone" | "me"));
    if is_for_all_or_me && let Some(cancelled) = cancelled(&gateway, &life, &message).await? {
        return Ok(cancelled);
    }
    let (chat, quoted) = find(&gateway, &life, &message, chat.as_deref()).await?;
    let NamedMessage { session, id } = message;
    match from.as_deref() {
        None | Some("everyone") => {
            not_post(&chat)?;
            if quoted.author.is_some() && !matches!(chat, ChatId::Group(_)) {
                return Err(Problem::field(
                    "id",
                    "names a message of somebody else; `for=me` deletes it here alone",
                ));
            }
            if quoted.author.is_some()
                && let ChatId::Group(group) = &chat
                && !is_admin(&gateway, &session, group).await?
            {
                let detail = "names a message of somebody else, and the account is no admin of the group; `for=me` deletes it here alone";
                return Err(Problem::field("id", detail));
            }
            // The deletion of a status must go to its audience.
            let audience = quoted
                .message
                .map(|message| message.audience)
                .unwrap_or_default();
            let deletion = Content::Deletion {
                deletion: Deletion { message_id: id },
            };
            let deletion = Message {
                audience,
                ..Message::new(deletion)
            };
            accept(
                &gateway,
                session,
                life,
                Asked::about(chat, deletion),
                None,
                wait,
            )
            .await
        }
        Some("me") => {
            not_status(&chat)?;
            gateway
                .sessions
                .delete_for_me(&session, &chat, &id, quoted.author.as_deref())
                .await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(_) => Err(Problem::field("for", "must be `everyone` or `me`")),
    }
}

/// Whether the account is an admin of the group. Phones ignore deletions of others' messages by
/// members without that role.
async fn is_admin(gateway: &Gateway, session: &SessionName, group: &str) -> Result<bool, Problem> {
    let account = gateway
        .sessions
        .find(session)
        .ok_or(Problem::NoSession)?
        .state()
        .account;
    let account = account.ok_or(Problem::NoMessage)?;
    let group = gateway.sessions.group(session, group).await?;
    let is_theirs = |member: &&Member| {
        member.person.phone.as_deref() == Some(&*account.phone)
            || (account.lid.is_some() && member.person.lid == account.lid)
    };
    Ok(group
        .participants
        .iter()
        .find(is_theirs)
        .is_some_and(|member| member.role != Role::Member))
}

/// Cancels a message that has not left, so that nobody receives it. Returns `None` if there is no
/// such message.
async fn cancelled(
    gateway: &Gateway,
    life: &Life,
    message: &NamedMessage,
) -> Result<Option<Response>, Problem> {
    let NamedMessage { session, id } = message;
    let found = gateway
        .store
        .sent_message(life, id)
        .await
        .map_err(unreadable)?;
    let Some(found) = found.filter(|found| found.sent_at.is_none() && found.failure.is_none())
    else {
        return Ok(None);
    };
    let is_cancelled = found.status == CANCELLED || gateway.sessions.cancel(session, id).await?;
    let chat = ChatId::parse_with_status(&found.chat).map_err(|_| Problem::NoMessage)?;
    match is_cancelled {
        true => {
            let asked = Asked::about(chat, found.message);
            changed(gateway, session, life, (id, StatusCode::OK), &asked)
                .await
                .map(Some)
        }
        false => Ok(None),
    }
}

/// `POST …/messages/{id}/forward`: sends the same content to another chat, marked as forwarded.
pub async fn forward(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let route = format!("POST {}/forward", message.route());
    let (wait, key) = (
        patience(query)?,
        idempotency_key(&caller, &headers, route, &fields)?,
    );
    let mut input = String::new();
    let to = fields.parsed("to", |text| {
        input = text.to_owned();
        ChatId::parse(text)
    });
    let chat = fields.optional_text("chat");
    fields.refuse_unknown();
    let to = fields.done(to)?;
    let life = gateway.life(&message.session)?;
    let key = key.map(|key| key.of(&life));
    let accepting = Accepting {
        gateway: &gateway,
        session: &message.session,
        life: &life,
    };
    if let Some(answer) = repeated(&accepting, key.as_ref(), Some(&input), wait).await? {
        return Ok(answer);
    }
    let (_, quoted) = find(&gateway, &life, &message, chat.as_deref()).await?;
    let mut content = quoted
        .message
        .map(|message| message.content)
        .ok_or(Problem::NoMessage)?;
    if !can_be_forwarded(&content) {
        let kind = content.kind();
        return Err(Problem::field(
            "id",
            format!("names a message of type {kind}, which cannot be forwarded"),
        ));
    }
    if matches!(to, ChatId::Newsletter(_)) && !newsletter::takes(&content) {
        let kind = content.kind();
        return Err(Problem::field(
            "to",
            format!("is a newsletter, where {kind} is not shown"),
        ));
    }
    if let Content::Text { text } = &mut content {
        // Background and font belong to a status.
        (text.background_color, text.font) = (None, None);
    }
    if let Some(media) = content.media_mut() {
        // The URL is that of the original message.
        media.url = None;
    }
    let message_again = Message {
        forwarded: true,
        ..Message::new(content)
    };
    let asked = Asked {
        input,
        ..Asked::about(to, message_again)
    };
    let (messages, replayed) = accepting.all(&asked, key, wait).await?;
    answer(&gateway, &asked, &message.session, messages, replayed).await
}

/// Refuses a status, which can only be deleted for everyone, and a newsletter post, which cannot be
/// changed.
pub(super) fn not_status(chat: &ChatId) -> Result<(), Problem> {
    match chat {
        ChatId::Newsletter(_) => Err(Problem::field(
            "id",
            "names a post in a newsletter, which stays as it is",
        )),
        ChatId::Status => Err(Problem::field(
            "id",
            "names a status, which can be taken back from everyone, and that is all",
        )),
        _ => Ok(()),
    }
}

fn not_post(chat: &ChatId) -> Result<(), Problem> {
    if matches!(chat, ChatId::Newsletter(_)) {
        not_status(chat)
    } else {
        Ok(())
    }
}

/// A file must be available; received ones are not if the gateway stores only descriptions of
/// files.
fn can_be_forwarded(content: &Content) -> bool {
    match content {
        Content::Text { .. } | Content::Location { .. } | Content::Contacts { .. } => true,
        Content::Poll { .. } | Content::Event { .. } => true,
        Content::Product { product } if product.image.is_none() => true,
        content => content.file().is_some_and(|(_, media)| {
            (media.link.is_some() || media.id.is_some()) && !media.view_once
        }),
    }
}

/// Finds a message sent through the gateway, or else a message of the given chat.
pub(super) async fn find(
    gateway: &Gateway,
    life: &Life,
    message: &NamedMessage,
    chat: Option<&str>,
) -> Result<(ChatId, Quoted), Problem> {
    let NamedMessage { session, id } = message;
    let sent = gateway
        .store
        .sent_message(life, id)
        .await
        .map_err(unreadable)?;
    let chat = match (sent, chat) {
        (Some(sent), _) => chat_of(sent)?.0,
        (None, Some(chat)) => ChatId::parse_with_status(chat)
            .map_err(|error| Problem::field("chat", error.to_string()))?,
        (None, None) => return Err(Problem::NoMessage),
    };
    let quoted = gateway
        .sessions
        .quoted(session, life, &chat, id)
        .await
        .map_err(unreadable)?;
    Ok((chat, quoted.ok_or(Problem::NoMessage)?))
}

fn chat_of(sent: SentMessage) -> Result<(ChatId, SentMessage), Problem> {
    if sent.failure.is_some() {
        return Err(Problem::field(
            "id",
            "names a message that failed, so that nobody has it",
        ));
    }
    if sent.status == CANCELLED {
        return Err(Problem::field(
            "id",
            "names a message that was taken back before it left, so that nobody has it",
        ));
    }
    let chat = ChatId::parse_with_status(&sent.chat).map_err(|_| Problem::NoMessage)?;
    Ok((chat, sent))
}
