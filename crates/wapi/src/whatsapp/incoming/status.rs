//! Received statuses, WhatsApp's 24-hour posts. Pure.

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::extended_text_message::FontType;

use super::content::{self, inner};
use crate::message::{Content, Font, Message};

/// Converts a status like any message, and adds the font and background of a text.
pub(super) fn message(message: &wa::Message) -> Option<Message> {
    let mut told = content::message(message)?;
    if let (Content::Text { text }, Some(shown)) = (
        &mut told.content,
        inner(message).extended_text_message.as_option(),
    ) {
        text.background_color = shown
            .background_argb
            .map(|argb| format!("#{:06X}", argb & 0x00FF_FFFF));
        text.font = shown.font.map(font);
    }
    Some(told)
}

const fn font(font: FontType) -> Font {
    match font {
        FontType::SYSTEM => Font::System,
        FontType::SYSTEM_TEXT => Font::SystemText,
        FontType::FB_SCRIPT => Font::FbScript,
        FontType::SYSTEM_BOLD => Font::SystemBold,
        FontType::MORNINGBREEZE_REGULAR => Font::MorningbreezeRegular,
        FontType::CALISTOGA_REGULAR => Font::CalistogaRegular,
        FontType::EXO2_EXTRABOLD => Font::Exo2Extrabold,
        FontType::COURIERPRIME_BOLD => Font::CourierprimeBold,
    }
}
