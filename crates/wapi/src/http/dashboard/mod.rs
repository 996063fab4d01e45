//! The dashboard: pages for people, drawn from the documents of the routes of `/v1`.
//!
//! A page does nothing that no route does: it calls the functions behind the routes, with the
//! rights of the key that its reader has shown.

mod assets;
pub(in crate::http) mod context;
mod documents;
mod form;
mod layout;
mod live;
mod login;
mod navigation;
mod pages;
mod preferences;
mod snapshot;
pub(in crate::http) mod texts;
mod traffic;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::config::{DashboardConfig, WhatsappAddress};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::access::table::{RouteRow, RouteTable};
use crate::http::error::{Problem, ProblemDocument};
use crate::model::access::Scope::{Admin, Read};
use crate::system::clock::Clock;
use context::PageContext;
pub use login::{DashboardVisit, create_first_link};
use pages::operator::numbers::GatewayNumbers;
pub use pages::operator::numbers::keep_counting_traffic;
use pages::sandbox::SimulatorClient;
use snapshot::SharedSnapshot;
use traffic::TrafficRing;

/// The dashboard's settings and its state in memory; cheap to clone.
#[derive(Clone)]
pub struct Dashboard {
    config: Arc<DashboardConfig>,
    /// Changed with every logout.
    logouts: Arc<watch::Sender<()>>,
    /// Derives the token of forms where no key is required.
    open_secret: Arc<[u8; 32]>,
    /// Counts for the charts, once counting has begun.
    traffic: Arc<Mutex<Option<TrafficRing>>>,
    /// The numbers of the overview, for all of its readers.
    numbers: Arc<SharedSnapshot<GatewayNumbers>>,
    /// Distinguishes the cookies of this gateway from those of others on the same host.
    cookie_mark: Arc<str>,
    /// The simulated WhatsApp, where there is one.
    simulator: Option<SimulatorClient>,
}

impl Dashboard {
    pub fn new(
        config: DashboardConfig,
        whatsapp: &WhatsappAddress,
        cookie_mark: &str,
        clock: &Clock,
    ) -> Self {
        Self {
            simulator: SimulatorClient::for_whatsapp(whatsapp, clock),
            cookie_mark: cookie_mark.into(),
            config: config.into(),
            logouts: Arc::default(),
            open_secret: rand::random::<[u8; 32]>().into(),
            traffic: Arc::default(),
            numbers: Arc::default(),
        }
    }

    /// Returns whether the dashboard is served beside the API.
    pub fn is_beside_api(&self) -> bool {
        self.config.is_on && self.config.listen.is_none()
    }

    /// Returns whether the dashboard is served anywhere.
    pub fn is_served(&self) -> bool {
        self.config.is_on
    }

    fn allows_plain_http(&self) -> bool {
        self.config.allows_plain_http
    }

    fn cookie_mark(&self) -> &str {
        &self.cookie_mark
    }

    fn lock_traffic(&self) -> MutexGuard<'_, Option<TrafficRing>> {
        self.traffic.lock()
    }

    fn numbers(&self) -> &SharedSnapshot<GatewayNumbers> {
        &self.numbers
    }

    fn simulator(&self) -> Option<&SimulatorClient> {
        self.simulator.as_ref()
    }

    fn announce_logout(&self) {
        self.logouts.send_replace(());
    }
}

/// Nothing runs or loads but the gateway's own files, and scripts write no HTML but through the one
/// policy of `live.js`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types wapi";

/// Headers of every answer, unless it brings its own.
const SAFETY_HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Without any, browsers would name no origin of forms either.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// The pages and their scopes, as in the table of the API's routes.
fn page_table() -> RouteTable {
    let parts = [
        pages::chat::add_routes,
        pages::people::add_routes,
        pages::operator::add_routes,
        pages::sandbox::add_routes,
        pages::try_it::add_routes,
    ];
    parts
        .into_iter()
        .fold(RouteTable::new(), |table, add_routes| add_routes(table))
        .get(
            "/dashboard",
            Read.narrowed(),
            pages::overview::show_overview,
        )
        .get(
            "/dashboard/live",
            Read.narrowed(),
            pages::overview::stream_overview,
        )
        .get(
            "/dashboard/sessions",
            Read.narrowed(),
            pages::sessions::show_sessions,
        )
        .post(
            "/dashboard/sessions",
            Admin.narrowed(),
            pages::sessions::create_session,
        )
        .get(
            "/dashboard/live/sessions",
            Read.narrowed(),
            pages::sessions::stream_sessions,
        )
        .get(
            "/dashboard/sessions/{session}",
            Read,
            pages::session::show_session,
        )
        .get(
            "/dashboard/live/sessions/{session}",
            Read,
            pages::session::stream_session,
        )
        .post(
            "/dashboard/sessions/{session}/start",
            Admin,
            pages::session_actions::start_session,
        )
        .post(
            "/dashboard/sessions/{session}/stop",
            Admin,
            pages::session_actions::stop_session,
        )
        .post(
            "/dashboard/sessions/{session}/restart",
            Admin,
            pages::session_actions::restart_session,
        )
        .post(
            "/dashboard/sessions/{session}/unlink",
            Admin,
            pages::session_actions::unlink_session,
        )
        .post(
            "/dashboard/sessions/{session}/remove",
            Admin,
            pages::session_actions::remove_session,
        )
        .post(
            "/dashboard/sessions/{session}/connect-link",
            Admin,
            pages::session_actions::create_connect_link,
        )
        .post(
            "/dashboard/sessions/{session}/pairing-code",
            Admin,
            pages::session_actions::create_pairing_code,
        )
        .post(
            "/dashboard/sessions/{session}/passkey",
            Admin,
            pages::session_passkey::answer_passkey,
        )
        .post(
            "/dashboard/sessions/{session}/passkey/confirm",
            Admin,
            pages::session_passkey::confirm_passkey,
        )
        .get(
            "/dashboard/events",
            Read.narrowed(),
            pages::events::show_events,
        )
        .get(
            "/dashboard/live/events",
            Read.narrowed(),
            pages::events::stream_events,
        )
        .get("/dashboard/webhooks", Admin, pages::webhooks::show_webhooks)
        .post(
            "/dashboard/webhooks/{id}/enable",
            Admin,
            pages::webhooks::enable_webhook,
        )
        .post(
            "/dashboard/webhooks/{id}/test",
            Admin,
            pages::webhooks::test_webhook,
        )
        .get(
            "/dashboard/webhooks/{id}/deliveries",
            Admin,
            pages::deliveries::show_deliveries,
        )
        .post(
            "/dashboard/webhooks/{id}/deliveries/resend-failed",
            Admin,
            pages::deliveries::resend_failed,
        )
        .post(
            "/dashboard/webhooks/{id}/deliveries/{delivery}/resend",
            Admin,
            pages::deliveries::resend_delivery,
        )
        .post(
            "/dashboard/webhooks/{id}/replay",
            Admin,
            pages::deliveries::replay_events,
        )
        .get("/dashboard/keys", Admin, pages::keys::show_keys)
        .post("/dashboard/keys", Admin, pages::keys::create_key)
        .post(
            "/dashboard/keys/{id}/remove",
            Admin,
            pages::keys::remove_key,
        )
}

static PAGE_ROWS: LazyLock<Vec<RouteRow>> = LazyLock::new(|| page_table().rows);

/// Returns the pages with their scopes.
pub fn page_rows() -> Vec<RouteRow> {
    PAGE_ROWS.clone()
}

/// Returns whether a caller may open a page whose address has no parameters.
fn may_open(caller: &Caller, page: &str) -> bool {
    let row = PAGE_ROWS
        .iter()
        .find(|row| row.method == "GET" && row.path == page);
    row.and_then(|row| row.access)
        .is_some_and(|access| access.permits(caller))
}

/// Builds the router of the pages.
pub fn build_router(gateway: &Gateway) -> Router<Gateway> {
    let RouteTable { keyed, .. } = page_table();
    let pages = keyed
        // Whatever a key may do, its login can be ended.
        .route("/dashboard/logout", post(login::log_out))
        .route("/dashboard/{*rest}", get(async || Problem::NoRoute))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(gateway.clone(), login::require_login));
    Router::new()
        .route(
            "/dashboard/assets/{version}/{name}",
            get(assets::serve_asset),
        )
        .route(
            "/dashboard/login",
            get(login::show_login).post(login::log_in),
        )
        .route("/dashboard/preferences", post(preferences::set_preferences))
        .merge(pages)
        .layer(from_fn(show_problems_as_pages))
        .layer(from_fn(add_safety_headers))
}

async fn add_safety_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SAFETY_HEADERS {
        let headers = response.headers_mut();
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Shows problems as pages instead of JSON.
async fn show_problems_as_pages(context: PageContext, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let extensions = response.extensions_mut();
    // The reader of the page is known further inside.
    let context = extensions.remove().unwrap_or(context);
    match extensions.remove::<ProblemDocument>() {
        Some(problem) => layout::render_problem(&context, &problem),
        None => response,
    }
}
