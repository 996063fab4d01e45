//! The HTTP interface: every route on one screen, with the scope that its key needs.

mod api_keys;
mod auth;
mod blocking;
mod calls;
mod chats;
mod contacts;
mod deliveries;
pub mod edge;
pub mod error;
mod events;
mod exposition;
mod extract;
mod front;
mod groups;
mod guesses;
mod health;
mod history;
mod layers;
mod media;
mod messages;
mod metrics;
mod newsletters;
mod openapi;
mod original;
mod presence;
mod profile;
mod qr_code;
mod query;
#[cfg(feature = "sandbox")]
pub mod receiver;
mod sessions;
mod shop;
mod stream;
mod table;
mod unkeyed;
mod unreadable;
mod webhooks;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;

use crate::access::Scope::{Admin, Ask, Read, Send};
use crate::clock::Clock;
use crate::config::{AccessMode, HostNames};
use crate::fetch::FileFetcher;
use crate::folder::DataFolder;
use crate::history::History;
use crate::keys::{ApiKeys, Caller};
use crate::lifecycle::Lifecycle;
use crate::media::Media;
use crate::sessions::{SessionName, Sessions};
use crate::store::{Life, Store};
use crate::webhooks::Webhooks;

use error::Problem;
#[cfg(fuzzing)]
pub use media::fuzzing as files;
#[cfg(fuzzing)]
pub use messages::fuzzing;
use table::RouteTable;

/// State shared by the handlers.
#[derive(Clone)]
pub struct Gateway {
    pub sessions: Sessions,
    pub media: Media,
    pub store: Store,
    pub history: History,
    pub webhooks: Webhooks,
    pub fetcher: FileFetcher,
    pub access: AccessMode,
    /// Host names of the gateway.
    pub hosts: Arc<HostNames>,
    /// Addresses that have shown invalid keys.
    pub guesses: Arc<Mutex<guesses::KeyGuesses>>,
    /// Open connections.
    pub connections: Arc<edge::ConnectionRegistry>,
    pub keys: ApiKeys,
    pub folder: DataFolder,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

impl Gateway {
    /// Returns the session's current life. A handler reads it once, so that the whole request is
    /// about one life.
    fn current_life(&self, session: &SessionName) -> Result<Life, Problem> {
        self.sessions.life(session).ok_or(Problem::NoSession)
    }

    /// Gives the caller access to a session it has just created, whatever session had that name
    /// before.
    async fn give_session(&self, caller: &Caller, session: &SessionName) -> Result<(), Problem> {
        let given = self.keys.give_session(caller, session.as_str()).await;
        given.map_err(|error| Problem::NotReady {
            detail: error.to_string(),
        })
    }
}

/// Every route, with and without its trailing slash.
///
/// A session-restricted key may only use routes whose path names one of its sessions, and the
/// routes that are `narrowed`: their handlers check the caller's sessions themselves.
fn route_table() -> RouteTable {
    RouteTable::new()
        .get_unkeyed("/", front::serve_front_page)
        .get_unkeyed("/health/live", health::check_liveness)
        .get_unkeyed("/health/ready", health::check_readiness)
        .get_unkeyed("/openapi.json", openapi::serve_document)
        .get_unkeyed("/docs", openapi::serve_page)
        .get("/metrics", Read, metrics::serve_metrics)
        .post(
            "/register-session",
            Admin.narrowed(),
            original::register_session,
        )
        .post("/send-message", Send.narrowed(), original::send_message)
        .post("/send-image", Send.narrowed(), original::send_image)
        // The QR code allows anyone to link an account.
        .get("/get-qr-code/{session}", Admin, original::get_qr_code)
        .get(
            "/get-session-info/{session}",
            Read,
            original::get_session_info,
        )
        .get(
            "/get-active-connection-info/{session}",
            Read,
            original::get_active_connection_info,
        )
        .get("/v1/events", Read.narrowed(), events::list_events)
        .get("/v1/events/stream", Read.narrowed(), stream::stream_events)
        .get("/v1/sessions", Read.narrowed(), sessions::list_sessions)
        .post("/v1/sessions", Admin.narrowed(), sessions::create_session)
        .get("/v1/sessions/{session}", Read, sessions::show_session)
        .delete("/v1/sessions/{session}", Admin, sessions::remove_session)
        .post(
            "/v1/sessions/{session}/start",
            Admin,
            sessions::start_session,
        )
        .post("/v1/sessions/{session}/stop", Admin, sessions::stop_session)
        .post(
            "/v1/sessions/{session}/restart",
            Admin,
            sessions::restart_session,
        )
        .post(
            "/v1/sessions/{session}/logout",
            Admin,
            sessions::log_out_session,
        )
        .post("/v1/sessions/{session}/check", Ask, sessions::check_session)
        .get("/v1/sessions/{session}/qr", Admin, qr_code::show_qr_code)
        .post(
            "/v1/sessions/{session}/pairing-code",
            Admin,
            sessions::create_pairing_code,
        )
        .post(
            "/v1/sessions/{session}/messages",
            Send,
            messages::send_message,
        )
        .post(
            "/v1/sessions/{session}/messages/batch",
            Send,
            messages::batch::send_batch,
        )
        .get(
            "/v1/sessions/{session}/messages/{id}",
            Read,
            messages::show_message,
        )
        .patch(
            "/v1/sessions/{session}/messages/{id}",
            Send,
            messages::changes::edit_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}",
            Send,
            messages::changes::delete_message,
        )
        .post(
            "/v1/sessions/{session}/messages/{id}/forward",
            Send,
            messages::changes::forward_message,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/pin",
            Send,
            messages::marks::pin_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/pin",
            Send,
            messages::marks::unpin_message,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/keep",
            Send,
            messages::marks::keep_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/keep",
            Send,
            messages::marks::unkeep_message,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/star",
            Send,
            messages::marks::star_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/star",
            Send,
            messages::marks::unstar_message,
        )
        .post(
            "/v1/sessions/{session}/messages/{id}/view",
            Send,
            messages::views::view_status,
        )
        .get(
            "/v1/sessions/{session}/messages",
            Read,
            history::search_messages,
        )
        .get("/v1/sessions/{session}/chats", Read, history::list_chats)
        .get(
            "/v1/sessions/{session}/chats/{chat}",
            Read,
            history::show_chat,
        )
        .get(
            "/v1/sessions/{session}/chats/{chat}/messages",
            Read,
            history::list_messages,
        )
        .get(
            "/v1/sessions/{session}/contacts",
            Read,
            history::list_contacts,
        )
        .get(
            "/v1/sessions/{session}/contacts/{contact}",
            Read,
            history::show_contact,
        )
        .get(
            "/v1/sessions/{session}/contacts/{contact}/picture",
            Read,
            profile::show_contact_picture,
        )
        .put(
            "/v1/sessions/{session}/contacts/{contact}/block",
            Send,
            blocking::block_contact,
        )
        .delete(
            "/v1/sessions/{session}/contacts/{contact}/block",
            Send,
            blocking::unblock_contact,
        )
        .get(
            "/v1/sessions/{session}/blocked",
            Read,
            blocking::list_blocked,
        )
        .get(
            "/v1/sessions/{session}/profile",
            Read,
            profile::show_profile,
        )
        .put(
            "/v1/sessions/{session}/profile",
            Send,
            profile::change_profile,
        )
        .put(
            "/v1/sessions/{session}/profile/picture",
            Send,
            profile::picture::set_picture,
        )
        .delete(
            "/v1/sessions/{session}/profile/picture",
            Send,
            profile::picture::remove_picture,
        )
        .get("/v1/sessions/{session}/catalog", Read, shop::show_catalog)
        .get(
            "/v1/sessions/{session}/orders/{order}",
            Read,
            shop::show_order,
        )
        .get("/v1/sessions/{session}/groups", Read, groups::list_groups)
        .get(
            "/v1/sessions/{session}/groups/{group}",
            Read,
            groups::show_group,
        )
        .get(
            "/v1/sessions/{session}/newsletters",
            Read,
            newsletters::list_newsletters,
        )
        .get(
            "/v1/sessions/{session}/newsletters/{newsletter}",
            Read,
            newsletters::show_newsletter,
        )
        .put(
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            Send,
            newsletters::follow_newsletter,
        )
        .delete(
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            Send,
            newsletters::unfollow_newsletter,
        )
        .patch(
            "/v1/sessions/{session}/chats/{chat}",
            Send,
            chats::change_chat,
        )
        .post(
            "/v1/sessions/{session}/chats/{chat}/read",
            Send,
            chats::mark_chat_read,
        )
        .post(
            "/v1/sessions/{session}/chats/{chat}/typing",
            Send,
            chats::set_typing,
        )
        .put(
            "/v1/sessions/{session}/presence",
            Send,
            presence::set_presence,
        )
        .put(
            "/v1/sessions/{session}/contacts/{contact}/presence",
            Ask,
            presence::watch_presence,
        )
        .delete(
            "/v1/sessions/{session}/contacts/{contact}/presence",
            Ask,
            presence::unwatch_presence,
        )
        .post(
            "/v1/sessions/{session}/contacts/check",
            Ask,
            contacts::check_numbers,
        )
        .post(
            "/v1/sessions/{session}/calls/{call}/reject",
            Send,
            calls::reject_call,
        )
        .post("/v1/sessions/{session}/media", Send, media::upload_media)
        .get("/v1/media/{id}", Read.narrowed(), media::show_media)
        .get(
            "/v1/media/{id}/content",
            Read.narrowed(),
            media::send_media_content,
        )
        .delete("/v1/media/{id}", Send.narrowed(), media::remove_media)
        .get("/v1/api-keys", Admin, api_keys::list_api_keys)
        .post("/v1/api-keys", Admin, api_keys::create_api_key)
        .delete("/v1/api-keys/{id}", Admin, api_keys::remove_api_key)
        // A webhook sends its events to any address its creator chose.
        .get("/v1/webhooks", Admin, webhooks::list_webhooks)
        .post("/v1/webhooks", Admin, webhooks::create_webhook)
        .get("/v1/webhooks/{id}", Admin, webhooks::show_webhook)
        .patch("/v1/webhooks/{id}", Admin, webhooks::change_webhook)
        .delete("/v1/webhooks/{id}", Admin, webhooks::remove_webhook)
        .post("/v1/webhooks/{id}/test", Admin, webhooks::test_webhook)
        .post(
            "/v1/webhooks/{id}/rotate-secret",
            Admin,
            webhooks::rotate_secret,
        )
        .post("/v1/webhooks/{id}/enable", Admin, webhooks::enable_webhook)
        .get(
            "/v1/webhooks/{id}/deliveries",
            Admin,
            deliveries::list_deliveries,
        )
        .post(
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            Admin,
            deliveries::resend_delivery,
        )
        .post("/v1/webhooks/{id}/replay", Admin, deliveries::replay_events)
}

/// Builds the router from the table.
pub fn build_router(gateway: Gateway) -> Router {
    let RouteTable { keyed, open, .. } = route_table();
    let keyed = keyed
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(gateway.clone(), layers::run_to_end))
        .layer(from_fn_with_state(gateway.clone(), layers::await_listing))
        .layer(from_fn_with_state(gateway.clone(), auth::require_key));
    open.method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .merge(keyed)
        .layer(DefaultBodyLimit::max(extract::MAX_BODY))
        .layer(from_fn_with_state(
            gateway.clone(),
            layers::identify_and_log,
        ))
        .with_state(gateway)
}
