//! Catalogs of businesses, and orders of their products.

use axum::extract::{Path, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{JsonBody, JsonResult, SharedServer, find_phone};
use crate::server::Server;
use crate::server::account::catalog::CatalogProduct;

pub(super) fn routes() -> Router<std::sync::Arc<Server>> {
    Router::new()
        .route("/phones/{number}/catalog", put(fill_catalog))
        .route("/phones/{number}/orders", post(place_order))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogUpdate {
    products: Vec<CatalogProduct>,
}

async fn fill_catalog(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(catalog): JsonBody<CatalogUpdate>,
) -> JsonResult {
    find_phone(&server, &number)?.fills_catalog(catalog.products);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderRequest {
    /// Number or address of the business.
    seller: String,
    items: Vec<OrderItem>,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderItem {
    product: String,
    quantity: u32,
}

async fn place_order(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(cart): JsonBody<OrderRequest>,
) -> JsonResult {
    let items: Vec<_> = cart
        .items
        .iter()
        .map(|item| (item.product.as_str(), item.quantity))
        .collect();
    let placed =
        find_phone(&server, &number)?.orders_products(&cart.seller, &items, &cart.message)?;
    Ok(Json(
        json!({"id": placed.message, "order": placed.id, "token": placed.token}),
    ))
}
