//! Interactive messages: buttons, lists, calls to action, replies, as in Meta's Cloud API. Pure.

use serde::{Deserialize, Serialize};

/// `{"type": "button", "body": {"text": "…"}, "action": {"buttons": […]}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractiveContent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<InteractiveHeader>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<InteractiveText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<InteractiveText>,
    #[serde(flatten)]
    pub element: InteractiveElement,
}

/// The header above the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InteractiveHeader {
    Text { text: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractiveText {
    pub text: String,
}

/// The element to tap, or the reply to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InteractiveElement {
    /// Each button answers with its text.
    Button { action: ButtonAction },
    /// A button that opens a list.
    List { action: ListAction },
    /// A button that opens a page.
    CtaUrl { action: CtaAction<UrlParameters> },
    /// A button that dials.
    CtaCall { action: CtaAction<PhoneParameters> },
    /// A button that copies a code.
    CtaCopy { action: CtaAction<CodeParameters> },
    /// A payment request with the Brazilian Pix.
    Pix { action: CtaAction<PixKey> },
    /// This and the variants below are received only: a button was tapped.
    ButtonReply { button_reply: ReplyChoice },
    /// A row of a list was chosen.
    ListReply { list_reply: ReplyChoice },
    /// Another element was filled in, such as a form.
    NfmReply { nfm_reply: FormReply },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ButtonAction {
    pub buttons: Vec<ReplyButton>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReplyButton {
    Reply { reply: ReplyChoice },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListAction {
    /// The button's label.
    pub button: String,
    pub sections: Vec<ListSection>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSection {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub rows: Vec<ReplyChoice>,
}

/// A choice, offered or made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyChoice {
    /// The sender's own id; returned with the reply.
    pub id: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CtaAction<T> {
    pub parameters: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlParameters {
    /// The button's label.
    pub display_text: String,
    pub url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneParameters {
    pub display_text: String,
    pub phone_number: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeParameters {
    pub display_text: String,
    pub code: String,
}

/// The receiving bank account, as payers address it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixKey {
    pub merchant_name: String,
    pub key: String,
    /// One of [`PixKey::TYPES`].
    pub key_type: String,
    /// The sender's reference for the request.
    pub reference_id: String,
}

impl PixKey {
    /// A tax number of a person or a company, an e-mail address, a phone number, or a random key.
    pub const TYPES: [&str; 5] = ["CPF", "CNPJ", "EMAIL", "PHONE", "EVP"];
}

/// The reply from a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormReply {
    /// Name of the form.
    pub name: Option<String>,
    /// The visible text.
    pub body: Option<String>,
    /// JSON, as the form wrote it.
    pub response_json: Option<String>,
}
