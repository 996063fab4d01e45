//! Catalogs of businesses, and orders of their products.

use axum::extract::{Path, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, Shared, phone};
use crate::server::Server;
use crate::shop::Offer;

pub(super) fn routes() -> Router<std::sync::Arc<Server>> {
    Router::new()
        .route("/phones/{number}/catalog", put(fill))
        .route("/phones/{number}/orders", post(order))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalog {
    products: Vec<Offer>,
}

async fn fill(
    State(server): Shared,
    Path(number): Path<String>,
    Body(catalog): Body<Catalog>,
) -> Answer {
    phone(&server, &number)?.offers(catalog.products);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cart {
    /// Number or address of the business.
    seller: String,
    items: Vec<Item>,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    product: String,
    quantity: u32,
}

async fn order(
    State(server): Shared,
    Path(number): Path<String>,
    Body(cart): Body<Cart>,
) -> Answer {
    let items: Vec<_> = cart
        .items
        .iter()
        .map(|item| (item.product.as_str(), item.quantity))
        .collect();
    let placed = phone(&server, &number)?.orders(&cart.seller, &items, &cart.message)?;
    Ok(Json(
        json!({"id": placed.message, "order": placed.id, "token": placed.token}),
    ))
}
