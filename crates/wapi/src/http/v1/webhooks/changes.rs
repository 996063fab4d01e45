//! The event `webhook.changed`, for those who follow changes of the gateway itself.

use crate::http::Gateway;
use crate::model::event::{ChangedWebhook, Event, EventData, WebhookChange};
use crate::store::{Life, NewEvent};

/// Settings of a webhook that callers change.
pub const CHANGEABLE: [&str; 5] = ["url", "session", "types", "headers", "enabled"];

/// Returns the event that reports a change of a webhook. `fields` are the changed settings.
pub fn describe_change(
    gateway: &Gateway,
    id: &str,
    session: Option<String>,
    change: WebhookChange,
    fields: &[&str],
) -> NewEvent {
    let name = session.clone().unwrap_or_default();
    let data = ChangedWebhook {
        session,
        id: id.to_owned(),
        change,
        fields: fields.iter().map(|name| (*name).to_owned()).collect(),
    };
    let event = Event::new(EventData::WebhookChanged(data), gateway.clock.now());
    let life = gateway.store.lives().current_life(&name);
    let life = life.unwrap_or_else(|| Life::for_gateway(&name));
    NewEvent::for_endpoint(id, &life, &event)
}
