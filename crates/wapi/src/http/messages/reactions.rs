//! Reactions: checking that the target message is known.

use super::unreadable;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::message::{ChatId, Content, Reaction};
use crate::sessions::SessionName;
use crate::store::{Life, Quoted};

/// Checks the target of a reaction. A reaction to an unknown message would be shown nowhere, and
/// one to a status goes to its author, who is known only from that status.
pub(super) async fn is_known(
    gateway: &Gateway,
    session: &SessionName,
    life: &Life,
    to: &ChatId,
    content: &Content,
) -> Result<(), Problem> {
    let Content::Reaction {
        reaction: Reaction { message_id: id, .. },
    } = content
    else {
        return Ok(());
    };
    let quoted = gateway
        .sessions
        .quoted(session, life, to, id)
        .await
        .map_err(unreadable)?;
    let sent = gateway
        .store
        .sent_message(life, id)
        .await
        .map_err(unreadable)?;
    // Content that phones do not show as a message of its own cannot carry a reaction.
    let is_shown = |quoted: &Quoted| {
        quoted
            .message
            .as_ref()
            .is_none_or(|message| message.content.stands_alone())
    };
    match (quoted, sent) {
        (Some(_), Some(sent)) if sent.deleted_at.is_some() => return Err(Problem::NoMessage),
        (Some(quoted), _) if is_shown(&quoted) => return Ok(()),
        // A message found under this id is the target; the history is not searched for another.
        (Some(_), _) | (None, Some(_)) => return Err(Problem::NoMessage),
        (None, None) => {}
    }
    let chats = gateway
        .sessions
        .all_addresses(session, life, to)
        .await
        .map_err(unreadable)?;
    if to.is_person() {
        // A reaction to the contact's status is sent in their chat.
        let status = gateway
            .sessions
            .quoted(session, life, &ChatId::Status, id)
            .await
            .map_err(unreadable)?;
        if status
            .and_then(|status| status.author)
            .is_some_and(|author| chats.contains(&author))
        {
            return Ok(());
        }
    }
    // Messages from history sync are only in the history.
    let kept = match gateway.history.look().await {
        Ok(kept) => kept.knows(life, &chats, id).await.map_err(unreadable)?,
        Err(_) => false,
    };
    if kept {
        Ok(())
    } else {
        Err(Problem::NoMessage)
    }
}
