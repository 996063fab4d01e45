//! The HTTP interface: every route on one screen, with the scope that its key needs.

pub mod access;
pub mod edge;
pub mod error;
mod front_page;
mod monitoring;
mod openapi;
mod original;
mod request;
mod v1;
#[cfg(feature = "sandbox")]
pub mod webhook_receiver;

use std::sync::Arc;

use access::table::RouteTable;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use error::Problem;
use parking_lot::Mutex;

use crate::config::{AccessMode, HostNames};
use crate::history::History;
use crate::http::access::api_keys::{ApiKeys, Caller};
use crate::media::Media;
use crate::media::link_download::FileFetcher;
use crate::model::access::Scope::{Admin, Ask, Read, Send};
use crate::model::session_name::SessionName;
use crate::sessions::Sessions;
use crate::store::{Life, Store};
use crate::system::clock::Clock;
use crate::system::data_folder::DataFolder;
use crate::system::lifecycle::Lifecycle;
use crate::webhooks::Webhooks;
#[cfg(fuzzing)]
pub use v1::media::fuzzing as files;
#[cfg(fuzzing)]
pub use v1::messages::fuzzing;

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
    pub guesses: Arc<Mutex<access::key_guesses::KeyGuesses>>,
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
        .get_unkeyed("/", front_page::serve_front_page)
        .get_unkeyed("/health/live", monitoring::health::check_liveness)
        .get_unkeyed("/health/ready", monitoring::health::check_readiness)
        .get_unkeyed("/openapi.json", openapi::serve_document)
        .get_unkeyed("/docs", openapi::serve_page)
        .get("/metrics", Read, monitoring::metrics::serve_metrics)
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
        .get("/v1/events", Read.narrowed(), v1::events::list_events)
        .get(
            "/v1/events/stream",
            Read.narrowed(),
            v1::events::event_stream::stream_events,
        )
        .get("/v1/sessions", Read.narrowed(), v1::sessions::list_sessions)
        .post(
            "/v1/sessions",
            Admin.narrowed(),
            v1::sessions::create_session,
        )
        .get("/v1/sessions/{session}", Read, v1::sessions::show_session)
        .delete(
            "/v1/sessions/{session}",
            Admin,
            v1::sessions::remove_session,
        )
        .post(
            "/v1/sessions/{session}/start",
            Admin,
            v1::sessions::start_session,
        )
        .post(
            "/v1/sessions/{session}/stop",
            Admin,
            v1::sessions::stop_session,
        )
        .post(
            "/v1/sessions/{session}/restart",
            Admin,
            v1::sessions::restart_session,
        )
        .post(
            "/v1/sessions/{session}/logout",
            Admin,
            v1::sessions::log_out_session,
        )
        .post(
            "/v1/sessions/{session}/check",
            Ask,
            v1::sessions::check_session,
        )
        .get(
            "/v1/sessions/{session}/qr",
            Admin,
            v1::sessions::qr_code::show_qr_code,
        )
        .post(
            "/v1/sessions/{session}/pairing-code",
            Admin,
            v1::sessions::create_pairing_code,
        )
        .post(
            "/v1/sessions/{session}/messages",
            Send,
            v1::messages::send_message,
        )
        .post(
            "/v1/sessions/{session}/messages/batch",
            Send,
            v1::messages::batch::send_batch,
        )
        .get(
            "/v1/sessions/{session}/messages/{id}",
            Read,
            v1::messages::show_message,
        )
        .patch(
            "/v1/sessions/{session}/messages/{id}",
            Send,
            v1::messages::edit_delete_forward::edit_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}",
            Send,
            v1::messages::edit_delete_forward::delete_message,
        )
        .post(
            "/v1/sessions/{session}/messages/{id}/forward",
            Send,
            v1::messages::edit_delete_forward::forward_message,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/pin",
            Send,
            v1::messages::pin_keep_star::pin_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/pin",
            Send,
            v1::messages::pin_keep_star::unpin_message,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/keep",
            Send,
            v1::messages::pin_keep_star::keep_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/keep",
            Send,
            v1::messages::pin_keep_star::unkeep_message,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/star",
            Send,
            v1::messages::pin_keep_star::star_message,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/star",
            Send,
            v1::messages::pin_keep_star::unstar_message,
        )
        .post(
            "/v1/sessions/{session}/messages/{id}/view",
            Send,
            v1::messages::status_views::view_status,
        )
        .get(
            "/v1/sessions/{session}/messages",
            Read,
            v1::history::search_messages,
        )
        .get(
            "/v1/sessions/{session}/chats",
            Read,
            v1::history::list_chats,
        )
        .get(
            "/v1/sessions/{session}/chats/{chat}",
            Read,
            v1::history::show_chat,
        )
        .get(
            "/v1/sessions/{session}/chats/{chat}/messages",
            Read,
            v1::history::list_messages,
        )
        .get(
            "/v1/sessions/{session}/contacts",
            Read,
            v1::history::list_contacts,
        )
        .get(
            "/v1/sessions/{session}/contacts/{contact}",
            Read,
            v1::history::show_contact,
        )
        .get(
            "/v1/sessions/{session}/contacts/{contact}/picture",
            Read,
            v1::profile::show_contact_picture,
        )
        .put(
            "/v1/sessions/{session}/contacts/{contact}/block",
            Send,
            v1::contacts::blocklist::block_contact,
        )
        .delete(
            "/v1/sessions/{session}/contacts/{contact}/block",
            Send,
            v1::contacts::blocklist::unblock_contact,
        )
        .get(
            "/v1/sessions/{session}/blocked",
            Read,
            v1::contacts::blocklist::list_blocked,
        )
        .get(
            "/v1/sessions/{session}/profile",
            Read,
            v1::profile::show_profile,
        )
        .put(
            "/v1/sessions/{session}/profile",
            Send,
            v1::profile::change_profile,
        )
        .put(
            "/v1/sessions/{session}/profile/picture",
            Send,
            v1::profile::picture::set_picture,
        )
        .delete(
            "/v1/sessions/{session}/profile/picture",
            Send,
            v1::profile::picture::remove_picture,
        )
        .get(
            "/v1/sessions/{session}/catalog",
            Read,
            v1::catalog::show_catalog,
        )
        .get(
            "/v1/sessions/{session}/orders/{order}",
            Read,
            v1::catalog::show_order,
        )
        .get(
            "/v1/sessions/{session}/groups",
            Read,
            v1::groups::list_groups,
        )
        .get(
            "/v1/sessions/{session}/groups/{group}",
            Read,
            v1::groups::show_group,
        )
        .get(
            "/v1/sessions/{session}/newsletters",
            Read,
            v1::newsletters::list_newsletters,
        )
        .get(
            "/v1/sessions/{session}/newsletters/{newsletter}",
            Read,
            v1::newsletters::show_newsletter,
        )
        .put(
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            Send,
            v1::newsletters::follow_newsletter,
        )
        .delete(
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            Send,
            v1::newsletters::unfollow_newsletter,
        )
        .patch(
            "/v1/sessions/{session}/chats/{chat}",
            Send,
            v1::chats::change_chat,
        )
        .post(
            "/v1/sessions/{session}/chats/{chat}/read",
            Send,
            v1::chats::mark_chat_read,
        )
        .post(
            "/v1/sessions/{session}/chats/{chat}/typing",
            Send,
            v1::chats::set_typing,
        )
        .put(
            "/v1/sessions/{session}/presence",
            Send,
            v1::presence::set_presence,
        )
        .put(
            "/v1/sessions/{session}/contacts/{contact}/presence",
            Ask,
            v1::presence::watch_presence,
        )
        .delete(
            "/v1/sessions/{session}/contacts/{contact}/presence",
            Ask,
            v1::presence::unwatch_presence,
        )
        .post(
            "/v1/sessions/{session}/contacts/check",
            Ask,
            v1::contacts::check_numbers,
        )
        .post(
            "/v1/sessions/{session}/calls/{call}/reject",
            Send,
            v1::calls::reject_call,
        )
        .post(
            "/v1/sessions/{session}/media",
            Send,
            v1::media::upload_media,
        )
        .get("/v1/media/{id}", Read.narrowed(), v1::media::show_media)
        .get(
            "/v1/media/{id}/content",
            Read.narrowed(),
            v1::media::send_media_content,
        )
        .delete("/v1/media/{id}", Send.narrowed(), v1::media::remove_media)
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

/// Builds the router from the table.
pub fn build_router(gateway: Gateway) -> Router {
    let RouteTable { keyed, open, .. } = route_table();
    let keyed = keyed
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(
            gateway.clone(),
            request::layers::run_to_end,
        ))
        .layer(from_fn_with_state(
            gateway.clone(),
            request::layers::await_listing,
        ))
        .layer(from_fn_with_state(
            gateway.clone(),
            access::auth::require_key,
        ));
    open.method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .merge(keyed)
        .layer(DefaultBodyLimit::max(request::extract::MAX_BODY))
        .layer(from_fn_with_state(
            gateway.clone(),
            request::layers::identify_and_log,
        ))
        .with_state(gateway)
}
