//! What businesses offer in their catalogues, and what customers order of it.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde::Deserialize;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::OrderMessage;
use waproto::whatsapp::message::order_message::{OrderStatus, OrderSurface};

use crate::phone::Phone;
use crate::world::{Chat, Number};

/// A product in a catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Offer {
    pub id: String,
    pub name: String,
    pub description: String,
    /// In thousandths, as WhatsApp counts; 0: it has no price.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
    pub retailer_id: String,
    /// Its page.
    pub url: String,
    /// Where its pictures are.
    pub images: Vec<String>,
    /// The owner alone sees it.
    pub hidden: bool,
}

/// What all businesses offer, and what was ordered.
#[derive(Default)]
pub(crate) struct Shops {
    pub(crate) catalogs: BTreeMap<Number, Vec<Offer>>,
    pub(crate) orders: BTreeMap<String, Order>,
}

/// What a customer has put together.
pub(crate) struct Order {
    /// Whoever has it may look into the order.
    pub(crate) token: String,
    /// Each with how many of it.
    pub(crate) items: Vec<(Offer, u32)>,
    /// Since 1970, in seconds.
    pub(crate) placed: u64,
}

impl Order {
    /// In thousandths.
    pub(crate) fn total(&self) -> i64 {
        self.items
            .iter()
            .map(|(offer, quantity)| offer.price * i64::from(*quantity))
            .sum()
    }

    /// Of the first product; a catalogue has one.
    pub(crate) fn currency(&self) -> &str {
        self.items.first().map_or("", |(offer, _)| &offer.currency)
    }
}

/// An order as its customer's phone has sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedOrder {
    /// Of the message.
    pub message: String,
    pub id: String,
    pub token: String,
}

impl Phone {
    /// Fills the account's catalogue; before that it has none, as nobody has who is no business.
    pub fn offers(&self, products: Vec<Offer>) {
        self.server
            .world
            .lock()
            .shops
            .catalogs
            .insert(self.number.clone(), products);
    }

    /// Orders products of a business by their ids, so many of each.
    pub fn orders(
        &self,
        seller: &str,
        items: &[(&str, u32)],
        message: &str,
    ) -> anyhow::Result<PlacedOrder> {
        let Chat::Person(number) = self.chat(seller)? else {
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
            let order = Order {
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
            message: self.sends(&number, "media", order)?,
            id,
            token,
        })
    }
}
