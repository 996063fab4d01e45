//! Text statuses: background colour and font. Pure.

use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::ExtendedTextMessage;
use whatsapp_rust::waproto::whatsapp::message::extended_text_message::FontType;

use crate::model::message::{StatusFont, TextContent};

/// Opaque ARGB colour used if none is chosen, so that the status looks the same everywhere.
const BACKGROUND: u32 = 0xFF1E_6E4F;
const OPAQUE: u32 = 0xFF00_0000;

/// Builds a text on a plain background.
pub(crate) fn build_text_status(text: &TextContent) -> wa::Message {
    let chosen = text
        .background_color
        .as_deref()
        .and_then(|color| u32::from_str_radix(color.strip_prefix('#')?, 16).ok());
    let text_message = ExtendedTextMessage {
        text: Some(text.body.clone()),
        background_argb: Some(chosen.map_or(BACKGROUND, |rgb| rgb | OPAQUE)),
        font: Some(text.font.map_or(FontType::SYSTEM, convert_font)),
        ..Default::default()
    };
    wa::Message {
        extended_text_message: MessageField::some(text_message),
        ..Default::default()
    }
}

const fn convert_font(font: StatusFont) -> FontType {
    match font {
        StatusFont::System => FontType::SYSTEM,
        StatusFont::SystemText => FontType::SYSTEM_TEXT,
        StatusFont::FbScript => FontType::FB_SCRIPT,
        StatusFont::SystemBold => FontType::SYSTEM_BOLD,
        StatusFont::MorningbreezeRegular => FontType::MORNINGBREEZE_REGULAR,
        StatusFont::CalistogaRegular => FontType::CALISTOGA_REGULAR,
        StatusFont::Exo2Extrabold => FontType::EXO2_EXTRABOLD,
        StatusFont::CourierprimeBold => FontType::COURIERPRIME_BOLD,
    }
}
