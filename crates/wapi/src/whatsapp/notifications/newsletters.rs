//! Counts of reactions to newsletter posts, as events. Pure.

use whatsapp_rust::types::events::NewsletterLiveUpdate;

use super::observer::ChatEvent;
use crate::model::event::{EventData, NewsletterCounts, PostCounts, PostReaction};

/// Converts changed counts to their event.
pub(in crate::whatsapp) fn convert_counts(
    session: &str,
    update: &NewsletterLiveUpdate,
) -> ChatEvent {
    let newsletter = update.newsletter_jid.to_non_ad_string();
    let posts = update.messages.iter().map(|message| PostCounts {
        post: message.server_id,
        reactions: message
            .reactions
            .iter()
            .map(|reaction| PostReaction {
                emoji: reaction.code.clone(),
                count: reaction.count,
            })
            .collect(),
    });
    let data = NewsletterCounts {
        session: session.to_owned(),
        newsletter: newsletter.clone(),
        posts: posts.collect(),
    };
    ChatEvent {
        chat: newsletter,
        id: None,
        data: EventData::NewsletterCounts(data),
    }
}
