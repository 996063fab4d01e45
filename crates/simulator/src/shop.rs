//! Catalogs of businesses, and orders of their products.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Deserialize;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::OrderMessage;
use waproto::whatsapp::message::order_message::{OrderStatus, OrderSurface};

use crate::phone::Phone;
use crate::world::{Chat, PhoneNumber};

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

/// An order that a phone has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The id of the message.
    pub message: String,
    pub id: String,
    pub token: String,
}

impl Phone {
    /// Fills the account's catalog; an account that is no business has none.
    pub fn fills_catalog(&self, products: Vec<CatalogProduct>) {
        self.server
            .world
            .lock()
            .shops
            .catalogs
            .insert(self.number.clone(), products);
    }

    /// Orders products of a business by their ids, with quantities.
    pub fn orders_products(
        &self,
        seller: &str,
        items: &[(&str, u32)],
        message: &str,
    ) -> anyhow::Result<PlacedOrder> {
        let Chat::Person(number) = self.find_chat(seller)? else {
            anyhow::bail!("{seller} is no account")
        };
        let (id, token) = (
            format!("{}", rand::random::<u32>()),
            format!("{:032x}==", rand::random::<u128>()),
        );
        let order = {
            let mut world = self.server.world.lock();
            let seller = world
                .account(&number)
                .context("there is no such account")?
                .jid(crate::Addressing::PhoneNumber, 0);
            let offers = world
                .shops
                .catalogs
                .get(&number)
                .with_context(|| format!("{number} has no catalogue"))?;
            let item = |(id, quantity): &(&str, u32)| {
                let offer = offers.iter().find(|offer| offer.id == *id);
                Ok((
                    offer
                        .with_context(|| format!("there is no product {id}"))?
                        .clone(),
                    *quantity,
                ))
            };
            let items = items.iter().map(item).collect::<anyhow::Result<Vec<_>>>()?;
            ensure!(!items.is_empty(), "an order has something in it");
            let order = CustomerOrder {
                token: token.clone(),
                items,
                placed: crate::stanza::unix_time(),
            };
            let told = OrderMessage {
                order_id: Some(id.clone()),
                token: Some(token.clone()),
                order_title: Some(
                    world
                        .account(&number)
                        .map(|it| it.push_name.clone())
                        .unwrap_or_default(),
                ),
                message: Some(message.to_owned()),
                seller_jid: Some(seller.to_string()),
                item_count: i32::try_from(order.items.len()).ok(),
                status: Some(OrderStatus::INQUIRY),
                surface: Some(OrderSurface::CATALOG),
                total_amount1000: Some(order.total()),
                total_currency_code: Some(order.currency().to_owned()),
                ..Default::default()
            };
            world.shops.orders.insert(id.clone(), order);
            told
        };
        let order = wa::Message {
            order_message: MessageField::some(order),
            ..Default::default()
        };
        Ok(PlacedOrder {
            message: self.sends_message(&number, "media", order)?,
            id,
            token,
        })
    }
}
