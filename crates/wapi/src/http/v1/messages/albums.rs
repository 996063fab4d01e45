//! Albums: images and videos sent together, one message each, after one that announces them.

use std::time::Duration;

use super::body::MessageRequest;
use super::{MessageAcceptor, content, message_problem};
use crate::http::error::Problem;
use crate::http::request::extract::JsonFields;
use crate::model::message::{AlbumContent, Message, MessageContent};
use crate::store::{IdempotencyKey, SentMessage};

/// WhatsApp shows smaller groups as single messages.
const ITEMS: std::ops::RangeInclusive<usize> = 2..=10;
const KINDS: [&str; 2] = ["image", "video"];

/// Reads `[{"image": {…}}, {"video": {…}}]`.
pub(crate) fn read_album(fields: &mut JsonFields) -> Option<Vec<Message>> {
    let list = fields.required_objects("album", ITEMS)?;
    let mut items = Vec::with_capacity(list.len());
    for (index, mut item) in list.into_iter().enumerate() {
        items.push(self::read_album_item(&mut item));
        fields.absorb_errors(&format!("album[{index}]"), item);
    }
    items.into_iter().collect()
}

fn read_album_item(fields: &mut JsonFields) -> Option<Message> {
    let there: Vec<_> = KINDS
        .into_iter()
        .filter(|kind| fields.has_value(kind))
        .collect();
    let [kind] = there[..] else {
        KINDS.into_iter().for_each(|kind| fields.ignore_field(kind));
        fields.refuse_field("image", "must be given, or `video` instead, but not both");
        return None;
    };
    let (content, _) = content::read_content(fields, kind)?;
    if content
        .media_file()
        .is_some_and(|(_, media)| media.view_once || media.round || media.gif)
    {
        fields.refuse_field(kind, "cannot have view_once, gif, or round within an album");
    }
    Some(Message::new(content))
}

/// Returns the content of the announcing message.
pub(crate) fn build_announcement(items: &[Message]) -> MessageContent {
    let count = |kind: &str| {
        items
            .iter()
            .filter(|item| item.content.kind() == kind)
            .count()
    };
    let of = |kind| u32::try_from(count(kind)).unwrap_or(u32::MAX);
    MessageContent::Album {
        album: AlbumContent {
            images: of("image"),
            videos: of("video"),
        },
    }
}

/// Queues all messages of an album, the announcing one first. Under an idempotency key, each
/// message has a key of its own, so that a request that was cut off continues where it stopped when
/// it is repeated.
pub(crate) async fn accept_album(
    accepting: &MessageAcceptor<'_>,
    request: &MessageRequest,
    key: Option<IdempotencyKey>,
    wait: Duration,
) -> Result<(Vec<SentMessage>, bool), Problem> {
    let MessageAcceptor {
        gateway,
        session,
        life,
    } = accepting;
    let (parent, replayed) = accepting
        .accept_one(request, key.clone(), Duration::ZERO)
        .await?;
    let mut ids = vec![parent.id.clone()];
    for (index, item) in request.album_items.iter().enumerate() {
        let message = Message {
            album_id: Some(parent.id.clone()),
            ..item.clone()
        };
        let (send_at, expires_in) = (request.send_at, request.expires_in);
        let child = MessageRequest {
            send_at,
            expires_in,
            ..MessageRequest::from_message(request.to.clone(), message)
        };
        let key = key.clone().map(|key| IdempotencyKey {
            route: format!("{} album[{index}]", key.route),
            ..key
        });
        ids.push(
            accepting
                .accept_one(&child, key, Duration::ZERO)
                .await?
                .0
                .id,
        );
    }
    // Messages leave one after the other; a waiting caller waits for the last.
    if let (false, Some(last)) = (wait.is_zero(), ids.last())
        && let Some(outcome) = gateway.sessions.watch_outcome(session, last)
    {
        gateway.sessions.wait_for_outcome(outcome, wait).await;
    }
    let mut messages = Vec::with_capacity(ids.len());
    for id in &ids {
        let found = gateway
            .store
            .outbox()
            .find_sent_message(life, id)
            .await
            .map_err(message_problem)?;
        messages.push(found.ok_or(Problem::NoMessage)?);
    }
    Ok((messages, replayed))
}
