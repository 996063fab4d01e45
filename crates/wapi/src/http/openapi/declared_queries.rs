//! Routes whose description has no query parameters, and the refusal of any there.

use std::collections::HashSet;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::{IntoResponse, Response};

use super::route_families;
use crate::http::request::query::QueryParameters;

/// Path and method of the routes below `/v1` without parameters. Those of the original ignore all
/// that they do not know, as the original did.
static WITHOUT_PARAMETERS: LazyLock<HashSet<(&str, &str)>> = LazyLock::new(|| {
    let families = route_families();
    let operations = families.iter().flat_map(|family| &family.operations);
    operations
        .filter(|operation| operation.path.starts_with("/v1/") && !operation.has_query())
        .map(|operation| (operation.path, operation.method))
        .collect()
});

/// Returns the refusal of query parameters where a route has none, whatever its handler reads: a misspelt parameter
/// would otherwise pass as one that was left out. Handlers of the other routes read theirs one by
/// one, and tell all mistakes at once.
pub fn find_undeclared(request: &Request) -> Option<Response> {
    let query = request.uri().query()?;
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    // `HEAD` is answered by the handler of `GET`.
    let method = match *request.method() {
        Method::HEAD => Method::GET.as_str(),
        ref method => method.as_str(),
    };
    if !WITHOUT_PARAMETERS.contains(&(path.trim_end_matches('/'), method)) {
        return None;
    }
    let judged = QueryParameters::parse(query).finish();
    judged.err().map(IntoResponse::into_response)
}
