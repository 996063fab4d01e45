//! Content of a message, and its context: quotes, mentions, albums. Pure.

use whatsapp_rust::Jid;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message_association::AssociationType;

use super::{fileless, interactive, media, products, raw};
use crate::model::event::Person;
use crate::model::message::{MediaContent, Message, MessageContent, MessageContext, TextContent};

/// Converts a message; `None` if nobody would see it as one.
pub(in crate::whatsapp) fn decode_body(message: &wa::Message) -> Option<Message> {
    let content = decode_content(message)?;
    let about = context_info(unwrap_message(message));
    let mentions: Vec<String> = about
        .map(|about| about.mentioned_jid.clone())
        .unwrap_or_default();
    Some(Message {
        audience: Vec::new(),
        content,
        context: about.and_then(decode_context),
        mentioned: mentions
            .iter()
            .filter_map(|person| parse_person(person))
            .collect(),
        mentions,
        mentions_everyone: about
            .and_then(|about| about.non_jid_mentions)
            .is_some_and(|mentioned| mentioned > 0),
        forwarded: about.and_then(|about| about.is_forwarded).unwrap_or(false),
        album_id: album_id(message),
        expires_after: about
            .and_then(|about| about.expiration)
            .filter(|seconds| *seconds > 0),
    })
}

/// Unwraps a message from all wrappers: those that the engine unwraps, and those that it does not.
/// They say how phones show their content.
pub(in crate::whatsapp) fn unwrap_message(message: &wa::Message) -> &wa::Message {
    let mut body = message.get_base_message();
    loop {
        let wrappers = [
            &body.associated_child_message,
            &body.lottie_sticker_message,
            &body.group_mentioned_message,
            &body.group_status_message,
            &body.group_status_message_v2,
            &body.poll_creation_message_v4,
            &body.limit_sharing_message,
            &body.question_message,
            &body.spoiler_message,
            &body.bot_invoke_message,
            &body.bot_forwarded_message,
        ];
        let within = wrappers
            .into_iter()
            .find_map(|wrapper| wrapper.as_option()?.message.as_option());
        let Some(within) = within else { return body };
        body = within.get_base_message();
    }
}

fn decode_content(message: &wa::Message) -> Option<MessageContent> {
    let view_once = message.is_view_once();
    let body = unwrap_message(message);
    if let Some(text) = body.text_content() {
        let link = body
            .extended_text_message
            .as_option()
            .and_then(|text| text.matched_text.as_ref());
        let preview_url = link.is_some_and(|link| !link.is_empty());
        return Some(MessageContent::Text {
            text: TextContent {
                preview_url,
                ..TextContent::new(text.to_owned())
            },
        });
    }
    if let Some(image) = body.image_message.as_option() {
        return Some(MessageContent::Image {
            image: MediaContent {
                view_once,
                ..media::decode_image(image)
            },
        });
    }
    if let Some(video) = body
        .video_message
        .as_option()
        .or(body.ptv_message.as_option())
    {
        let round = body.ptv_message.is_set();
        return Some(MessageContent::Video {
            video: MediaContent {
                view_once,
                round,
                ..media::decode_video(video)
            },
        });
    }
    if let Some(audio) = body.audio_message.as_option() {
        return Some(MessageContent::Audio {
            audio: MediaContent {
                view_once,
                ..media::decode_audio(audio)
            },
        });
    }
    if let Some(document) = body.document_message.as_option() {
        return Some(MessageContent::Document {
            document: media::decode_document(document),
        });
    }
    if let Some(sticker) = body.sticker_message.as_option() {
        return Some(MessageContent::Sticker {
            sticker: media::decode_sticker(sticker),
        });
    }
    if let Some(interactive) = interactive::decode_interactive(body) {
        return Some(MessageContent::Interactive { interactive });
    }
    if let Some(content) = products::decode_product_or_order(body) {
        return Some(content);
    }
    fileless::decode_fileless(body).or_else(|| {
        is_message(body).then(|| MessageContent::Unsupported {
            raw: raw::message_to_json(body),
        })
    })
}

/// Returns the id of the album that an image or a video is part of.
fn album_id(message: &wa::Message) -> Option<String> {
    let both = [message, unwrap_message(message)].into_iter();
    let around = both.filter_map(|message| message.message_context_info.as_option());
    let part = around
        .filter_map(|around| around.message_association.as_option())
        .next()?;
    let is_album = part.association_type == Some(AssociationType::MEDIA_ALBUM);
    part.parent_message_key
        .as_option()
        .filter(|_| is_album)?
        .id
        .clone()
}

/// Returns whether a person would see it as a message of its own.
fn is_message(body: &wa::Message) -> bool {
    let bookkeeping = body.protocol_message.is_set()
        || body.reaction_message.is_set()
        || body.enc_reaction_message.is_set()
        || body.poll_update_message.is_set()
        || body.pin_in_chat_message.is_set()
        || body.keep_in_chat_message.is_set()
        || body.secret_encrypted_message.is_set()
        || body.enc_event_response_message.is_set();
    // Keys and context accompany messages, and come alone, too.
    let mut rest = body.clone();
    rest.sender_key_distribution_message.take();
    rest.fast_ratchet_key_sender_key_distribution_message.take();
    rest.message_context_info.take();
    // A kind that is present but empty counts, too; it differs from an absent one only on the wire.
    !bookkeeping && !codec::message_to_vec(&rest).is_empty()
}

/// Converts a person's address. Mentions may name others, such as all of a group: `None` for those.
fn parse_person(person: &str) -> Option<Person> {
    let jid: Jid = person.parse().ok()?;
    let is_person = jid.is_pn() || jid.is_lid();
    is_person.then(|| Person {
        id: person.to_owned(),
        ..super::build_person(&jid, None, "")
    })
}

/// Converts the reference to the message that is answered. A plain `conversation` cannot answer
/// one.
fn decode_context(about: &wa::ContextInfo) -> Option<MessageContext> {
    let author = about.participant.as_deref();
    let person = author.and_then(parse_person);
    let author = author.and_then(|author| author.parse::<Jid>().ok());
    let quoted = about.quoted_message.as_option().and_then(decode_content);
    // Clients that do not know the answered text quote an empty one.
    let quoted = quoted
        .filter(|quoted| !matches!(quoted, MessageContent::Text { text } if text.body.is_empty()));
    Some(MessageContext {
        message_id: about.stanza_id.clone()?,
        from: author.map(|author| author.to_non_ad_string()),
        phone: person.as_ref().and_then(|person| person.phone.clone()),
        lid: person.and_then(|person| person.lid),
        chat: about.remote_jid.clone().filter(|chat| !chat.is_empty()),
        quoted: quoted.map(Box::new),
    })
}

/// Returns the context of a message, from the field of its kind.
pub(crate) fn context_info(body: &wa::Message) -> Option<&wa::ContextInfo> {
    macro_rules! first_of {
        ($($field:ident)+) => {
            [$(body.$field.as_option().and_then(|message| message.context_info.as_option())),+]
        };
    }
    let all = first_of! {
        extended_text_message image_message video_message ptv_message audio_message document_message sticker_message
        location_message live_location_message contact_message contacts_array_message poll_creation_message
        poll_creation_message_v2 poll_creation_message_v3 poll_creation_message_v5 event_message group_invite_message
        list_message buttons_message template_message interactive_message list_response_message
        buttons_response_message template_button_reply_message interactive_response_message album_message
        poll_creation_message_v6 product_message order_message request_phone_number_message
        newsletter_admin_invite_message
    };
    all.into_iter().flatten().next()
}
