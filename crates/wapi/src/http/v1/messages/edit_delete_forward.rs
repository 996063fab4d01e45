//! `/v1/sessions/{session}/messages/{id}`: editing, deleting and forwarding an existing message.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;

use super::body::MessageRequest;
use super::{
    MessageAcceptor, MessagePath, accept_message, content, newsletter, read_wait, respond_accepted,
    respond_again, respond_changed,
};
use super::{message_problem, respond_repeated};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::extract::JsonFields;
use crate::http::request::idempotency::read_idempotency_key;
use crate::http::request::query::QueryParameters;
use crate::model::event::{GroupMember, GroupRole};
use crate::model::message::{ChatId, DeletionContent, EditContent, Message, MessageContent};
use crate::model::session_name::SessionName;
use crate::store::{CANCELLED, EditOutcome, Life, QuotedMessage, SentMessage};

/// Kinds of message with a text that can be edited.
const CHANGEABLE: [&str; 4] = ["text", "image", "video", "document"];
/// Phones ignore edits of messages older than this.
const EDIT_PERIOD: SignedDuration = SignedDuration::from_mins(15);

/// `PATCH …/messages/{id}`: edits a text or a caption sent through the gateway. The edit is sent as
/// a message of its own.
pub async fn edit_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    caller: Caller,
    query: QueryParameters,
    headers: HeaderMap,
    fields: JsonFields,
) -> Result<Response, Problem> {
    let route = format!("PATCH {}", message.route_path());
    let (wait, key) = (
        read_wait(query)?,
        read_idempotency_key(&caller, &headers, route, &fields)?,
    );
    let MessagePath { session, id } = message;
    let EditRequest {
        kind,
        edit,
        sets_preview: says_preview,
    } = read_edit(fields, id.clone())?;
    let life = gateway.current_life(&session)?;
    let key = key.map(|key| key.bind_life(&life));
    let accepting = MessageAcceptor {
        gateway: &gateway,
        session: &session,
        life: &life,
    };
    if let Some(answer) = respond_repeated(&accepting, key.as_ref(), None, wait).await? {
        return Ok(answer);
    }
    let found = gateway
        .store
        .outbox()
        .find_sent_message(&life, &id)
        .await
        .map_err(message_problem)?;
    let (to, found) = found.ok_or(Problem::NoMessage).and_then(resolve_chat)?;
    refuse_status_or_post(&to)?;
    if found.message.content.kind() != kind {
        let found = found.message.content.kind();
        return Err(Problem::invalid_field(
            "id",
            format!("names a message of type {found}, not {kind}"),
        ));
    }
    if found.deleted_at.is_some() {
        return Err(Problem::invalid_field(
            "id",
            "names a message that was deleted; send a new one",
        ));
    }
    // A message that has not left is sent with the new text.
    if found.sent_at.is_none() {
        let message = apply_edit(found.message.clone(), &edit, says_preview);
        match gateway
            .sessions
            .edit_message(&session, &id, message, key.clone())
            .await?
        {
            EditOutcome::Edited => {
                let request = MessageRequest::from_message(to, found.message);
                return respond_changed(
                    &gateway,
                    &session,
                    &life,
                    (&id, StatusCode::ACCEPTED),
                    &request,
                )
                .await;
            }
            EditOutcome::Repeated(id) => return respond_again(&accepting, &id, None, wait).await,
            EditOutcome::KeyTaken => return Err(Problem::IdempotencyKeyReused),
            EditOutcome::TooLate => {}
        }
    }
    let said_at = found.sent_at.unwrap_or(gateway.clock.now());
    if gateway.clock.now().duration_since(said_at) > EDIT_PERIOD {
        return Err(Problem::EditTooLate);
    }
    let request = MessageRequest::from_message(to, Message::new(MessageContent::Edit { edit }));
    let (messages, replayed) = accepting.accept_all(&request, key, wait).await?;
    respond_accepted(&gateway, &request, &session, messages, replayed).await
}

/// Replaces a message's text or caption. A link preview stays on or off unless the edit sets it.
fn apply_edit(message: Message, edit: &EditContent, says_preview: bool) -> Message {
    let mut message = message;
    let had_preview = matches!(&message.content, MessageContent::Text { text } if text.preview_url);
    message.content.apply_edit(edit);
    if let MessageContent::Text { text } = &mut message.content
        && !says_preview
    {
        text.preview_url = had_preview;
    }
    message
}

/// A requested edit.
struct EditRequest {
    /// The kind of the edited message.
    kind: &'static str,
    edit: EditContent,
    /// Whether the edit sets `preview_url`.
    sets_preview: bool,
}

/// Reads the kind of the edited message and its new text or caption.
fn read_edit(mut fields: JsonFields, message_id: String) -> Result<EditRequest, Problem> {
    let there: Vec<_> = CHANGEABLE
        .into_iter()
        .filter(|kind| fields.has_value(kind))
        .collect();
    let [kind] = there[..] else {
        CHANGEABLE
            .into_iter()
            .for_each(|kind| fields.ignore_field(kind));
        fields.refuse_field(
            "text",
            format!("is missing; give one of {}", CHANGEABLE.join(", ")),
        );
        fields.refuse_unknown();
        return fields.finish(None);
    };
    if fields
        .optional_text("type")
        .is_some_and(|named| named != kind)
    {
        fields.refuse_field("type", format!("is not {kind}, but the edit changes one"));
    }
    let mut says_preview = false;
    let edit = fields.nested_fields(kind).map(|mut inner| {
        says_preview = inner.has_field("preview_url");
        let edit = match kind {
            "text" => content::read_text(&mut inner).map(|text| EditContent {
                message_id,
                text: Some(text),
                caption: None,
            }),
            _ => {
                let caption = content::read_caption(&mut inner).unwrap_or_default();
                Some(EditContent {
                    message_id,
                    text: None,
                    caption: Some(caption),
                })
            }
        };
        fields.absorb_errors(kind, inner);
        edit
    });
    fields.refuse_unknown();
    let edit = fields.finish(edit.flatten())?;
    Ok(EditRequest {
        kind,
        edit,
        sets_preview: says_preview,
    })
}

/// `DELETE …/messages/{id}`: deletes a message for everyone or, with `for=me`, only on the
/// account's own devices.
///
/// A message not sent through the gateway is found by its `chat`.
pub async fn delete_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let (from, chat) = (query.optional_text("for"), query.optional_text("chat"));
    let wait = read_wait(query)?;
    let life = gateway.current_life(&message.session)?;
    let is_for_all_or_me = matches!(from.as_deref(), None | Some("everyone" | "me"));
    if is_for_all_or_me && let Some(cancelled) = cancel_unsent(&gateway, &life, &message).await? {
        return Ok(cancelled);
    }
    let (chat, quoted) = find_message(&gateway, &life, &message, chat.as_deref()).await?;
    let MessagePath { session, id } = message;
    match from.as_deref() {
        None | Some("everyone") => {
            refuse_post(&chat)?;
            if quoted.author.is_some() && !matches!(chat, ChatId::Group(_)) {
                return Err(Problem::invalid_field(
                    "id",
                    "names a message of another person; `for=me` deletes it only on the account's devices",
                ));
            }
            if quoted.author.is_some()
                && let ChatId::Group(group) = &chat
                && !is_group_admin(&gateway, &session, group).await?
            {
                let detail = "names a message of another person, and the account is not an admin of the group; `for=me` \
                 deletes it only on the account's devices";
                return Err(Problem::invalid_field("id", detail));
            }
            // The deletion of a status must go to its audience.
            let audience = quoted
                .message
                .map(|message| message.audience)
                .unwrap_or_default();
            let deletion = MessageContent::Deletion {
                deletion: DeletionContent { message_id: id },
            };
            let deletion = Message {
                audience,
                ..Message::new(deletion)
            };
            accept_message(
                &gateway,
                session,
                life,
                MessageRequest::from_message(chat, deletion),
                None,
                wait,
            )
            .await
        }
        Some("me") => {
            refuse_status_or_post(&chat)?;
            gateway
                .sessions
                .online(&session)?
                .delete_for_me(&chat, &id, quoted.author.as_deref())
                .await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(_) => Err(Problem::invalid_field("for", "must be `everyone` or `me`")),
    }
}

/// Whether the account is an admin of the group. Phones ignore deletions of others' messages by
/// members without that role.
async fn is_group_admin(
    gateway: &Gateway,
    session: &SessionName,
    group: &str,
) -> Result<bool, Problem> {
    let account = gateway
        .sessions
        .find(session)
        .ok_or(Problem::NoSession)?
        .state()
        .account;
    let account = account.ok_or(Problem::NoMessage)?;
    let group = gateway.sessions.find_group(session, group).await?;
    let is_theirs = |member: &&GroupMember| {
        member.person.phone.as_deref() == Some(&*account.phone)
            || (account.lid.is_some() && member.person.lid == account.lid)
    };
    Ok(group
        .participants
        .iter()
        .find(is_theirs)
        .is_some_and(|member| member.role != GroupRole::Member))
}

/// Cancels a message that has not left, so that nobody receives it. Returns `None` if there is no
/// such message.
async fn cancel_unsent(
    gateway: &Gateway,
    life: &Life,
    message: &MessagePath,
) -> Result<Option<Response>, Problem> {
    let MessagePath { session, id } = message;
    let found = gateway
        .store
        .outbox()
        .find_sent_message(life, id)
        .await
        .map_err(message_problem)?;
    let Some(found) = found.filter(|found| found.sent_at.is_none() && found.failure.is_none())
    else {
        return Ok(None);
    };
    let is_cancelled =
        found.status == CANCELLED || gateway.sessions.cancel_message(session, id).await?;
    let chat = ChatId::parse_with_status(&found.chat).map_err(|_| Problem::NoMessage)?;
    match is_cancelled {
        true => {
            let request = MessageRequest::from_message(chat, found.message);
            respond_changed(gateway, session, life, (id, StatusCode::OK), &request)
                .await
                .map(Some)
        }
        false => Ok(None),
    }
}

/// `POST …/messages/{id}/forward`: sends the content that the message has now, with its edits, to
/// another chat, marked as forwarded.
pub async fn forward_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    caller: Caller,
    query: QueryParameters,
    headers: HeaderMap,
    mut fields: JsonFields,
) -> Result<Response, Problem> {
    let route = format!("POST {}/forward", message.route_path());
    let (wait, key) = (
        read_wait(query)?,
        read_idempotency_key(&caller, &headers, route, &fields)?,
    );
    let mut input = String::new();
    let to = fields.parse_required("to", |text| {
        input = text.to_owned();
        ChatId::parse(text)
    });
    let chat = fields.optional_text("chat");
    fields.refuse_unknown();
    let to = fields.finish(to)?;
    let life = gateway.current_life(&message.session)?;
    let key = key.map(|key| key.bind_life(&life));
    let accepting = MessageAcceptor {
        gateway: &gateway,
        session: &message.session,
        life: &life,
    };
    if let Some(answer) = respond_repeated(&accepting, key.as_ref(), Some(&input), wait).await? {
        return Ok(answer);
    }
    let (_, quoted) = find_message(&gateway, &life, &message, chat.as_deref()).await?;
    if quoted.is_deleted {
        return Err(Problem::invalid_field(
            "id",
            "names a message that was deleted",
        ));
    }
    let mut content = quoted
        .message
        .map(|message| message.content)
        .ok_or(Problem::NoMessage)?;
    if !can_forward(&content) {
        let kind = content.kind();
        return Err(Problem::invalid_field(
            "id",
            format!("names a message of type {kind}, which cannot be forwarded"),
        ));
    }
    if matches!(to, ChatId::Newsletter(_)) && !newsletter::can_post(&content) {
        let kind = content.kind();
        return Err(Problem::invalid_field(
            "to",
            format!("is a newsletter, where {kind} is not shown"),
        ));
    }
    if let MessageContent::Text { text } = &mut content {
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
    let request = MessageRequest {
        input,
        ..MessageRequest::from_message(to, message_again)
    };
    let (messages, replayed) = accepting.accept_all(&request, key, wait).await?;
    respond_accepted(&gateway, &request, &message.session, messages, replayed).await
}

/// Refuses a status, which can only be deleted for everyone, and a newsletter post, which cannot be
/// changed.
pub(crate) fn refuse_status_or_post(chat: &ChatId) -> Result<(), Problem> {
    match chat {
        ChatId::Newsletter(_) => Err(Problem::invalid_field(
            "id",
            "names a post in a newsletter, which cannot be changed",
        )),
        ChatId::Status => Err(Problem::invalid_field(
            "id",
            "names a status, which can only be deleted for everyone",
        )),
        _ => Ok(()),
    }
}

fn refuse_post(chat: &ChatId) -> Result<(), Problem> {
    if matches!(chat, ChatId::Newsletter(_)) {
        refuse_status_or_post(chat)
    } else {
        Ok(())
    }
}

/// A file must be available; received ones are not if the gateway stores only descriptions of
/// files.
fn can_forward(content: &MessageContent) -> bool {
    match content {
        MessageContent::Text { .. }
        | MessageContent::Location { .. }
        | MessageContent::Contacts { .. } => true,
        MessageContent::Poll { .. } | MessageContent::Event { .. } => true,
        MessageContent::Product { product } if product.image.is_none() => true,
        content => content.media_file().is_some_and(|(_, media)| {
            (media.link.is_some() || media.id.is_some()) && !media.view_once
        }),
    }
}

/// Finds a message sent through the gateway, or else a message of the given chat.
pub(crate) async fn find_message(
    gateway: &Gateway,
    life: &Life,
    message: &MessagePath,
    chat: Option<&str>,
) -> Result<(ChatId, QuotedMessage), Problem> {
    let MessagePath { session, id } = message;
    let sent = gateway
        .store
        .outbox()
        .find_sent_message(life, id)
        .await
        .map_err(message_problem)?;
    let chat = match (sent, chat) {
        (Some(sent), _) => resolve_chat(sent)?.0,
        (None, Some(chat)) => ChatId::parse_with_status(chat)
            .map_err(|error| Problem::invalid_field("chat", error.to_string()))?,
        (None, None) => return Err(Problem::NoMessage),
    };
    let quoted = gateway
        .sessions
        .find_quoted(session, life, &chat, id)
        .await
        .map_err(message_problem)?;
    Ok((chat, quoted.ok_or(Problem::NoMessage)?))
}

fn resolve_chat(sent: SentMessage) -> Result<(ChatId, SentMessage), Problem> {
    if sent.failure.is_some() {
        return Err(Problem::invalid_field(
            "id",
            "names a message that failed and reached nobody",
        ));
    }
    if sent.status == CANCELLED {
        return Err(Problem::invalid_field(
            "id",
            "names a message that was cancelled before it left and reached nobody",
        ));
    }
    let chat = ChatId::parse_with_status(&sent.chat).map_err(|_| Problem::NoMessage)?;
    Ok((chat, sent))
}
