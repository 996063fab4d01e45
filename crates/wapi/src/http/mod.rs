//! The HTTP interface: its rooms, the state of its handlers, and the router.

pub mod access;
mod connect_page;
pub mod dashboard;
pub mod edge;
pub mod error;
mod front_page;
mod monitoring;
mod openapi;
mod original;
mod request;
mod routes;
mod v1;
#[cfg(feature = "sandbox")]
pub mod webhook_receiver;

use std::ops::Deref;
use std::sync::Arc;

use access::table::RouteTable;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::get;
use error::Problem;
use parking_lot::Mutex;

use crate::config::{AccessMode, HostNames, SettingValue};
use crate::history::History;
use crate::http::access::api_keys::{ApiKeys, Caller};
use crate::media::Media;
use crate::media::link_download::FileFetcher;
use crate::model::session_name::SessionName;
use crate::net::proxy::SessionProxies;
use crate::sessions::Sessions;
use crate::store::{Life, Store};
use crate::system::clock::Clock;
use crate::system::data_folder::DataFolder;
use crate::system::lifecycle::Lifecycle;
use crate::webhooks::Webhooks;
pub use openapi::openapi_document;
pub use v1::messages::KINDS as MESSAGE_KINDS;
/// Fuzz targets of request bodies, forms, and ranges.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::v1::media::fuzzing::*;
    pub use super::v1::messages::fuzzing::*;
}

/// State shared by the handlers. Every layer and every handler gets a clone of it for each request,
/// so a clone is one count of references.
#[derive(Clone)]
pub struct Gateway(Arc<GatewayParts>);

impl Deref for Gateway {
    type Target = GatewayParts;

    fn deref(&self) -> &GatewayParts {
        &self.0
    }
}

/// The parts of a [`Gateway`].
pub struct GatewayParts {
    pub sessions: Sessions,
    pub media: Media,
    pub store: Store,
    pub history: History,
    pub webhooks: Webhooks,
    pub fetcher: FileFetcher,
    pub proxies: SessionProxies,
    pub access: AccessMode,
    /// The settings in effect, as people see them.
    pub settings: Arc<[SettingValue]>,
    /// Host names of the gateway.
    pub hosts: Arc<HostNames>,
    /// Addresses that have shown invalid keys.
    pub guesses: Arc<Mutex<access::key_guesses::KeyGuesses>>,
    /// Open connections.
    pub connections: Arc<edge::ConnectionRegistry>,
    pub keys: ApiKeys,
    pub dashboard: dashboard::Dashboard,
    pub folder: DataFolder,
    pub clock: Clock,
    pub lifecycle: Lifecycle,
}

impl Gateway {
    pub fn new(parts: GatewayParts) -> Self {
        Self(Arc::new(parts))
    }

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

/// Builds the router of a listener for the dashboard alone.
pub fn build_dashboard_router(gateway: Gateway) -> Router {
    let RouteTable { tokened, .. } = routes::route_table();
    Router::new()
        .route("/", get(async || Redirect::to("/dashboard")))
        // Pages link to these, and a link stays on its address.
        .route("/docs", get(openapi::serve_page))
        .route("/openapi.json", get(openapi::serve_document))
        .merge(layer_tokened(&gateway, tokened))
        .merge(dashboard::build_router(&gateway))
        .layer(from_fn_with_state(
            gateway.clone(),
            request::layers::identify_and_log,
        ))
        .with_state(gateway)
}

/// Adds the layer of the routes whose address has a token.
fn layer_tokened(gateway: &Gateway, tokened: Router<Gateway>) -> Router<Gateway> {
    tokened
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(
            gateway.clone(),
            request::layers::serve_tokened,
        ))
}

/// Builds the router from the table. Each layer costs a request two allocations and a clone of the
/// router inside of it, so one does what all requests need, and one what all requests with a key
/// need.
pub fn build_router(gateway: Gateway) -> Router {
    let RouteTable {
        keyed,
        open,
        tokened,
        ..
    } = routes::route_table();
    let tokened = layer_tokened(&gateway, tokened);
    // Layers are for the routes that are there already.
    let keyed = keyed
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(
            gateway.clone(),
            access::auth::require_key,
        ));
    let dashboard = if gateway.dashboard.is_beside_api() {
        dashboard::build_router(&gateway)
    } else {
        Router::new()
    };
    open.method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .merge(tokened)
        .merge(keyed)
        .merge(dashboard)
        .layer(from_fn_with_state(
            gateway.clone(),
            request::layers::identify_and_log,
        ))
        .with_state(gateway)
}
