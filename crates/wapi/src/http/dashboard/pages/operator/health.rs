//! Health and settings: whether the gateway is ready and why not, what is set where, and licences.

use axum::extract::State;
use axum::response::Response;
use maud::html;

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{list_at, no_query, optional_text, read_document, text_at};
use crate::http::dashboard::layout::render_page;
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::monitoring;
use crate::http::request::query::QueryParameters;

/// The licences of the program, and what it says of others' work.
const LICENCES: [(&str, &str); 3] = [
    ("MIT", include_str!("../../../../../../../LICENSE-MIT")),
    (
        "Apache-2.0",
        include_str!("../../../../../../../LICENSE-APACHE"),
    ),
    ("NOTICE", include_str!("../../../../../../../NOTICE")),
];

/// `GET /dashboard/health`: readiness, version, and settings.
pub async fn show_health(
    State(gateway): State<Gateway>,
    context: PageContext,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let readiness = monitoring::health::check_readiness(State(gateway.clone())).await;
    let answer = monitoring::settings::list_settings(State(gateway), no_query()).await;
    let document = read_document(answer)?;
    let title = context.text(texts::HEALTH);
    let headings = [texts::NAME, texts::VALUE, texts::SOURCE];
    let content = html! {
        h1 { (title) }
        section.card id="readiness" {
            @match readiness {
                Ok(_) => {
                    h2 { (context.text(texts::READY)) }
                    p { (context.text(texts::READY_HINT)) }
                }
                Err(problem) => {
                    h2 { (context.text(texts::NOT_READY)) }
                    p.warning { (problem.into_document().detail) }
                }
            }
            dl {
                div { dt { (context.text(texts::VERSION)) } dd { (env!("CARGO_PKG_VERSION")) } }
                div {
                    dt { (context.text(texts::LICENCES)) }
                    dd { a href="/dashboard/licences" { "MIT, Apache-2.0, NOTICE" } }
                }
            }
        }
        section.card {
            h2 { (context.text(texts::SETTINGS)) }
            table id="settings" {
                thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
                tbody {
                    @for setting in list_at(&document, "settings") {
                        tr {
                            td data-label=(context.text(texts::NAME)) { code { (text_at(setting, "name")) } }
                            td data-label=(context.text(texts::VALUE)) {
                                @match optional_text(setting, "value") {
                                    Some(value) => (value),
                                    None => span.quiet { (context.text(texts::NOT_SET)) },
                                }
                            }
                            td data-label=(context.text(texts::SOURCE)) { (text_at(setting, "source")) }
                        }
                    }
                }
            }
        }
    };
    Ok(render_page(&context, title, content))
}

/// `GET /dashboard/licences`: the licences.
pub async fn show_licences(
    context: PageContext,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let title = context.text(texts::LICENCES);
    let content = html! {
        h1 { (title) }
        @for (name, text) in LICENCES {
            section.card { h2 { (name) } pre { (text) } }
        }
    };
    Ok(render_page(&context, title, content))
}
