//! Our messages as the engine's. Pure.

use whatsapp_rust::Jid;
use whatsapp_rust::media::{ImageOptions, image_message};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::message::{ChatId, ImageType};

pub(super) fn jid(chat: &ChatId) -> Jid {
    match chat {
        ChatId::Phone(user) => Jid::pn(user),
        ChatId::Lid(user) => Jid::lid(user),
        ChatId::Group(user) => Jid::group(user),
    }
}

pub(super) fn text(body: String) -> wa::Message {
    wa::Message { conversation: Some(body), ..Default::default() }
}

pub(super) fn image(uploaded: UploadResponse, kind: ImageType, caption: Option<String>) -> wa::Message {
    image_message(uploaded, ImageOptions { caption, mimetype: Some(kind.name().to_owned()), ..Default::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_keep_their_address() {
        for text in ["375447034810@s.whatsapp.net", "123456789012345@lid", "120363025246125486@g.us"] {
            assert_eq!(jid(&ChatId::parse(text).unwrap()).to_string(), text);
        }
    }
}
