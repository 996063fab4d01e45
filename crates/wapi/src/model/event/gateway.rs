//! Events of the whole gateway: its keys, and its webhooks.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A caller created, changed, or removed a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedWebhook {
    /// The session of the webhook; `null` for a webhook of all sessions.
    pub session: Option<String>,
    pub id: String,
    pub change: WebhookChange,
    /// Names of the changed settings, never their values: an address may be a secret.
    pub fields: BTreeSet<String>,
}

/// A change of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookChange {
    Created,
    Changed,
    /// It signs with a new secret.
    SecretRotated,
    Removed,
}

/// An API key was created or removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyEvent {
    /// Always `null`: the event concerns the whole gateway.
    pub session: Option<String>,
    pub id: String,
    pub name: String,
    pub scopes: BTreeSet<String>,
    /// `null`: all sessions.
    pub sessions: Option<BTreeSet<String>>,
    /// `null`: the key does not expire.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub expires_at: Option<Timestamp>,
}
