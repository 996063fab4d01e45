//! Reactions: checking that the target message is known.

use super::message_problem;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::model::message::{ChatId, MessageContent, ReactionContent};
use crate::model::session_name::SessionName;
use crate::store::{Life, QuotedMessage};

/// Checks the target of a reaction. A reaction to an unknown message would be shown nowhere, and
/// one to a status goes to its author, who is known only from that status.
pub(crate) async fn check_reaction_target(
    gateway: &Gateway,
    session: &SessionName,
    life: &Life,
    to: &ChatId,
    content: &MessageContent,
) -> Result<(), Problem> {
    let MessageContent::Reaction {
        reaction: ReactionContent { message_id: id, .. },
    } = content
    else {
        return Ok(());
    };
    let quoted = gateway
        .sessions
        .find_quoted(session, life, to, id)
        .await
        .map_err(message_problem)?;
    let sent = gateway
        .store
        .outbox()
        .find_sent_message(life, id)
        .await
        .map_err(message_problem)?;
    // Content that phones do not show as a message of its own cannot carry a reaction.
    let is_shown = |quoted: &QuotedMessage| {
        quoted
            .message
            .as_ref()
            .is_none_or(|message| message.content.is_standalone())
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
        .map_err(message_problem)?;
    if to.is_person() {
        // A reaction to the contact's status is sent in their chat.
        let status = gateway
            .sessions
            .find_quoted(session, life, &ChatId::Status, id)
            .await
            .map_err(message_problem)?;
        if status
            .and_then(|status| status.author)
            .is_some_and(|author| chats.contains(&author))
        {
            return Ok(());
        }
    }
    // Messages from history sync are only in the history.
    let kept = match gateway.history.current().await {
        Ok(kept) => kept
            .has_message(life, &chats, id)
            .await
            .map_err(message_problem)?,
        Err(_) => false,
    };
    if kept {
        Ok(())
    } else {
        Err(Problem::NoMessage)
    }
}
