//! Mentions in a message and in its text. Pure.

use super::{ChatId, Message, MessageContent};

impl Message {
    /// Replaces a mentioned number with another one, also after `@` in the text.
    pub fn replace_mention(&mut self, requested: &str, known: &str) {
        let [requested, known] =
            [requested, known].map(|number| ChatId::Phone(number.to_owned()).to_string());
        self.mentions
            .iter_mut()
            .filter(|address| **address == requested)
            .for_each(|address| address.clone_from(&known));
        let user = |address: &str| {
            address
                .split('@')
                .next()
                .map(|user| format!("@{user}"))
                .unwrap_or_default()
        };
        let (requested, known) = (user(&requested), user(&known));
        let text = match &mut self.content {
            MessageContent::Text { text } => Some(&mut text.body),
            MessageContent::Edit { edit } => edit
                .text
                .as_mut()
                .map(|text| &mut text.body)
                .or(edit.caption.as_mut()),
            content => content
                .captioned_media_mut()
                .and_then(|media| media.caption.as_mut()),
        };
        if let Some(text) = text {
            let mut renamed = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some(at) = rest.find(&requested) {
                let behind = &rest[at + requested.len()..];
                let is_whole = !behind.starts_with(|sign: char| sign.is_ascii_digit());
                renamed += &rest[..at];
                renamed += if is_whole { &known } else { &requested };
                rest = behind;
            }
            *text = renamed + rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::message::MediaContent;
    use crate::model::message::mentions::*;

    #[test]
    fn whoever_is_mentioned_by_another_number_is_so_in_the_words_too() {
        let mentions = vec![
            "5511961234567@s.whatsapp.net".to_owned(),
            "375447034810@s.whatsapp.net".to_owned(),
        ];
        let texts = [
            "Hi @5511961234567, @55119612345678 and @375447034810@5511961234567",
            "@5511961234567",
            "5511961234567",
            "",
        ];
        let renamed = [
            "Hi @551161234567, @55119612345678 and @375447034810@551161234567",
            "@551161234567",
            "5511961234567",
            "",
        ];
        for (text, renamed) in texts.into_iter().zip(renamed) {
            let mut message = Message {
                mentions: mentions.clone(),
                ..Message::from_text(text.to_owned())
            };
            message.replace_mention("5511961234567", "551161234567");
            assert_eq!(
                message.mentions,
                ["551161234567@s.whatsapp.net", "375447034810@s.whatsapp.net"]
            );
            assert_eq!(
                message.content,
                Message::from_text(renamed.to_owned()).content
            );
            let image = MediaContent {
                caption: Some(text.to_owned()),
                ..MediaContent::default()
            };
            let mut message = Message {
                mentions: mentions.clone(),
                ..Message::new(MessageContent::Image { image })
            };
            message.replace_mention("5511961234567", "551161234567");
            assert_eq!(
                message.content.media_file().unwrap().1.caption.as_deref(),
                Some(renamed)
            );
        }
    }
}
