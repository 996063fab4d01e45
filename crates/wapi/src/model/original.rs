//! Documents of the original wapi of 2020, which are those of its library, go-whatsapp 0.1. Pure.
//!
//! Its users have them in their code, so they stand beside ours in the same objects: on the
//! original's webhook, and in the answers of its six routes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::event::{Account, Event, EventData, ReceivedMessage};
use crate::model::message::{Message, MessageContent, MessageContext};

/// A text message.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OriginalText {
    info: OriginalMessageInfo,
    /// The text, or the caption of a file; empty for everything else.
    text: String,
    context_info: OriginalContext,
}

/// An image that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OriginalImage {
    info: OriginalMessageInfo,
    caption: String,
    /// Always `null`, as in the original.
    thumbnail: (),
    /// Media type.
    r#type: String,
    /// What JSON made of the original's reader: an object without content.
    #[schemars(with = "serde_json::Map<String, Value>")]
    content: Value,
    context_info: OriginalContext,
}

/// The origin of a message.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct OriginalMessageInfo {
    id: String,
    /// Address of the chat.
    remote_jid: String,
    /// Address of the author of a message in a group; empty for one from a person. For a sent
    /// message, the account: `…@c.us`.
    sender_jid: String,
    from_me: bool,
    /// Unix seconds.
    timestamp: i64,
    /// The name that the author chose; empty if unknown.
    push_name: String,
    /// 2: accepted by WhatsApp; 3: delivered.
    status: u8,
    /// The message as it was in the old protocol, as far as it has an equivalent; `null` for a sent
    /// message.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    source: Value,
}

/// The quoted message; empty if none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct OriginalContext {
    #[serde(rename = "QuotedMessageID")]
    quoted_message_id: String,
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    quoted_message: Value,
    /// Address of its author.
    participant: String,
    /// The message was forwarded from another chat.
    is_forwarded: bool,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OriginalSession {
    #[serde(rename = "SessionID")]
    session_id: String,
    /// `null` while no account is linked.
    #[serde(rename = "WhatsAppSession")]
    whatsapp_session: Option<OriginalKeys>,
}

/// The account of a session. The secrets of the old protocol are `null`: there are none.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct OriginalKeys {
    client_id: (),
    client_token: (),
    server_token: (),
    enc_key: (),
    mac_key: (),
    /// Address of the account, `…@c.us`.
    wid: String,
}

/// A live connection and its session.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct OriginalConnection {
    connection_info: OriginalPhone,
    session_info: OriginalSession,
}

/// The phone behind a connection. WhatsApp no longer tells what is not named here: it is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct OriginalPhone {
    battery: u8,
    platform: String,
    /// Always true: a connection that is not alive answers 404.
    connected: bool,
    /// The account's own name.
    pushname: String,
    /// Address of the account, `…@c.us`.
    wid: String,
    lc: String,
    phone: OriginalPhoneModel,
    plugged: bool,
    tos: u8,
    lg: String,
    is24h: bool,
}

/// The make of a phone, which WhatsApp no longer tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct OriginalPhoneModel {
    mcc: String,
    mnc: String,
    os_version: String,
    device_manufacturer: String,
    device_model: String,
    os_build_number: String,
    wa_version: String,
}

/// A message that was sent by one of the original routes.
#[derive(Debug, Clone, Copy)]
pub struct SentOriginal<'a> {
    pub id: &'a str,
    pub chat: &'a str,
    pub account: Option<&'a Account>,
    pub at: Timestamp,
}

impl SentOriginal<'_> {
    /// Returns the answer about a text.
    pub fn text(self, body: &str) -> OriginalText {
        OriginalText {
            info: self.info(),
            text: body.to_owned(),
            context_info: OriginalContext::default(),
        }
    }

    /// Returns the answer about an image.
    pub fn image(self, caption: Option<&str>, mime_type: &str) -> OriginalImage {
        OriginalImage {
            info: self.info(),
            caption: caption.unwrap_or_default().to_owned(),
            thumbnail: (),
            r#type: mime_type.to_owned(),
            content: json!({"Reader": {}}),
            context_info: OriginalContext::default(),
        }
    }

    fn info(self) -> OriginalMessageInfo {
        OriginalMessageInfo {
            id: self.id.to_owned(),
            remote_jid: self.chat.to_owned(),
            sender_jid: self.account.map(account_wid).unwrap_or_default(),
            from_me: true,
            timestamp: self.at.as_second(),
            push_name: String::new(),
            status: 2,
            source: Value::Null,
        }
    }
}

impl OriginalSession {
    pub fn new(session: &str, account: Option<&Account>) -> Self {
        Self {
            session_id: session.to_owned(),
            whatsapp_session: account.map(|account| OriginalKeys {
                client_id: (),
                client_token: (),
                server_token: (),
                enc_key: (),
                mac_key: (),
                wid: account_wid(account),
            }),
        }
    }
}

impl OriginalConnection {
    pub fn new(session: &str, account: Option<&Account>) -> Self {
        let name = account.and_then(|account| account.name.clone());
        Self {
            connection_info: OriginalPhone {
                connected: true,
                pushname: name.unwrap_or_default(),
                wid: account.map(account_wid).unwrap_or_default(),
                ..OriginalPhone::default()
            },
            session_info: OriginalSession::new(session, account),
        }
    }
}

/// Returns the body of a post to the original's webhook: an event as it is, and for a message that
/// was received, the original's members before it. The same event makes the same body.
pub fn original_body(event: &str) -> String {
    let Some(members) = received_text(event) else {
        return event.to_owned();
    };
    // Both are objects with members.
    let members = serde_json::to_string(&members).unwrap_or_default();
    match (members.strip_suffix('}'), event.strip_prefix('{')) {
        (Some(members), Some(event)) => format!("{members},{event}"),
        _ => event.to_owned(),
    }
}

fn received_text(event: &str) -> Option<OriginalText> {
    let event: Event = serde_json::from_str(event).ok()?;
    match event.data {
        EventData::MessageReceived(message) => Some(OriginalText::received(&message)),
        _ => None,
    }
}

impl OriginalText {
    fn received(received: &ReceivedMessage) -> Self {
        let (origin, message) = (&received.origin, &received.message);
        let is_group = origin.chat.ends_with("@g.us");
        let author = Some(&origin.from.id).filter(|_| is_group).cloned();
        let context_info = OriginalContext::of_message(message);
        let timestamp = origin.timestamp.as_second();
        let push_name = origin.from.all_names().push.unwrap_or_default();
        let mut key = json!({"remoteJid": origin.chat, "fromMe": origin.from_me, "id": origin.id});
        if let Some(author) = &author {
            key["participant"] = json!(author);
        }
        let source = json!({
            "key": key,
            "message": old_content(&message.content, &context_info),
            "messageTimestamp": timestamp,
            "pushName": push_name,
        });
        Self {
            info: OriginalMessageInfo {
                id: origin.id.clone(),
                remote_jid: origin.chat.clone(),
                sender_jid: author.unwrap_or_default(),
                from_me: origin.from_me,
                timestamp,
                push_name,
                status: 3,
                source,
            },
            text: shown_text(&message.content).unwrap_or_default().to_owned(),
            context_info,
        }
    }
}

impl OriginalContext {
    fn of_message(message: &Message) -> Self {
        let is_forwarded = message.forwarded;
        let Some(MessageContext {
            message_id,
            from,
            quoted,
            ..
        }) = &message.context
        else {
            return Self {
                is_forwarded,
                ..Self::default()
            };
        };
        Self {
            quoted_message_id: message_id.clone(),
            quoted_message: quoted
                .as_ref()
                .map_or(Value::Null, |quoted| old_content(quoted, &Self::default())),
            participant: from.clone().unwrap_or_default(),
            is_forwarded,
        }
    }
}

/// Returns the text of a message, or the caption of its file.
fn shown_text(content: &MessageContent) -> Option<&str> {
    match content {
        MessageContent::Text { text } => Some(&text.body),
        MessageContent::Image { image: file }
        | MessageContent::Video { video: file }
        | MessageContent::Audio { audio: file }
        | MessageContent::Document { document: file }
        | MessageContent::Sticker { sticker: file } => file.caption.as_deref(),
        _ => None,
    }
}

/// Returns a content in the old protocol's words: texts, and files without what only the library
/// needed. Everything else is an empty object.
fn old_content(content: &MessageContent, context: &OriginalContext) -> Value {
    let (name, file) = match content {
        MessageContent::Text { text } if *context == OriginalContext::default() => {
            return json!({"conversation": text.body});
        }
        MessageContent::Text { text } => {
            let mut about = json!({});
            if !context.quoted_message_id.is_empty() {
                about = json!({
                    "stanzaId": context.quoted_message_id,
                    "participant": context.participant,
                    "quotedMessage": context.quoted_message,
                });
            }
            if context.is_forwarded {
                about["isForwarded"] = json!(true);
            }
            return json!({"extendedTextMessage": {"text": text.body, "contextInfo": about}});
        }
        MessageContent::Image { image } => ("imageMessage", image),
        MessageContent::Video { video } => ("videoMessage", video),
        MessageContent::Audio { audio } => ("audioMessage", audio),
        MessageContent::Document { document } => ("documentMessage", document),
        MessageContent::Sticker { sticker } => ("stickerMessage", sticker),
        _ => return json!({}),
    };
    let mut old = json!({});
    if let Some(mime_type) = &file.mime_type {
        old["mimetype"] = json!(mime_type);
    }
    if let Some(caption) = &file.caption {
        old["caption"] = json!(caption);
    }
    json!({name: old})
}

/// Returns the account's address as the original wrote it.
fn account_wid(account: &Account) -> String {
    format!("{}@c.us", account.phone)
}
