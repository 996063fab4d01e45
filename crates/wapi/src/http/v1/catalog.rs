//! `/v1/sessions/{session}/catalog` and `…/orders`: products and orders of businesses.

use axum::Json;
use axum::extract::{Path, State};

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::message::{CatalogPage, ChatId, OrderDetails};
use crate::model::session_name::SessionName;
use crate::whatsapp::RequestError;

/// Default and maximum number of products per answer.
pub(in crate::http) const PRODUCT_LIMIT: (u32, u32) = (20, 100);

/// `GET …/catalog?of=&limit=&cursor=`: lists products, querying WhatsApp each time.
pub(in crate::http) async fn show_catalog(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<CatalogPage>, Problem> {
    let of = query.optional_text("of");
    let limit = query.list_limit(PRODUCT_LIMIT);
    let cursor = query
        .optional_text("cursor")
        .filter(|cursor| !cursor.is_empty());
    query.finish()?;
    let of = of.map(|text| match ChatId::parse(&text) {
        Ok(of) if of.is_person() => Ok(of),
        Ok(_) => Err(Problem::invalid_field(
            "of",
            "is not an account; name a business by its number or address",
        )),
        Err(error) => Err(Problem::invalid_field("of", error.to_string())),
    });
    let of = of.transpose()?;
    let requested = gateway
        .sessions
        .online(&session)?
        .fetch_catalog(of.as_ref(), limit, cursor.as_deref())
        .await;
    Ok(Json(requested.map_err(|error| {
        catalog_problem(error, Problem::NoCatalog)
    })?))
}

/// `GET …/orders/{order}?token=`: shows an order to its recipient.
pub(in crate::http) async fn show_order(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    mut query: QueryParameters,
) -> Result<Json<OrderDetails>, Problem> {
    let Path((session, order)) = path.map_err(|_| Problem::invalid_field("session", NOT_TEXT))?;
    let session = SessionName::parse(&session)
        .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
    let token = query
        .optional_text("token")
        .filter(|token| !token.is_empty());
    query.finish()?;
    let token = token.ok_or_else(|| {
        Problem::invalid_field("token", "is missing; the message of type `order` has it")
    })?;
    let requested = gateway
        .sessions
        .online(&session)?
        .fetch_order(&order, &token)
        .await;
    Ok(Json(requested.map_err(|error| {
        catalog_problem(error, Problem::NoOrder)
    })?))
}

fn catalog_problem(error: RequestError, not_found: Problem) -> Problem {
    match error {
        RequestError::Refused(404) => not_found,
        error => error.into(),
    }
}
