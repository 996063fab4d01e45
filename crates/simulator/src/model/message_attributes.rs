//! Message labels: attributes of a stanza that describe the encrypted message to the server and to
//! devices that cannot decrypt it.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;

use crate::model::message::unwrap_message;

/// The unencrypted attributes of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageAttributes {
    /// The stanza's `edit`: its effect on an earlier message.
    pub(crate) edit: Option<&'static str>,
    /// The ciphertext's `mediatype`.
    pub(crate) media: Option<&'static str>,
    /// A device that cannot decrypt it shows nothing in its place.
    pub(crate) hides_failure: bool,
    /// The attribute of `<meta>` that tells polls and events from the votes and answers to them.
    pub(crate) meta: Option<(&'static str, &'static str)>,
}

impl MessageAttributes {
    pub(crate) fn from_message(message: &wa::Message) -> Self {
        let message = unwrap_message(message);
        Self {
            edit: edit_attribute(message),
            media: media_type(message),
            hides_failure: hides_failure(message),
            meta: meta_attribute(message),
        }
    }

    pub(crate) fn meta_node(&self) -> Option<Node> {
        self.meta
            .map(|(name, value)| NodeBuilder::new("meta").attr(name, value).build())
    }
}

fn edit_attribute(message: &wa::Message) -> Option<&'static str> {
    const EDIT: &str = "1";
    const PIN: &str = "2";
    const REVOKE: &str = "7";
    const REVOKE_OF_ANOTHER: &str = "8";
    if message.pin_in_chat_message.is_set() {
        return Some(PIN);
    }
    if let Some(keep) = message.keep_in_chat_message.as_option() {
        let is_own = keep
            .key
            .as_option()
            .and_then(|key| key.from_me)
            .unwrap_or(false);
        return (is_own && keep.keep_type? == wa::KeepType::UNDO_KEEP_FOR_ALL).then_some(REVOKE);
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        return (reaction.text.as_deref() == Some("")).then_some(REVOKE);
    }
    if let Some(sealed) = message.secret_encrypted_message.as_option() {
        return (sealed.secret_enc_type? == SecretEncType::MESSAGE_EDIT).then_some(EDIT);
    }
    let protocol = message.protocol_message.as_option()?;
    let is_own = protocol
        .key
        .as_option()
        .and_then(|key| key.from_me)
        .unwrap_or(true);
    match protocol.r#type? {
        Type::MESSAGE_EDIT => Some(EDIT),
        Type::REVOKE => Some(if is_own { REVOKE } else { REVOKE_OF_ANOTHER }),
        _ => None,
    }
}

fn media_type(message: &wa::Message) -> Option<&'static str> {
    if let Some(video) = message.video_message.as_option() {
        return Some(if video.gif_playback == Some(true) {
            "gif"
        } else {
            "video"
        });
    }
    if let Some(audio) = message.audio_message.as_option() {
        return Some(if audio.ptt == Some(true) {
            "ptt"
        } else {
            "audio"
        });
    }
    if let Some(location) = message.location_message.as_option() {
        return Some(if location.is_live == Some(true) {
            "livelocation"
        } else {
            "location"
        });
    }
    if let Some(text) = message.extended_text_message.as_option() {
        let has_preview = text
            .matched_text
            .as_ref()
            .is_some_and(|link| !link.trim().is_empty());
        return has_preview.then_some("url");
    }
    let kinds = [
        (message.image_message.is_set(), "image"),
        (message.ptv_message.is_set(), "ptv"),
        (message.document_message.is_set(), "document"),
        (message.sticker_message.is_set(), "sticker"),
        (message.sticker_pack_message.is_set(), "sticker_pack"),
        (message.live_location_message.is_set(), "livelocation"),
        (message.contact_message.is_set(), "vcard"),
        (message.contacts_array_message.is_set(), "contact_array"),
        (message.group_invite_message.is_set(), "url"),
        (message.list_message.is_set(), "list"),
        (message.list_response_message.is_set(), "list_response"),
        (
            message.buttons_response_message.is_set(),
            "buttons_response",
        ),
        (message.order_message.is_set(), "order"),
        (message.product_message.is_set(), "product"),
        (
            message.interactive_response_message.is_set(),
            "native_flow_response",
        ),
    ];
    kinds
        .into_iter()
        .find_map(|(is_it, kind)| is_it.then_some(kind))
}

fn hides_failure(message: &wa::Message) -> bool {
    message.reaction_message.is_set()
        || message.enc_reaction_message.is_set()
        || message.pin_in_chat_message.is_set()
        || message.keep_in_chat_message.is_set()
        || message.poll_update_message.is_set()
        || message.enc_event_response_message.is_set()
        || message.secret_encrypted_message.is_set()
        || message
            .protocol_message
            .as_option()
            .is_some_and(|it| it.r#type == Some(Type::MESSAGE_EDIT))
}

fn meta_attribute(message: &wa::Message) -> Option<(&'static str, &'static str)> {
    let is_poll = message.poll_creation_message.is_set()
        || message.poll_creation_message_v2.is_set()
        || message.poll_creation_message_v3.is_set()
        || message.poll_creation_message_v5.is_set();
    let kinds = [
        (is_poll, ("polltype", "creation")),
        (message.poll_update_message.is_set(), ("polltype", "vote")),
        (message.event_message.is_set(), ("event_type", "creation")),
        (
            message.enc_event_response_message.is_set(),
            ("event_type", "response"),
        ),
    ];
    kinds
        .into_iter()
        .find_map(|(is_it, what)| is_it.then_some(what))
}

#[cfg(test)]
mod tests {
    use waproto::buffa::MessageField;
    use waproto::whatsapp::message::{
        AudioMessage, FutureProofMessage, ProtocolMessage, VideoMessage,
    };

    use crate::model::message_attributes::*;

    #[test]
    fn what_is_wrapped_is_labelled_by_what_is_inside() {
        let note = AudioMessage {
            ptt: Some(true),
            ..Default::default()
        };
        let note = wa::Message {
            audio_message: MessageField::some(note),
            ..Default::default()
        };
        let once = FutureProofMessage {
            message: MessageField::some(note.clone()),
        };
        let once = wa::Message {
            view_once_message_v2_extension: MessageField::some(once),
            ..Default::default()
        };
        assert_eq!(
            (
                MessageAttributes::from_message(&note).media,
                MessageAttributes::from_message(&once)
            ),
            (Some("ptt"), MessageAttributes::from_message(&note))
        );
        let edit = ProtocolMessage {
            r#type: Some(Type::MESSAGE_EDIT),
            ..Default::default()
        };
        let edit = wa::Message {
            protocol_message: MessageField::some(edit),
            ..Default::default()
        };
        let kept = FutureProofMessage {
            message: MessageField::some(edit),
        };
        let kept = wa::Message {
            edited_message: MessageField::some(kept),
            ..Default::default()
        };
        let expected = MessageAttributes {
            edit: Some("1"),
            hides_failure: true,
            ..MessageAttributes::default()
        };
        assert_eq!(MessageAttributes::from_message(&kept), expected);
        let video = VideoMessage {
            gif_playback: Some(true),
            ..Default::default()
        };
        let video = wa::Message {
            video_message: MessageField::some(video),
            ..Default::default()
        };
        assert_eq!(MessageAttributes::from_message(&video).media, Some("gif"));
        let text = wa::Message {
            conversation: Some("hi".to_owned()),
            ..Default::default()
        };
        assert_eq!(
            MessageAttributes::from_message(&text),
            MessageAttributes::default()
        );
    }
}
