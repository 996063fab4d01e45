//! Routes of events, webhooks, and API keys.

use crate::http::access::table::RouteTable;
use crate::http::v1;
use crate::model::access::Scope::{Admin, Read};

pub(super) fn add_webhook_routes(table: RouteTable) -> RouteTable {
    table
        .get("/v1/events", Read.narrowed(), v1::events::list_events)
        .get(
            "/v1/events/stream",
            Read.narrowed(),
            v1::events::event_stream::stream_events,
        )
        .get("/v1/api-keys", Admin, v1::api_keys::list_api_keys)
        .post("/v1/api-keys", Admin, v1::api_keys::create_api_key)
        .delete("/v1/api-keys/{id}", Admin, v1::api_keys::remove_api_key)
        // A webhook sends its events to any address its creator chose.
        .get("/v1/webhooks", Admin, v1::webhooks::list_webhooks)
        .post("/v1/webhooks", Admin, v1::webhooks::create_webhook)
        .get("/v1/webhooks/{id}", Admin, v1::webhooks::show_webhook)
        .patch("/v1/webhooks/{id}", Admin, v1::webhooks::change_webhook)
        .delete("/v1/webhooks/{id}", Admin, v1::webhooks::remove_webhook)
        .post("/v1/webhooks/{id}/test", Admin, v1::webhooks::test_webhook)
        .post(
            "/v1/webhooks/{id}/rotate-secret",
            Admin,
            v1::webhooks::rotate_secret,
        )
        .post(
            "/v1/webhooks/{id}/enable",
            Admin,
            v1::webhooks::enable_webhook,
        )
        .get(
            "/v1/webhooks/{id}/deliveries",
            Admin,
            v1::webhooks::deliveries::list_deliveries,
        )
        .post(
            "/v1/webhooks/{id}/deliveries",
            Admin,
            v1::webhooks::deliveries::deliver_event,
        )
        .post(
            "/v1/webhooks/{id}/deliveries/resend",
            Admin,
            v1::webhooks::deliveries::resend_deliveries,
        )
        .post(
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            Admin,
            v1::webhooks::deliveries::resend_delivery,
        )
        .post(
            "/v1/webhooks/{id}/replay",
            Admin,
            v1::webhooks::deliveries::replay_events,
        )
}
