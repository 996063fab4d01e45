//! The HTTP interface: every route on one screen.

mod auth;
pub mod error;
mod events;
mod extract;
mod health;
mod layers;
mod original;
mod query;
#[cfg(feature = "sandbox")]
pub mod receiver;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::clock::Clock;
use crate::config::Access;
use crate::fetch::Fetcher;
use crate::lifecycle::Lifecycle;
use crate::sessions::Sessions;
use crate::store::Store;

use error::Problem;

/// What the routes need to know.
#[derive(Clone)]
pub struct Gateway {
    pub sessions: Sessions,
    pub store: Store,
    pub fetcher: Fetcher,
    pub access: Access,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

/// All routes, each with and without its trailing slash.
pub fn routes(gateway: Gateway) -> Router {
    let keyed = Router::new()
        .both("/register-session", post(original::register_session))
        .both("/send-message", post(original::send_message))
        .both("/send-image", post(original::send_image))
        .both("/get-qr-code/{session}", get(original::get_qr_code))
        .both("/get-session-info/{session}", get(original::get_session_info))
        .both("/get-active-connection-info/{session}", get(original::get_active_connection_info))
        .both("/v1/events", get(events::list))
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(gateway.clone(), auth::require_key));
    let open = Router::new()
        .both("/health/live", get(health::live))
        .both("/health/ready", get(health::ready))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed);
    open.merge(keyed)
        .layer(DefaultBodyLimit::max(extract::MAX_BODY))
        .layer(from_fn_with_state(gateway.clone(), layers::around))
        .with_state(gateway)
}

trait Both {
    /// Adds a route with and without a trailing slash.
    fn both(self, path: &str, methods: MethodRouter<Gateway>) -> Self;
}

impl Both for Router<Gateway> {
    fn both(self, path: &str, methods: MethodRouter<Gateway>) -> Self {
        self.route(path, methods.clone()).route(&format!("{path}/"), methods)
    }
}
