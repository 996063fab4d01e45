//! Catalogs of businesses, and orders of their products.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::model::ids::PhoneNumber;

/// A product in a catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogProduct {
    pub id: String,
    pub name: String,
    pub description: String,
    /// In thousandths, as WhatsApp counts; 0: it has no price.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
    pub retailer_id: String,
    /// Its web page.
    pub url: String,
    /// URLs of its images.
    pub images: Vec<String>,
    /// Only the owner sees it.
    pub hidden: bool,
}

/// The catalogs of all businesses, and all orders.
#[derive(Default)]
pub(crate) struct ShopData {
    pub(crate) catalogs: BTreeMap<PhoneNumber, Vec<CatalogProduct>>,
    pub(crate) orders: BTreeMap<String, CustomerOrder>,
}

/// An order of a customer.
pub(crate) struct CustomerOrder {
    /// The token that gives access to the order.
    pub(crate) token: String,
    /// Products with their quantities.
    pub(crate) items: Vec<(CatalogProduct, u32)>,
    /// Seconds since 1970.
    pub(crate) placed: u64,
}

impl CustomerOrder {
    /// The total price, in thousandths.
    pub(crate) fn total(&self) -> i64 {
        self.items
            .iter()
            .map(|(offer, quantity)| offer.price * i64::from(*quantity))
            .sum()
    }

    /// The currency of the first product; a catalog has only one.
    pub(crate) fn currency(&self) -> &str {
        self.items.first().map_or("", |(offer, _)| &offer.currency)
    }
}
