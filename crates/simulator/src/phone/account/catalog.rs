//! Catalogs of businesses, and orders of their products.

use anyhow::{Context, ensure};
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::OrderMessage;
use waproto::whatsapp::message::order_message::{OrderStatus, OrderSurface};

use crate::model::ids::Chat;
use crate::phone::Phone;
use crate::server::account::catalog::{CatalogProduct, CustomerOrder};

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
                .jid(crate::model::options::Addressing::PhoneNumber, 0);
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
                placed: crate::wire::unix_time(),
            };
            let order_message = OrderMessage {
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
            order_message
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
