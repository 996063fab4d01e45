//! Buttons, lists and calls to action, and what people chose of them, in the words of Meta's Cloud API. Pure.

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

/// Above the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Header {
    Text { text: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub text: String,
}

/// What there is to tap, or what was tapped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Element {
    /// Each answers in one word.
    Button { action: Buttons },
    /// A button that opens a list.
    List { action: Menu },
    /// A button that leads to a page.
    CtaUrl { action: Call<Link> },
    /// A button that dials.
    CtaCall { action: Call<Number> },
    /// A button that copies a code.
    CtaCopy { action: Call<Code> },
    /// What to pay to, with the Brazilian Pix.
    Pix { action: Call<PixKey> },
    /// What follows comes in only: a button was tapped.
    ButtonReply { button_reply: Choice },
    /// A row of a list was chosen.
    ListReply { list_reply: Choice },
    /// Something else was filled in, such as a form.
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
    /// What stands on the button.
    pub button: String,
    pub sections: Vec<Section>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub rows: Vec<Choice>,
}

/// Something to choose, or that was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The sender's own; comes back with the answer.
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
    /// What stands on the button.
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

/// Whose bank account it is, as payers name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixKey {
    pub merchant_name: String,
    pub key: String,
    /// One of [`PixKey::TYPES`].
    pub key_type: String,
    /// What the sender knows the request by.
    pub reference_id: String,
}

impl PixKey {
    /// A tax number of a person or a company, an address, a phone number, or a key by chance.
    pub const TYPES: [&str; 5] = ["CPF", "CNPJ", "EMAIL", "PHONE", "EVP"];
}

/// What came back from a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// Of the form.
    pub name: Option<String>,
    /// What people see of it.
    pub body: Option<String>,
    /// JSON, as the form wrote it.
    pub response_json: Option<String>,
}
