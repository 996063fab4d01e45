//! Handles of the store: one for each kind of data, with the methods for it.

use super::Store;

/// What callers did.
#[derive(Clone, Copy)]
pub struct ActivityStore<'a> {
    pub(super) store: &'a Store,
}

/// API keys.
#[derive(Clone, Copy)]
pub struct ApiKeyStore<'a> {
    pub(super) store: &'a Store,
}

/// Links with which the owners of phones link sessions.
#[derive(Clone, Copy)]
pub struct ConnectLinkStore<'a> {
    pub(super) store: &'a Store,
}

/// Deliveries to webhooks.
#[derive(Clone, Copy)]
pub struct DeliveryStore<'a> {
    pub(super) store: &'a Store,
}

/// The event log and the feed.
#[derive(Clone, Copy)]
pub struct EventStore<'a> {
    pub(super) store: &'a Store,
}

/// Chats, contacts, and messages to list and search.
#[derive(Clone, Copy)]
pub struct HistoryStore<'a> {
    pub(super) store: &'a Store,
}

/// Stable ids of persons, and their addresses.
#[derive(Clone, Copy)]
pub struct IdentityStore<'a> {
    pub(super) store: &'a Store,
}

/// Facts that received messages bring along: polls, unread chats, newsletters, undelivered messages.
#[derive(Clone, Copy)]
pub struct InboundStore<'a> {
    pub(super) store: &'a Store,
}

/// Logins of the dashboard.
#[derive(Clone, Copy)]
pub struct LoginStore<'a> {
    pub(super) store: &'a Store,
}

/// Records of media files.
#[derive(Clone, Copy)]
pub struct MediaStore<'a> {
    pub(super) store: &'a Store,
}

/// Sent messages and their outcomes.
#[derive(Clone, Copy)]
pub struct OutboxStore<'a> {
    pub(super) store: &'a Store,
}

/// Saved sessions, their commands, and their history syncs.
#[derive(Clone, Copy)]
pub struct SessionStore<'a> {
    pub(super) store: &'a Store,
}

/// Webhook endpoints.
#[derive(Clone, Copy)]
pub struct WebhookStore<'a> {
    pub(super) store: &'a Store,
}

impl Store {
    /// What callers did.
    pub fn activity(&self) -> ActivityStore<'_> {
        ActivityStore { store: self }
    }

    /// API keys.
    pub fn api_keys(&self) -> ApiKeyStore<'_> {
        ApiKeyStore { store: self }
    }

    /// Links with which the owners of phones link sessions.
    pub fn connect_links(&self) -> ConnectLinkStore<'_> {
        ConnectLinkStore { store: self }
    }

    /// Deliveries to webhooks.
    pub fn deliveries(&self) -> DeliveryStore<'_> {
        DeliveryStore { store: self }
    }

    /// The event log and the feed.
    pub fn events(&self) -> EventStore<'_> {
        EventStore { store: self }
    }

    /// Chats, contacts, and messages to list and search.
    pub fn history(&self) -> HistoryStore<'_> {
        HistoryStore { store: self }
    }

    /// Stable ids of persons, and their addresses.
    pub fn identities(&self) -> IdentityStore<'_> {
        IdentityStore { store: self }
    }

    /// Facts that received messages bring along: polls, unread chats, newsletters, undelivered messages.
    pub fn inbound(&self) -> InboundStore<'_> {
        InboundStore { store: self }
    }

    /// Logins of the dashboard.
    pub fn logins(&self) -> LoginStore<'_> {
        LoginStore { store: self }
    }

    /// Records of media files.
    pub fn media(&self) -> MediaStore<'_> {
        MediaStore { store: self }
    }

    /// Sent messages and their outcomes.
    pub fn outbox(&self) -> OutboxStore<'_> {
        OutboxStore { store: self }
    }

    /// Saved sessions, their commands, and their history syncs.
    pub fn sessions(&self) -> SessionStore<'_> {
        SessionStore { store: self }
    }

    /// Webhook endpoints.
    pub fn webhooks(&self) -> WebhookStore<'_> {
        WebhookStore { store: self }
    }
}
