//! `GET /`: browsers are led to the dashboard, programs get a short document. Neither shows any data
//! of the gateway.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Serialize;

use super::openapi::PAGE_POLICY;
use crate::http::Gateway;

const PAGE: &str = include_str!("page.html");
const DASHBOARD_ENTRY: &str = "<dt><a href=\"dashboard\">dashboard</a></dt>\n<dd>Sessions and their state, for people.</dd>\n";

/// The program, and the addresses of what it serves.
#[derive(Debug, Serialize)]
pub struct FrontDocument {
    name: &'static str,
    version: &'static str,
    docs: &'static str,
    openapi: &'static str,
    /// `null` where this address has none.
    dashboard: Option<&'static str>,
}

/// Serves the page without a key: it has no script and loads nothing. Its links are relative, so
/// that it also works behind a proxy's path.
pub async fn serve_front_page(State(gateway): State<Gateway>, headers: HeaderMap) -> Response {
    let has_dashboard = gateway.dashboard.is_beside_api();
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let vary = (header::VARY, "accept");
    match PreferredForm::from_accept(accept) {
        PreferredForm::Json => {
            let document = FrontDocument {
                name: "wapi",
                version: env!("CARGO_PKG_VERSION"),
                docs: "/docs",
                openapi: "/openapi.json",
                dashboard: has_dashboard.then_some("/dashboard"),
            };
            ([vary], Json(document)).into_response()
        }
        PreferredForm::Page if has_dashboard => {
            ([vary], Redirect::to("/dashboard")).into_response()
        }
        PreferredForm::Page | PreferredForm::Any => {
            ([vary, PAGE_POLICY], Html(render_page(has_dashboard))).into_response()
        }
    }
}

fn render_page(has_dashboard: bool) -> String {
    let entry = if has_dashboard { DASHBOARD_ENTRY } else { "" };
    PAGE.replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{dashboard}", entry)
}

/// The form that a caller asks for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PreferredForm {
    Json,
    Page,
    Any,
}

impl PreferredForm {
    fn from_accept(accept: &str) -> Self {
        let mut ranges = accept
            .split(',')
            .map(|range| range.split(';').next().unwrap_or_default().trim());
        let named = ranges.find_map(|range| match range {
            "application/json" => Some(Self::Json),
            "text/html" => Some(Self::Page),
            _ => None,
        });
        named.unwrap_or(Self::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_gets_the_form_that_it_names_first() {
        for (accept, form) in [
            ("application/json", PreferredForm::Json),
            ("application/json, text/html;q=0.9", PreferredForm::Json),
            (
                "text/html,application/xhtml+xml,*/*;q=0.8",
                PreferredForm::Page,
            ),
            ("*/*", PreferredForm::Any),
            ("", PreferredForm::Any),
        ] {
            assert_eq!(PreferredForm::from_accept(accept), form, "{accept}");
        }
    }
}
