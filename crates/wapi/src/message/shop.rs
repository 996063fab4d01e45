//! What is in catalogues and in orders, as WhatsApp tells it when it is asked. A public contract. Pure.

use serde::Serialize;

use super::Price;

/// Some products of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Catalog {
    pub products: Vec<Offer>,
    /// WhatsApp's mark for the next ones; `null` when there are no more.
    pub next: Option<String>,
}

/// A product as its catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    pub id: String,
    pub title: Option<String>,
    pub description: Option<String>,
    pub price: Option<Price>,
    /// The business's own name for it.
    pub retailer_id: Option<String>,
    /// Its page.
    pub url: Option<String>,
    pub images: Vec<OfferImage>,
    /// The owner alone sees it.
    pub hidden: bool,
    /// What WhatsApp's review came to, in lower case: `approved`, say.
    pub review: Option<String>,
}

/// Links to WhatsApp's servers, which end after some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferImage {
    pub url: Option<String>,
    /// A small one.
    pub preview_url: Option<String>,
}

/// What a customer has ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderContent {
    pub id: String,
    pub items: Vec<OrderItem>,
    pub total: Option<Price>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderItem {
    /// Of the product.
    pub id: Option<String>,
    pub title: Option<String>,
    pub quantity: Option<u32>,
    /// Of one of them.
    pub price: Option<Price>,
    /// A link to its picture, which ends after some time.
    pub image_url: Option<String>,
}
