//! Reactions: whether what they are about is known.

use super::unreadable;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::message::{ChatId, Content, Reaction};
use crate::sessions::SessionName;
use crate::store::{Life, Quoted};

/// A reaction to what nobody knows would be shown nowhere, and one to a status goes to its author, who is known from it alone.
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
    // What phones show as no message of its own has no place for a reaction.
    let is_shown = |quoted: &Quoted| {
        quoted
            .message
            .as_ref()
            .is_none_or(|message| message.content.stands_alone())
    };
    match (quoted, sent) {
        (Some(_), Some(sent)) if sent.deleted_at.is_some() => return Err(Problem::NoMessage),
        (Some(quoted), _) if is_shown(&quoted) => return Ok(()),
        // Whatever else is known by this id, it is this one.
        (Some(_), _) | (None, Some(_)) => return Err(Problem::NoMessage),
        (None, None) => {}
    }
    let chats = gateway
        .sessions
        .all_addresses(session, life, to)
        .await
        .map_err(unreadable)?;
    if to.is_person() {
        // A status of theirs is answered in their chat.
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
    // What the phone told of the time before is in the history alone.
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
