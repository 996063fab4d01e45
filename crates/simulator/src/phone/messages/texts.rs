//! Texts that mention, quote, are passed on or disappear.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::{ExtendedTextMessage, ImageMessage};

use crate::phone::Phone;

/// A text with everything around it.
#[derive(Clone, Debug, Default)]
pub struct RichText {
    pub body: String,
    /// The addresses of those it mentions.
    pub mentions: Vec<String>,
    pub quotes: Option<QuotedMessage>,
    pub is_forwarded: bool,
    /// Seconds after which it disappears.
    pub expires_after: Option<u32>,
}

/// A message that another one answers.
#[derive(Clone, Debug)]
pub struct QuotedMessage {
    pub id: String,
    /// The address of its author.
    pub author: String,
    /// The caption, where it is a picture (a PNG); otherwise the quotation has no content.
    pub picture_caption: Option<String>,
}

impl Phone {
    /// Sends a text with everything around it; returns the message's id.
    pub fn sends_rich_text(&self, to: &str, text: RichText) -> anyhow::Result<String> {
        let mut around = wa::ContextInfo {
            mentioned_jid: text.mentions,
            is_forwarded: text.is_forwarded.then_some(true),
            expiration: text.expires_after,
            ..Default::default()
        };
        if let Some(quoted) = text.quotes {
            around.stanza_id = Some(quoted.id);
            around.participant = Some(quoted.author);
            around.quoted_message = quoted.picture_caption.map(quoted_picture).into();
        }
        let text = ExtendedTextMessage {
            text: Some(text.body),
            context_info: MessageField::some(around),
            ..Default::default()
        };
        let message = wa::Message {
            extended_text_message: MessageField::some(text),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }
}

fn quoted_picture(caption: String) -> wa::Message {
    wa::Message {
        image_message: MessageField::some(ImageMessage {
            caption: Some(caption),
            mimetype: Some("image/png".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    }
}
