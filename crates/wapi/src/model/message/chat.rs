//! Chat ids: the addresses that messages are sent to and come from. Pure.

use std::fmt;

use super::number::{self, PhoneNumberError};

/// A person, a group or a newsletter, as callers address it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChatId {
    /// International number, digits only.
    Phone(String),
    /// WhatsApp's identifier that hides the number, digits only.
    Lid(String),
    /// The part before `@g.us`.
    Group(String),
    /// The part before `@newsletter`.
    Newsletter(String),
    /// The chat of statuses, posts that disappear after a day.
    Status,
}

/// The address of [`ChatId::Status`].
pub const STATUS: &str = "status@broadcast";

/// The reason why a text is not a chat id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a chat{}; use an international phone number, …@s.whatsapp.net, …@lid, …@g.us or …@newsletter",
    .why.as_ref().map_or_else(String::new, |why| format!(": {why}"))
)]
pub struct ChatIdError {
    /// The beginning of the text.
    text: String,
    why: Option<PhoneNumberError>,
}

impl ChatId {
    /// Accepts `…@s.whatsapp.net` and its old form `…@c.us`, `…@lid`, `…@g.us`, `…@newsletter`, and
    /// a phone number as people write it: with or without `+` or `00`, in groups, in digits of any
    /// script, or in an address like `tel:` and `https://wa.me/…`. Refuses a text that is not
    /// clearly one number.
    pub fn parse(text: &str) -> Result<Self, ChatIdError> {
        let seen = number::strip_invisible(text);
        let named = match (number::parse_link(&seen), seen.split_once('@')) {
            (Some(number), _) => number
                .map(|number| Self::Phone(number.digits))
                .map_err(Some),
            (None, Some(address)) => Self::from_address(address).ok_or(None),
            (None, None) => number::parse_number(&seen)
                .map(|number| Self::Phone(number.digits))
                .map_err(Some),
        };
        named.map_err(|why| ChatIdError {
            text: seen.chars().take(80).collect(),
            why,
        })
    }

    /// Returns the digits of a phone number in international form: with `+` or `00`, or in an
    /// address like `https://wa.me/…`.
    pub fn international_digits(text: &str) -> Option<String> {
        let seen = number::strip_invisible(text);
        let number = number::parse_link(&seen)
            .unwrap_or_else(|| number::parse_number(&seen))
            .ok()?;
        Some(number.digits).filter(|_| number.is_international)
    }

    fn from_address((user, server): (&str, &str)) -> Option<Self> {
        match server {
            "s.whatsapp.net" | "c.us" => parse_phone(user).map(Self::Phone),
            "lid" => parse_digits(user, 5..=20).map(Self::Lid),
            "g.us" => parse_group(user).map(Self::Group),
            "newsletter" => parse_digits(user, 5..=25).map(Self::Newsletter),
            _ => None,
        }
    }

    /// Returns whether it is a one-to-one chat; only people have more than one address.
    pub const fn is_person(&self) -> bool {
        matches!(self, Self::Phone(_) | Self::Lid(_))
    }

    /// Accepts the same as [`parse_number`](Self::parse), and `status` or its address, for content that
    /// can be posted there.
    pub fn parse_with_status(text: &str) -> Result<Self, ChatIdError> {
        match number::strip_invisible(text).as_str() {
            "status" | STATUS => Ok(Self::Status),
            other => Self::parse(other),
        }
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(user) => write!(f, "{user}@s.whatsapp.net"),
            Self::Lid(user) => write!(f, "{user}@lid"),
            Self::Group(user) => write!(f, "{user}@g.us"),
            Self::Newsletter(user) => write!(f, "{user}@newsletter"),
            Self::Status => f.write_str(STATUS),
        }
    }
}

fn parse_digits(user: &str, length: std::ops::RangeInclusive<usize>) -> Option<String> {
    let fits = length.contains(&user.len()) && user.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| user.to_owned())
}

/// E.164 allows 15 digits, and no country code starts with 0; fewer than 5 digits are no
/// international number.
fn parse_phone(user: &str) -> Option<String> {
    parse_digits(user, 5..=15).filter(|number| !number.starts_with('0'))
}

/// New group ids are a number; old ones are the creator's number and a time, joined by a dash.
fn parse_group(user: &str) -> Option<String> {
    let well_formed = user.split('-').count() <= 2
        && user
            .split('-')
            .all(|part| parse_digits(part, 5..=25).is_some());
    well_formed.then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::model::message::chat::*;

    #[test]
    fn a_chat_is_not_named_by_what_only_resembles_a_number() {
        let error = ChatId::parse("375440000002.0").unwrap_err().to_string();
        assert!(
            error.starts_with("`375440000002.0` is not a chat: it looks like a decimal"),
            "{error}"
        );
        assert!(error.ends_with("…@g.us or …@newsletter"), "{error}");
        let error = ChatId::parse("a@b").unwrap_err().to_string();
        assert!(
            error.starts_with("`a@b` is not a chat; use an international phone number"),
            "{error}"
        );
    }

    #[test]
    fn chats_are_named_in_several_ways() {
        for (text, meant) in [
            ("375447034810@s.whatsapp.net", "375447034810@s.whatsapp.net"),
            ("375447034810@c.us", "375447034810@s.whatsapp.net"),
            ("375447034810", "375447034810@s.whatsapp.net"),
            ("+375 44 703-48-10", "375447034810@s.whatsapp.net"),
            ("+1 (202) 555.0123", "12025550123@s.whatsapp.net"),
            (
                "\u{2068}375447034810@c.us\u{2069}",
                "375447034810@s.whatsapp.net",
            ),
            (
                "https://wa.me/375447034810?text=me@home",
                "375447034810@s.whatsapp.net",
            ),
            ("123456789012345@lid", "123456789012345@lid"),
            ("120363025246125486@g.us", "120363025246125486@g.us"),
            (
                "375447034810-1500000000@g.us",
                "375447034810-1500000000@g.us",
            ),
            (
                "120363025246125486@newsletter",
                "120363025246125486@newsletter",
            ),
        ] {
            assert_eq!(ChatId::parse(text).unwrap().to_string(), meant, "{text}");
        }
    }

    #[test]
    fn a_status_is_named_only_where_it_can_be_meant() {
        for text in ["status", " status@broadcast "] {
            assert_eq!(ChatId::parse_with_status(text), Ok(ChatId::Status));
            assert!(ChatId::parse(text).is_err());
        }
        assert!(ChatId::parse_with_status("375@broadcast").is_err());
        assert_eq!(
            ChatId::parse_with_status("375447034810"),
            ChatId::parse("375447034810")
        );
    }

    #[test]
    fn what_is_no_chat_is_refused() {
        for text in [
            "",
            " ",
            "@s.whatsapp.net",
            "abc@s.whatsapp.net",
            "375447034810:3@s.whatsapp.net",
            "0441234567",
            "1234",
            "1234567890123456",
            "status@broadcast",
            "a-b@g.us",
            "12345-12345-12345@g.us",
            "+",
            "١٢٣٤٥٦",
        ] {
            assert!(
                ChatId::parse(text).is_err(),
                "{text:?} was taken for a chat"
            );
        }
    }
}
