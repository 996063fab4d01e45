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

use crate::clock::Clock;
use crate::config::{Access, Hosts};
use crate::fetch::Fetcher;
use crate::folder::Folder;
use crate::history::History;
use crate::keys::Scope::{Admin, Ask, Read, Send};
use crate::keys::{Caller, Keys};
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
use table::Table;

/// State shared by the handlers.
#[derive(Clone)]
pub struct Gateway {
    pub sessions: Sessions,
    pub media: Media,
    pub store: Store,
    pub history: History,
    pub webhooks: Webhooks,
    pub fetcher: Fetcher,
    pub access: Access,
    /// Host names of the gateway.
    pub hosts: Arc<Hosts>,
    /// Addresses that have shown invalid keys.
    pub guesses: Arc<Mutex<guesses::Guesses>>,
    /// Open connections.
    pub room: Arc<edge::Room>,
    pub keys: Keys,
    pub folder: Folder,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

impl Gateway {
    /// Returns the session's current life. A handler reads it once, so that the whole request is
    /// about one life.
    fn life(&self, session: &SessionName) -> Result<Life, Problem> {
        self.sessions.life(session).ok_or(Problem::NoSession)
    }

    /// Gives the caller access to a session it has just created, whatever session had that name
    /// before.
    async fn give(&self, caller: &Caller, session: &SessionName) -> Result<(), Problem> {
        let given = self.keys.give(caller, session.as_str()).await;
        given.map_err(|error| Problem::NotReady {
            detail: error.to_string(),
        })
    }
}

/// Every route, with and without its trailing slash.
///
/// A session-restricted key may only use routes whose path names one of its sessions, and the
/// routes that are `narrowed`: their handlers check the caller's sessions themselves.
fn table() -> Table {
    Table::new()
        .open("/", front::page)
        .open("/health/live", health::live)
        .open("/health/ready", health::ready)
        .open("/openapi.json", openapi::read)
        .open("/docs", openapi::docs)
        .get("/metrics", Read, metrics::metrics)
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
        .get("/v1/events", Read.narrowed(), events::list)
        .get("/v1/events/stream", Read.narrowed(), stream::stream)
        .get("/v1/sessions", Read.narrowed(), sessions::list)
        .post("/v1/sessions", Admin.narrowed(), sessions::create)
        .get("/v1/sessions/{session}", Read, sessions::read)
        .delete("/v1/sessions/{session}", Admin, sessions::remove)
        .post("/v1/sessions/{session}/start", Admin, sessions::start)
        .post("/v1/sessions/{session}/stop", Admin, sessions::stop)
        .post("/v1/sessions/{session}/restart", Admin, sessions::restart)
        .post("/v1/sessions/{session}/logout", Admin, sessions::log_out)
        .post("/v1/sessions/{session}/check", Ask, sessions::check)
        .get("/v1/sessions/{session}/qr", Admin, qr_code::read)
        .post(
            "/v1/sessions/{session}/pairing-code",
            Admin,
            sessions::pairing_code,
        )
        .post("/v1/sessions/{session}/messages", Send, messages::send)
        .post(
            "/v1/sessions/{session}/messages/batch",
            Send,
            messages::batch::send,
        )
        .get("/v1/sessions/{session}/messages/{id}", Read, messages::show)
        .patch(
            "/v1/sessions/{session}/messages/{id}",
            Send,
            messages::changes::edit,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}",
            Send,
            messages::changes::delete,
        )
        .post(
            "/v1/sessions/{session}/messages/{id}/forward",
            Send,
            messages::changes::forward,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/pin",
            Send,
            messages::marks::pin,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/pin",
            Send,
            messages::marks::unpin,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/keep",
            Send,
            messages::marks::keep,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/keep",
            Send,
            messages::marks::unkeep,
        )
        .put(
            "/v1/sessions/{session}/messages/{id}/star",
            Send,
            messages::marks::star,
        )
        .delete(
            "/v1/sessions/{session}/messages/{id}/star",
            Send,
            messages::marks::unstar,
        )
        .post(
            "/v1/sessions/{session}/messages/{id}/view",
            Send,
            messages::views::view,
        )
        .get("/v1/sessions/{session}/messages", Read, history::search)
        .get("/v1/sessions/{session}/chats", Read, history::chats)
        .get("/v1/sessions/{session}/chats/{chat}", Read, history::chat)
        .get(
            "/v1/sessions/{session}/chats/{chat}/messages",
            Read,
            history::messages,
        )
        .get("/v1/sessions/{session}/contacts", Read, history::contacts)
        .get(
            "/v1/sessions/{session}/contacts/{contact}",
            Read,
            history::contact,
        )
        .get(
            "/v1/sessions/{session}/contacts/{contact}/picture",
            Read,
            profile::contact_picture,
        )
        .put(
            "/v1/sessions/{session}/contacts/{contact}/block",
            Send,
            blocking::block,
        )
        .delete(
            "/v1/sessions/{session}/contacts/{contact}/block",
            Send,
            blocking::unblock,
        )
        .get("/v1/sessions/{session}/blocked", Read, blocking::list)
        .get("/v1/sessions/{session}/profile", Read, profile::show)
        .put("/v1/sessions/{session}/profile", Send, profile::change)
        .put(
            "/v1/sessions/{session}/profile/picture",
            Send,
            profile::picture::set,
        )
        .delete(
            "/v1/sessions/{session}/profile/picture",
            Send,
            profile::picture::remove,
        )
        .get("/v1/sessions/{session}/catalog", Read, shop::catalog)
        .get("/v1/sessions/{session}/orders/{order}", Read, shop::order)
        .get("/v1/sessions/{session}/groups", Read, groups::list)
        .get("/v1/sessions/{session}/groups/{group}", Read, groups::read)
        .get(
            "/v1/sessions/{session}/newsletters",
            Read,
            newsletters::list,
        )
        .get(
            "/v1/sessions/{session}/newsletters/{newsletter}",
            Read,
            newsletters::read,
        )
        .put(
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            Send,
            newsletters::follow,
        )
        .delete(
            "/v1/sessions/{session}/newsletters/{newsletter}/follow",
            Send,
            newsletters::unfollow,
        )
        .patch("/v1/sessions/{session}/chats/{chat}", Send, chats::change)
        .post(
            "/v1/sessions/{session}/chats/{chat}/read",
            Send,
            chats::read,
        )
        .post(
            "/v1/sessions/{session}/chats/{chat}/typing",
            Send,
            chats::typing,
        )
        .put("/v1/sessions/{session}/presence", Send, presence::set)
        .put(
            "/v1/sessions/{session}/contacts/{contact}/presence",
            Ask,
            presence::watch,
        )
        .delete(
            "/v1/sessions/{session}/contacts/{contact}/presence",
            Ask,
            presence::unwatch,
        )
        .post(
            "/v1/sessions/{session}/contacts/check",
            Ask,
            contacts::check,
        )
        .post(
            "/v1/sessions/{session}/calls/{call}/reject",
            Send,
            calls::reject,
        )
        .post("/v1/sessions/{session}/media", Send, media::upload)
        .get("/v1/media/{id}", Read.narrowed(), media::show)
        .get("/v1/media/{id}/content", Read.narrowed(), media::content)
        .delete("/v1/media/{id}", Send.narrowed(), media::remove)
        .get("/v1/api-keys", Admin, api_keys::list)
        .post("/v1/api-keys", Admin, api_keys::make)
        .delete("/v1/api-keys/{id}", Admin, api_keys::remove)
        // A webhook sends its events to any address its creator chose.
        .get("/v1/webhooks", Admin, webhooks::list)
        .post("/v1/webhooks", Admin, webhooks::make)
        .get("/v1/webhooks/{id}", Admin, webhooks::show)
        .patch("/v1/webhooks/{id}", Admin, webhooks::change)
        .delete("/v1/webhooks/{id}", Admin, webhooks::remove)
        .post("/v1/webhooks/{id}/test", Admin, webhooks::test)
        .post(
            "/v1/webhooks/{id}/rotate-secret",
            Admin,
            webhooks::rotate_secret,
        )
        .post("/v1/webhooks/{id}/enable", Admin, webhooks::enable)
        .get("/v1/webhooks/{id}/deliveries", Admin, deliveries::list)
        .post(
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            Admin,
            deliveries::resend,
        )
        .post("/v1/webhooks/{id}/replay", Admin, deliveries::replay)
}

/// Builds the router from the table.
pub fn routes(gateway: Gateway) -> Router {
    let Table { keyed, open, .. } = table();
    let keyed = keyed
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(gateway.clone(), layers::finished))
        .layer(from_fn_with_state(gateway.clone(), layers::once_listed))
        .layer(from_fn_with_state(gateway.clone(), auth::require_key));
    open.method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .merge(keyed)
        .layer(DefaultBodyLimit::max(extract::MAX_BODY))
        .layer(from_fn_with_state(gateway.clone(), layers::around))
        .with_state(gateway)
}
