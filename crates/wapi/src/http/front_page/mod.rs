//! `GET /`: the page for browsers. It names the program and links to its API, and shows none of its
//! data.

use axum::http::HeaderName;
use axum::response::Html;

use super::openapi::PAGE_POLICY;

const PAGE: &str = include_str!("page.html");

/// Serves the page without a key: it has no script and loads nothing. Its links are relative, so
/// that it also works behind a proxy's path.
pub async fn serve_front_page() -> ([(HeaderName, &'static str); 1], Html<String>) {
    (
        [PAGE_POLICY],
        Html(PAGE.replace("{version}", env!("CARGO_PKG_VERSION"))),
    )
}
