//! `GET /`: what somebody sees who opens the address in a browser. It says what this is and where to go, and nothing of what is in it.

use axum::http::HeaderName;
use axum::response::Html;

use super::openapi::POLICY;

const PAGE: &str = include_str!("front/page.html");

/// Everybody may see it: it has no script and loads nothing. The links are relative, so that it works behind a proxy's path, too.
pub async fn page() -> ([(HeaderName, &'static str); 1], Html<String>) {
    (
        [POLICY],
        Html(PAGE.replace("{version}", env!("CARGO_PKG_VERSION"))),
    )
}
