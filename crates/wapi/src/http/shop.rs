//! `/v1/sessions/{session}/catalog` and `…/orders`: products and orders of businesses.

use axum::Json;
use axum::extract::{Path, State};

use super::Gateway;
use super::error::{MissingInShop, Problem};
use super::extract::{NOT_TEXT, Named};
use super::query::Query;
use crate::message::{Catalog, ChatId, OrderContent};
use crate::sessions::{AskError, SessionName};
use crate::whatsapp::NotAnswered;

/// Default and maximum number of products per answer.
pub(super) const LIMIT: (u32, u32) = (20, 100);

/// `GET …/catalog?of=&limit=&cursor=`: lists products, querying WhatsApp each time.
pub(super) async fn catalog(
    State(gateway): State<Gateway>,
    Named(session): Named,
    mut query: Query,
) -> Result<Json<Catalog>, Problem> {
    let of = query.text("of");
    let limit = query.limit(LIMIT);
    let cursor = query.text("cursor").filter(|cursor| !cursor.is_empty());
    query.done()?;
    let of = of.map(|text| match ChatId::parse(&text) {
        Ok(of) if of.is_person() => Ok(of),
        Ok(_) => Err(Problem::field(
            "of",
            "is no account; name a business by its number or address",
        )),
        Err(error) => Err(Problem::field("of", error.to_string())),
    });
    let asked = gateway
        .sessions
        .catalog(&session, of.transpose()?.as_ref(), limit, cursor.as_deref())
        .await;
    Ok(Json(
        asked.map_err(|error| missing(error, MissingInShop::Catalog))?,
    ))
}

/// `GET …/orders/{order}?token=`: shows an order to its recipient.
pub(super) async fn order(
    State(gateway): State<Gateway>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
    mut query: Query,
) -> Result<Json<OrderContent>, Problem> {
    let Path((session, order)) = path.map_err(|_| Problem::field("session", NOT_TEXT))?;
    let session = SessionName::parse(&session)
        .map_err(|error| Problem::field("session", error.to_string()))?;
    let token = query.text("token").filter(|token| !token.is_empty());
    query.done()?;
    let token = token
        .ok_or_else(|| Problem::field("token", "is missing; the message of type `order` has it"))?;
    let asked = gateway.sessions.order(&session, &order, &token).await;
    Ok(Json(
        asked.map_err(|error| missing(error, MissingInShop::Order))?,
    ))
}

fn missing(error: AskError, what: MissingInShop) -> Problem {
    match error {
        AskError::NotAnswered(NotAnswered::Refused(404)) => Problem::MissingInShop(what),
        error => error.into(),
    }
}
