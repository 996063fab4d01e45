//! Catalogues and order contents, as WhatsApp returns them. A public contract. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::Price;

/// A page of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CatalogPage {
    pub products: Vec<CatalogProduct>,
    /// WhatsApp's cursor for the next page; `null` on the last page.
    pub next: Option<String>,
}

/// A product in a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CatalogProduct {
    pub id: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub price: Option<Price>,
    /// The business's own id of the product.
    pub retailer_id: Option<String>,
    /// The product's web page.
    pub url: Option<String>,
    pub images: Vec<ProductImage>,
    /// Visible only to the owner.
    pub hidden: bool,
    /// Result of WhatsApp's review, in lower case, such as `approved`.
    pub review: Option<String>,
}

/// Links to WhatsApp's servers; they expire after some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ProductImage {
    pub url: Option<String>,
    /// A small version.
    pub preview_url: Option<String>,
}

/// The contents of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OrderDetails {
    pub id: String,
    pub items: Vec<OrderItem>,
    pub total: Option<Price>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OrderItem {
    /// Id of the product.
    pub id: Option<String>,
    pub title: Option<String>,
    pub quantity: Option<u32>,
    /// Price of one piece.
    pub price: Option<Price>,
    /// Link to its image, which expires after some time.
    pub image_url: Option<String>,
}
