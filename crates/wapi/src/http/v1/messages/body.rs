//! The message object of a request, parsed field by field.

use jiff::{SignedDuration, Timestamp};

use super::content::KINDS;
use super::{content, newsletter, status};
use crate::http::error::{FieldError, Problem};
use crate::http::request::extract::JsonFields;
use crate::media::link_download;
use crate::media::{self, types};
use crate::model::message::{
    ChatId, MediaContent, MediaKind, Message, MessageContent, MessageContext,
};
use crate::store::{Life, MediaRecord, MediaState};

/// A month, in seconds.
const MAX_LIFETIME: u64 = 31 * 24 * 3600;
const FURTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Tolerance for clock differences; a time further back is a mistake.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// The kinds that cannot be sent, with the reason.
const UNSENDABLE_KINDS: [(&str, &str); 2] = [
    ("template", "cannot be sent yet"),
    (
        "order",
        "can only be received: a customer composes it on a phone, from the catalogue",
    ),
];
/// Mentions everybody in a group.
pub(in crate::http) const EVERYONE: &str = "everyone";
/// WhatsApp's own limit.
const MOST_MENTIONS: usize = 1_024;

/// The earliest time at which a message leaves, and the latest.
pub type SendWindow = (Option<Timestamp>, Option<Timestamp>);

/// A message as the caller wants it sent.
pub struct MessageRequest {
    pub to: ChatId,
    /// The recipient as the caller wrote it.
    pub input: String,
    pub message: Message,
    /// The images and videos of an album, which follow the message.
    pub album_items: Vec<Message>,
    pub send_at: Option<Timestamp>,
    pub expires_in: Option<SignedDuration>,
}

impl MessageRequest {
    pub fn read(mut fields: JsonFields) -> Result<Self, Problem> {
        let mut input = String::new();
        let to = fields.parse_required("to", |text| {
            input = text.to_owned();
            ChatId::parse_with_status(text)
        });
        let kind = read_kind(&mut fields);
        let (content, items) = kind
            .and_then(|kind| content::read_content(&mut fields, kind))
            .unzip();
        status::check_status_post(&mut fields, to.as_ref(), kind, content.as_ref());
        newsletter::check_newsletter_post(&mut fields, to.as_ref(), kind, content.as_ref());
        let context = read_context(&mut fields);
        if context.is_some()
            && content
                .as_ref()
                .is_some_and(|content| !content.is_standalone())
        {
            fields.refuse_field(
                "context",
                "does not belong to a message that already names the message it refers to",
            );
        }
        let mentions_everyone = fields.is_text("mentions", EVERYONE);
        let mentions = match mentions_everyone {
            true => Vec::new(),
            false => read_mentions(&mut fields),
        };
        let is_elsewhere = to
            .as_ref()
            .is_some_and(|to| !matches!(to, ChatId::Group(_)));
        if mentions_everyone && is_elsewhere {
            fields.refuse_field("mentions", "can be `everyone` in a group only");
        }
        let audience = status::read_audience(&mut fields, to.as_ref(), kind);
        let send_at = fields.parse_optional("send_at", |text| {
            text.parse::<Timestamp>()
                .map_err(|_| "is not a time; write it like 2026-12-01T09:00:00Z")
        });
        let expires_in = fields.optional_number("expires_in", 1..=MAX_LIFETIME);
        let expires_in = expires_in
            .and_then(|seconds| i64::try_from(seconds).ok())
            .map(SignedDuration::from_secs);
        refuse_other_kinds(&mut fields, kind);
        let message = content.map(|content| Message {
            context,
            mentions,
            mentions_everyone,
            audience,
            ..Message::new(content)
        });
        let (to, message) = fields.finish(to.zip(message))?;
        Ok(Self {
            to,
            input,
            message,
            album_items: items.unwrap_or_default(),
            send_at,
            expires_in,
        })
    }

    /// Checks that the message's files are available, belong to the session, and can be sent as
    /// this kind.
    pub async fn check_files(&self, media: &media::Media, life: &Life) -> Result<(), Problem> {
        check_file(&self.message, "", media, life).await?;
        for (index, item) in self.album_items.iter().enumerate() {
            check_file(item, &format!("album[{index}]."), media, life).await?;
        }
        Ok(())
    }

    /// A message about an earlier message of a chat.
    pub fn from_message(to: ChatId, message: Message) -> Self {
        Self {
            input: to.to_string(),
            to,
            message,
            album_items: Vec::new(),
            send_at: None,
            expires_in: None,
        }
    }

    /// Returns the message's times relative to now. The lifetime of a scheduled message starts when
    /// it is due.
    pub fn send_window(&self, now: Timestamp) -> Result<SendWindow, Problem> {
        let send_at = match self.send_at {
            Some(time) if time.duration_since(now) > FURTHEST_AHEAD => {
                return Err(Problem::invalid_field(
                    "send_at",
                    "is more than a year ahead",
                ));
            }
            Some(time) if now.duration_since(time) > CLOCK_TOLERANCE => {
                return Err(Problem::invalid_field("send_at", "is in the past"));
            }
            other => other.filter(|time| *time > now),
        };
        let expires_at = self
            .expires_in
            .and_then(|life| send_at.unwrap_or(now).checked_add(life).ok());
        Ok((send_at, expires_at))
    }
}

/// Checks the file of one message; `within` is the message's position in the request.
async fn check_file(
    message: &Message,
    within: &str,
    media: &media::Media,
    life: &Life,
) -> Result<(), Problem> {
    let Some((
        kind,
        MediaContent {
            id: Some(id),
            sha256,
            ..
        },
    )) = message.content.media_file()
    else {
        return Ok(());
    };
    let place = match &message.content {
        MessageContent::Product { .. } => "product.image",
        content => content.kind(),
    };
    let about = |name: &str, detail: String| {
        let field = format!("{within}{place}.{name}").into();
        Problem::InvalidFields(vec![FieldError { field, detail }])
    };
    let wrong = |detail: String| about("id", detail);
    let found = media
        .find_media(id)
        .await
        .map_err(|error| Problem::NotReady {
            detail: error.to_string(),
        })?;
    match found.filter(|record| record.session == *life) {
        None => Err(wrong(
            "does not name a file of this session; upload it with POST /v1/sessions/…/media"
                .to_owned(),
        )),
        Some(record) if !is_available(&record) => Err(wrong(format!(
            "names a file that is not here: it is {}",
            record.state.into_str()
        ))),
        Some(record) => {
            let mime_type = record.facts.mime_type.as_deref().unwrap_or_default();
            let has_other =
                |found: &&String| sha256.as_ref().is_some_and(|sha256| sha256 != *found);
            if let Some(found) = record.facts.sha256.as_ref().filter(has_other) {
                return Err(about(
                    "sha256",
                    format!("does not match the file, whose hash is {found}"),
                ));
            }
            let came_so = record.kind.as_deref() == Some(message.content.kind());
            // A file that phones accepted once is accepted again.
            if !came_so {
                types::check_type(kind, mime_type).map_err(|error| wrong(error.to_string()))?;
                let limit = link_download::size_limit(kind, media.policy().largest);
                if record.facts.size.is_some_and(|size| size > limit) {
                    return Err(wrong(format!(
                        "is larger than {} MiB; it can be sent as a document",
                        limit / 1024 / 1024
                    )));
                }
            }
            let conversion = match kind {
                MediaKind::Voice if mime_type != types::OPUS => {
                    Some(media::ConversionPurpose::VoiceNote)
                }
                MediaKind::Sticker if types::video_demuxer(mime_type).is_some() => {
                    Some(media::ConversionPurpose::Sticker)
                }
                MediaKind::Image | MediaKind::Sticker if types::is_heif(mime_type) => {
                    Some(media::ConversionPurpose::Jpeg)
                }
                MediaKind::Image if mime_type == types::APNG => Some(media::ConversionPurpose::Gif),
                MediaKind::Video if types::needs_mp4(mime_type) => {
                    Some(media::ConversionPurpose::Video)
                }
                MediaKind::Video if types::can_be_animated(mime_type) => {
                    Some(media::ConversionPurpose::Gif)
                }
                _ => None,
            };
            match conversion {
                Some(purpose) if media.can_convert(purpose) => Ok(()),
                Some(media::ConversionPurpose::Jpeg) => Err(wrong(
                    media::ConversionError::NoHeifConverter(mime_type.to_owned()).to_string(),
                )),
                Some(purpose) => Err(wrong(media::ConversionError::NoFfmpeg(purpose).to_string())),
                None => Ok(()),
            }
        }
    }
}

/// Whether a file is stored here or, as far as is known, still on WhatsApp's servers.
fn is_available(record: &MediaRecord) -> bool {
    match record.state {
        MediaState::Stored => true,
        MediaState::Remote | MediaState::Waiting => record.source.is_some(),
        MediaState::Failed | MediaState::Removed => false,
    }
}

/// Reads the kind of the message: its `type`, or the only object present.
fn read_kind(fields: &mut JsonFields) -> Option<&'static str> {
    let there: Vec<_> = KINDS
        .into_iter()
        .filter(|kind| fields.has_value(kind))
        .collect();
    match fields.optional_text("type") {
        Some(name) => match KINDS.into_iter().find(|kind| **kind == *name) {
            Some(kind) => Some(kind),
            None => {
                let known = UNSENDABLE_KINDS.into_iter().find(|(kind, _)| *kind == name);
                let why = known.map_or("is not a kind of message", |(_, why)| why);
                fields.refuse_field(
                    "type",
                    format!("`{}` {why}; use {}", name.escape_debug(), KINDS.join(", ")),
                );
                None
            }
        },
        None => match there[..] {
            [only] => Some(only),
            [] if UNSENDABLE_KINDS
                .into_iter()
                .any(|(kind, _)| fields.has_value(kind)) =>
            {
                None
            }
            _ => {
                fields.refuse_field(
                    "type",
                    format!("is missing; it must be one of {}", KINDS.join(", ")),
                );
                None
            }
        },
    }
}

fn read_context(fields: &mut JsonFields) -> Option<MessageContext> {
    let mut inner = fields.nested_fields("context")?;
    let message_id = inner.required_text("message_id");
    fields.absorb_errors("context", inner);
    Some(MessageContext {
        message_id: message_id?,
        from: None,
        phone: None,
        lid: None,
        chat: None,
        quoted: None,
    })
}

/// Reads the addresses of mentioned people; the text contains `@` and their number.
fn read_mentions(fields: &mut JsonFields) -> Vec<String> {
    let texts = fields.optional_texts("mentions").unwrap_or_default();
    if texts.len() > MOST_MENTIONS {
        fields.refuse_field("mentions", format!("are more than {MOST_MENTIONS}"));
    }
    let mut mentions = Vec::with_capacity(texts.len());
    for text in texts {
        match ChatId::parse(&text) {
            Ok(person) if person.is_person() => mentions.push(person.to_string()),
            Ok(_) => fields.refuse_field("mentions", "name people, not groups"),
            Err(error) => fields.refuse_field("mentions", error.to_string()),
        }
    }
    mentions
}

/// Refuses the objects of other kinds, kinds that cannot be sent, and unknown fields.
fn refuse_other_kinds(fields: &mut JsonFields, meant: Option<&str>) {
    for kind in KINDS {
        match meant {
            Some(meant) if fields.has_value(kind) => fields.refuse_field(
                kind,
                format!("does not belong to a message of type {meant}"),
            ),
            Some(_) => {}
            // The missing kind is reported already.
            None => fields.ignore_field(kind),
        }
    }
    for (kind, why) in UNSENDABLE_KINDS {
        if fields.has_value(kind) {
            fields.refuse_field(kind, why);
        }
    }
    fields.refuse_unknown();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use crate::http::v1::messages::body::*;

    /// Texts and numbers that are valid in some fields, and some that never are.
    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-200.0..200.0f64).prop_map(Value::from),
            (0..20u32).prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            prop::sample::select(vec![
                "375447034810",
                "3EB0",
                "🐙",
                "2026-12-01T09:00:00Z",
                "https://a/",
                "text"
            ])
            .prop_map(Value::from),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let field = prop::sample::select(vec![
            "body",
            "link",
            "caption",
            "latitude",
            "longitude",
            "name",
            "phones",
            "phone",
            "vcard",
            "question",
            "options",
            "max_selections",
            "quiz",
            "answer",
            "start",
            "end",
            "place",
            "message_id",
            "emoji",
            "group",
            "code",
            "expires_at",
            "type",
            "body",
            "action",
            "buttons",
            "image",
            "title",
            "price",
            "amount",
            "currency",
            "unknown",
        ]);
        leaf().prop_recursive(3, 24, 4, move |inner| {
            let object = prop::collection::btree_map(
                field.clone().prop_map(str::to_owned),
                inner.clone(),
                0..5,
            );
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                object.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Any object is a message, or is refused with names of fields that are present or missing.
        #[test]
        fn every_object_is_a_message_or_is_refused_by_its_fields(
            kind in prop::sample::select(KINDS.to_vec()),
            value in value(),
            beside in prop::collection::btree_map("context|mentions|send_at|expires_in|type|to|odd", value(), 0..2),
        ) {
            let both = [("to".to_owned(), json!("375447034810")), (kind.to_owned(), value)];
            let mut fields = Map::from_iter(both);
            fields.extend(beside);
            let whole = Value::Object(fields);
            match MessageRequest::read(JsonFields::from_value(whole.clone()).unwrap()) {
                Ok(request) => prop_assert_eq!(request.message.content.kind(), kind),
                Err(Problem::InvalidFields(errors)) => {
                    prop_assert!(!errors.is_empty());
                    for error in errors {
                        let top = error.field.split(['.', '[']).next().unwrap();
                        // The field named by `type` may be the missing one.
                        let is_promised = whole.get("type").is_some_and(|kind| kind == top);
                        let is_there = is_promised || whole.get(top).is_some() || ["to", "type"].contains(&top);
                        prop_assert!(is_there, "{} of {}", error.field, whole);
                    }
                }
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
