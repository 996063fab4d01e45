//! Reactions: whether what they are about is known.

use super::body::Asked;
use super::unreadable;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::message::{ChatId, Content};
use crate::sessions::SessionName;
use crate::store::Life;

/// A reaction to what nobody knows would be shown nowhere, and one to a status goes to its author, who is known from it alone.
pub(super) async fn is_known(
    gateway: &Gateway,
    session: &SessionName,
    life: &Life,
    asked: &Asked,
) -> Result<(), Problem> {
    let Content::Reaction { reaction } = &asked.message.content else { return Ok(()) };
    let (to, id) = (&asked.to, &reaction.message_id);
    if gateway.sessions.quoted(session, life, to, id).await.map_err(unreadable)?.is_some() {
        return Ok(());
    }
    let chats = gateway.sessions.addresses(session, to).await;
    if to.is_person() {
        // A status of theirs is answered in their chat.
        let status = gateway.sessions.quoted(session, life, &ChatId::Status, id).await.map_err(unreadable)?;
        if status.and_then(|status| status.author).is_some_and(|author| chats.contains(&author)) {
            return Ok(());
        }
    }
    // What the phone told of the time before is in the history alone.
    let kept = match gateway.history.look().await {
        Ok(kept) => kept.knows(life, &chats, id).await.map_err(unreadable)?,
        Err(_) => false,
    };
    if kept { Ok(()) } else { Err(Problem::NoMessage) }
}
