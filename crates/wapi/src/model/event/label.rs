//! Label events. A public contract.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of WhatsApp's colours.
pub const LABEL_COLORS: i32 = 20;

/// A label that the account gives to chats; WhatsApp calls some of them lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Label {
    pub id: String,
    pub name: String,
    /// Index in WhatsApp's palette of 20 colours.
    pub color: i32,
}

/// `label.updated`: a label was created, renamed, recoloured or deleted, on any of the account's
/// devices or through this gateway. Delivered at most once.
///
/// `{"session": "shop", "id": "7", "name": "Paid", "color": 3, "deleted": false}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelUpdated {
    pub session: String,
    #[serde(flatten)]
    pub label: Label,
    /// `true`: no chat has it any more, and its id is not used again.
    pub deleted: bool,
}
