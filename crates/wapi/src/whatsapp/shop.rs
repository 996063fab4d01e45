//! Business catalogues, and the contents of customers' orders.

use std::time::Duration;

use anyhow::Context;
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::marshal::marshal_to_vec;
use whatsapp_rust::wacore_binary::{Node, NodeContent, NodeRef, Server};

use super::asking::NotAnswered;
use super::link::Link;
use super::outgoing;
use crate::message::{Catalog, ChatId, Offer, OfferImage, OrderContent, OrderItem, Price};

/// Side length of small images, in pixels.
const PREVIEW: &str = "100";

impl Link {
    /// Returns at most `most` products of a catalogue, the account's own by default. `after` is
    /// WhatsApp's cursor from the previous answer.
    pub async fn catalog(
        &self,
        of: Option<&ChatId>,
        most: u32,
        after: Option<&str>,
        limit: Duration,
    ) -> Result<Catalog, NotAnswered> {
        let own = || Some(self.client.pn()?.to_non_ad());
        let of = of
            .map(outgoing::jid)
            .or_else(own)
            .ok_or(NotAnswered::Offline)?;
        let question = CatalogQuestion {
            of,
            most,
            after: after.map(str::to_owned),
        };
        self.asked(limit, Box::pin(self.client.execute(question)))
            .await
    }

    /// Returns the contents of an order; requires its token.
    pub async fn order(
        &self,
        id: &str,
        token: &str,
        limit: Duration,
    ) -> Result<OrderContent, NotAnswered> {
        let question = OrderQuestion {
            id: id.to_owned(),
            token: token.to_owned(),
        };
        self.asked(limit, Box::pin(self.client.execute(question)))
            .await
    }
}

struct CatalogQuestion {
    of: Jid,
    most: u32,
    after: Option<String>,
}

impl IqSpec for CatalogQuestion {
    type Response = Catalog;

    fn build_iq(&self) -> InfoQuery<'static> {
        let mut asked = vec![leaf("limit", self.most.to_string())];
        asked.extend(dimensions());
        asked.extend(self.after.clone().map(|after| leaf("after", after)));
        let catalog = NodeBuilder::new("product_catalog")
            .attr("jid", self.of.clone())
            .attr("allow_shop_source", "true")
            .children(asked);
        InfoQuery::get(
            "w:biz:catalog",
            server(),
            Some(NodeContent::Nodes(vec![catalog.build()])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Catalog, anyhow::Error> {
        let catalog = response
            .get_optional_child("product_catalog")
            .context("there is no catalogue")?;
        let products = catalog
            .get_children_by_tag("product")
            .filter_map(offer)
            .collect();
        let next = catalog
            .get_optional_child("paging")
            .and_then(|paging| text(paging, "after"));
        Ok(Catalog { products, next })
    }
}

/// Converts a product; `None` without an id, since it could not be referred to.
fn offer(product: &NodeRef<'_>) -> Option<Offer> {
    let images = product
        .get_optional_child("media")
        .into_iter()
        .flat_map(|media| media.get_children_by_tag("image"));
    let image = |image: &NodeRef<'_>| OfferImage {
        url: text(image, "original_image_url"),
        preview_url: text(image, "request_image_url"),
    };
    let review = product
        .get_optional_child("status_info")
        .and_then(|info| text(info, "status"));
    Some(Offer {
        id: text(product, "id")?,
        title: text(product, "name"),
        description: text(product, "description"),
        price: price(product, "price"),
        retailer_id: text(product, "retailer_id"),
        url: text(product, "url"),
        images: images.map(image).collect(),
        hidden: product
            .attrs()
            .optional_string("is_hidden")
            .is_some_and(|hidden| hidden == "true"),
        review: review.map(|review| review.to_ascii_lowercase()),
    })
}

struct OrderQuestion {
    id: String,
    token: String,
}

impl OrderQuestion {
    fn content(&self) -> Node {
        let small = NodeBuilder::new("image_dimensions")
            .children(dimensions())
            .build();
        let order = NodeBuilder::new("order")
            .attr("op", "get")
            .attr("id", self.id.as_str());
        order
            .children([small, leaf("token", self.token.as_str())])
            .build()
    }
}

impl IqSpec for OrderQuestion {
    type Response = OrderContent;

    fn build_iq(&self) -> InfoQuery<'static> {
        InfoQuery::get(
            "fb:thrift_iq",
            server(),
            Some(NodeContent::Nodes(vec![self.content()])),
        )
    }

    /// The engine's own form has no field for `smax_id`, which selects the request in this
    /// namespace.
    fn encode_iq_direct(&self, request_id: &str, out: &mut Vec<u8>) -> Result<bool, anyhow::Error> {
        let iq = NodeBuilder::new("iq")
            .attr("id", request_id)
            .attr("xmlns", "fb:thrift_iq")
            .attr("type", "get")
            .attr("to", server())
            .attr("smax_id", "5")
            .children([self.content()]);
        marshal_to_vec(&iq.build(), out)?;
        Ok(true)
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<OrderContent, anyhow::Error> {
        let order = response
            .get_optional_child("order")
            .context("there is no order")?;
        let item = |product: &NodeRef<'_>| OrderItem {
            id: text(product, "id"),
            title: text(product, "name"),
            quantity: text(product, "quantity").and_then(|quantity| quantity.parse().ok()),
            price: price(product, "price"),
            image_url: product
                .get_optional_child("image")
                .and_then(|image| text(image, "url")),
        };
        Ok(OrderContent {
            id: self.id.clone(),
            items: order.get_children_by_tag("product").map(item).collect(),
            total: order
                .get_optional_child("price")
                .and_then(|prices| price(prices, "total")),
        })
    }
}

fn server() -> Jid {
    Jid::new("", Server::Pn)
}

fn leaf(tag: &'static str, text: impl Into<String>) -> Node {
    NodeBuilder::new(tag)
        .bytes(text.into().into_bytes())
        .build()
}

fn dimensions() -> [Node; 2] {
    [leaf("width", PREVIEW), leaf("height", PREVIEW)]
}

/// Returns the text of a child, if it is not empty.
fn text(node: &NodeRef<'_>, tag: &str) -> Option<String> {
    let text = node.get_optional_child(tag)?.content_as_string()?;
    Some(text.to_string()).filter(|text| !text.is_empty())
}

/// Reads a price. WhatsApp counts money in thousandths, here as in messages.
fn price(node: &NodeRef<'_>, tag: &str) -> Option<Price> {
    Price::from_thousandths(text(node, tag)?.parse().ok()?, text(node, "currency")?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_product_is_read_whatever_is_left_out() {
        let bare = NodeBuilder::new("product")
            .children([leaf("id", "1"), leaf("price", "5"), leaf("name", "")])
            .build();
        let nameless = NodeBuilder::new("product")
            .children([leaf("name", "Tea")])
            .build();
        let catalog = NodeBuilder::new("product_catalog")
            .children([bare, nameless])
            .build();
        let answer = NodeBuilder::new("iq").children([catalog]).build();
        let question = CatalogQuestion {
            of: server(),
            most: 1,
            after: None,
        };
        let read = question.parse_response(&answer.as_node_ref()).unwrap();
        let offer = json!({
            "id": "1", "title": null, "description": null, "price": null, "retailer_id": null, "url": null, "images": [],
            "hidden": false, "review": null,
        });
        assert_eq!(
            serde_json::to_value(read).unwrap(),
            json!({"products": [offer], "next": null})
        );
    }

    #[test]
    fn the_question_for_an_order_says_which_it_is() {
        let question = OrderQuestion {
            id: "7".to_owned(),
            token: "t".to_owned(),
        };
        let mut encoded = Vec::new();
        assert!(question.encode_iq_direct("3EB0", &mut encoded).unwrap());
        // The first byte says whether the rest is compressed.
        let iq = whatsapp_rust::wacore_binary::marshal::unmarshal_ref(&encoded[1..]).unwrap();
        let said: Vec<_> = ["id", "xmlns", "type", "to", "smax_id"]
            .map(|name| iq.attrs().optional_string(name))
            .into();
        let said: Vec<_> = said
            .iter()
            .map(|text| text.as_deref().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(said, ["3EB0", "fb:thrift_iq", "get", "s.whatsapp.net", "5"]);
        assert_eq!(
            text(iq.get_optional_child("order").unwrap(), "token").as_deref(),
            Some("t")
        );
    }
}
