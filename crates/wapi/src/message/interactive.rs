//! Interactive messages: buttons, lists, calls to action, replies, as in Meta's Cloud API. Pure.

use serde::{Deserialize, Serialize};

/// `{"type": "button", "body": {"text": "…"}, "action": {"buttons": […]}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interactive {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Words>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<Words>,
    #[serde(flatten)]
    pub element: Element,
}

/// The header above the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Header {
    Text { text: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub text: String,
}

/// The element to tap, or the reply to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Element {
    /// Each button answers with its text.
    Button { action: Buttons },
    /// A button that opens a list.
    List { action: Menu },
    /// A button that opens a page.
    CtaUrl { action: Call<Link> },
    /// A button that dials.
    CtaCall { action: Call<Number> },
    /// A button that copies a code.
    CtaCopy { action: Call<Code> },
    /// A payment request with the Brazilian Pix.
    Pix { action: Call<PixKey> },
    /// This and the variants below are received only: a button was tapped.
    ButtonReply { button_reply: Choice },
    /// A row of a list was chosen.
    ListReply { list_reply: Choice },
    /// Another element was filled in, such as a form.
    NfmReply { nfm_reply: Filled },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buttons {
    pub buttons: Vec<Button>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Button {
    Reply { reply: Choice },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Menu {
    /// The button's label.
    pub button: String,
    pub sections: Vec<Section>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub rows: Vec<Choice>,
}

/// A choice, offered or made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The sender's own id; returned with the reply.
    pub id: String,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call<T> {
    pub parameters: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The button's label.
    pub display_text: String,
    pub url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    pub display_text: String,
    pub phone_number: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
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
pub struct Filled {
    /// Name of the form.
    pub name: Option<String>,
    /// The visible text.
    pub body: Option<String>,
    /// JSON, as the form wrote it.
    pub response_json: Option<String>,
}
