//! Received statuses, WhatsApp's 24-hour posts. Pure.

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::extended_text_message::FontType;

use super::content::{self, unwrap_message};
use crate::model::message::{Message, MessageContent, StatusFont};

/// Converts a status like any message, and adds the font and background of a text.
pub(crate) fn decode_status(message: &wa::Message) -> Option<Message> {
    let mut decoded = content::decode_body(message)?;
    if let (MessageContent::Text { text }, Some(extended)) = (
        &mut decoded.content,
        unwrap_message(message).extended_text_message.as_option(),
    ) {
        text.background_color = extended
            .background_argb
            .map(|argb| format!("#{:06X}", argb & 0x00FF_FFFF));
        text.font = extended.font.map(decode_font);
    }
    Some(decoded)
}

const fn decode_font(font: FontType) -> StatusFont {
    match font {
        FontType::SYSTEM => StatusFont::System,
        FontType::SYSTEM_TEXT => StatusFont::SystemText,
        FontType::FB_SCRIPT => StatusFont::FbScript,
        FontType::SYSTEM_BOLD => StatusFont::SystemBold,
        FontType::MORNINGBREEZE_REGULAR => StatusFont::MorningbreezeRegular,
        FontType::CALISTOGA_REGULAR => StatusFont::CalistogaRegular,
        FontType::EXO2_EXTRABOLD => StatusFont::Exo2Extrabold,
        FontType::COURIERPRIME_BOLD => StatusFont::CourierprimeBold,
    }
}
