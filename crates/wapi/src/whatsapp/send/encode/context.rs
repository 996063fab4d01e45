//! Context of an outgoing message: quote, mentions, forwarding mark and expiry. Pure.

use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;

use super::{Quote, build_quoted};
use crate::model::message::Message;

/// Attaches the context. A bare text has no field for one, and becomes an extended text.
pub(crate) fn attach_context(protobuf: &mut wa::Message, message: &Message, quote: Option<&Quote>) {
    let quote = quote.filter(|_| message.context.is_some());
    let is_plain = message.mentions.is_empty()
        && !message.mentions_everyone
        && !message.forwarded
        && message.expires_after.is_none();
    if quote.is_none() && is_plain {
        return;
    }
    let quoted = quote.map(|quote| {
        quote
            .message
            .as_ref()
            .and_then(build_quoted)
            .unwrap_or_else(empty_quote)
    });
    let context = wa::ContextInfo {
        stanza_id: quote.map(|quote| quote.id.clone()),
        participant: quote.map(|quote| quote.author.clone()),
        remote_jid: quote.and_then(|quote| quote.chat.clone()),
        quoted_message: quoted.map(MessageField::some).unwrap_or_default(),
        mentioned_jid: message.mentions.clone(),
        non_jid_mentions: message.mentions_everyone.then_some(1),
        expiration: message.expires_after,
        is_forwarded: message.forwarded.then_some(true),
        forwarding_score: message.forwarded.then_some(1),
        ..Default::default()
    };
    // The engine does not know the context fields of these two.
    if let Some(album) = protobuf.album_message.as_option_mut() {
        album.context_info = MessageField::some(context);
    } else if let Some(request) = protobuf.request_phone_number_message.as_option_mut() {
        request.context_info = MessageField::some(context);
    } else {
        let _ = protobuf.set_context_info(context);
    }
}

/// Returns an empty quoted message: phones show a reply as one only if it quotes something.
fn empty_quote() -> wa::Message {
    wa::Message {
        conversation: Some(String::new()),
        ..Default::default()
    }
}
