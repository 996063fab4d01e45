//! Business catalogues, and the contents of customers' orders.

use anyhow::Context;
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::marshal::marshal_to_vec;
use whatsapp_rust::wacore_binary::{Node, NodeContent, NodeRef, Server};

use crate::model::message::{
    CatalogPage, CatalogProduct, ChatId, OrderDetails, OrderItem, Price, ProductImage,
};
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

/// Side length of small images, in pixels.
const PREVIEW_SIDE: &str = "100";

impl Link {
    /// Returns at most `limit` products of a catalogue, the account's own by default. `after` is
    /// WhatsApp's cursor from the previous answer.
    pub async fn fetch_catalog(
        &self,
        of: Option<&ChatId>,
        limit: u32,
        after: Option<&str>,
    ) -> Result<CatalogPage, RequestError> {
        let own = || Some(self.client.pn()?.to_non_ad());
        let of = of
            .map(encode::chat_jid)
            .or_else(own)
            .ok_or(RequestError::Offline)?;
        let question = CatalogQuery {
            of,
            limit,
            after: after.map(str::to_owned),
        };
        self.run_request(Box::pin(self.client.execute(question)))
            .await
    }

    /// Returns the contents of an order; requires its token.
    pub async fn fetch_order(&self, id: &str, token: &str) -> Result<OrderDetails, RequestError> {
        let question = OrderQuery {
            id: id.to_owned(),
            token: token.to_owned(),
        };
        self.run_request(Box::pin(self.client.execute(question)))
            .await
    }
}

struct CatalogQuery {
    of: Jid,
    limit: u32,
    after: Option<String>,
}

impl IqSpec for CatalogQuery {
    type Response = CatalogPage;

    fn build_iq(&self) -> InfoQuery<'static> {
        let mut children = vec![text_node("limit", self.limit.to_string())];
        children.extend(preview_dimensions());
        children.extend(self.after.clone().map(|after| text_node("after", after)));
        let catalog = NodeBuilder::new("product_catalog")
            .attr("jid", self.of.clone())
            .attr("allow_shop_source", "true")
            .children(children);
        InfoQuery::get(
            "w:biz:catalog",
            server_jid(),
            Some(NodeContent::Nodes(vec![catalog.build()])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<CatalogPage, anyhow::Error> {
        let catalog = response
            .get_optional_child("product_catalog")
            .context("the answer has no catalogue")?;
        let products = catalog
            .get_children_by_tag("product")
            .filter_map(parse_product)
            .collect();
        let next = catalog
            .get_optional_child("paging")
            .and_then(|paging| read_text(paging, "after"));
        Ok(CatalogPage { products, next })
    }
}

/// Converts a product; `None` without an id, since it could not be referred to.
fn parse_product(product: &NodeRef<'_>) -> Option<CatalogProduct> {
    let images = product
        .get_optional_child("media")
        .into_iter()
        .flat_map(|media| media.get_children_by_tag("image"));
    let image = |image: &NodeRef<'_>| ProductImage {
        url: read_text(image, "original_image_url"),
        preview_url: read_text(image, "request_image_url"),
    };
    let review = product
        .get_optional_child("status_info")
        .and_then(|info| read_text(info, "status"));
    Some(CatalogProduct {
        id: read_text(product, "id")?,
        title: read_text(product, "name"),
        description: read_text(product, "description"),
        price: read_price(product, "price"),
        retailer_id: read_text(product, "retailer_id"),
        url: read_text(product, "url"),
        images: images.map(image).collect(),
        hidden: product
            .attrs()
            .optional_string("is_hidden")
            .is_some_and(|hidden| hidden == "true"),
        review: review.map(|review| review.to_ascii_lowercase()),
    })
}

struct OrderQuery {
    id: String,
    token: String,
}

impl OrderQuery {
    fn build_order(&self) -> Node {
        let small = NodeBuilder::new("image_dimensions")
            .children(preview_dimensions())
            .build();
        let order = NodeBuilder::new("order")
            .attr("op", "get")
            .attr("id", self.id.as_str());
        order
            .children([small, text_node("token", self.token.as_str())])
            .build()
    }
}

impl IqSpec for OrderQuery {
    type Response = OrderDetails;

    fn build_iq(&self) -> InfoQuery<'static> {
        InfoQuery::get(
            "fb:thrift_iq",
            server_jid(),
            Some(NodeContent::Nodes(vec![self.build_order()])),
        )
    }

    /// The engine's own form has no field for `smax_id`, which selects the request in this
    /// namespace.
    fn encode_iq_direct(&self, request_id: &str, out: &mut Vec<u8>) -> Result<bool, anyhow::Error> {
        let iq = NodeBuilder::new("iq")
            .attr("id", request_id)
            .attr("xmlns", "fb:thrift_iq")
            .attr("type", "get")
            .attr("to", server_jid())
            .attr("smax_id", "5")
            .children([self.build_order()]);
        marshal_to_vec(&iq.build(), out)?;
        Ok(true)
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<OrderDetails, anyhow::Error> {
        let order = response
            .get_optional_child("order")
            .context("the answer has no order")?;
        let item = |product: &NodeRef<'_>| OrderItem {
            id: read_text(product, "id"),
            title: read_text(product, "name"),
            quantity: read_text(product, "quantity").and_then(|quantity| quantity.parse().ok()),
            price: read_price(product, "price"),
            image_url: product
                .get_optional_child("image")
                .and_then(|image| read_text(image, "url")),
        };
        Ok(OrderDetails {
            id: self.id.clone(),
            items: order.get_children_by_tag("product").map(item).collect(),
            total: order
                .get_optional_child("price")
                .and_then(|prices| read_price(prices, "total")),
        })
    }
}

fn server_jid() -> Jid {
    Jid::new("", Server::Pn)
}

fn text_node(tag: &'static str, text: impl Into<String>) -> Node {
    NodeBuilder::new(tag)
        .bytes(text.into().into_bytes())
        .build()
}

fn preview_dimensions() -> [Node; 2] {
    [
        text_node("width", PREVIEW_SIDE),
        text_node("height", PREVIEW_SIDE),
    ]
}

/// Returns the text of a child, if it is not empty.
fn read_text(node: &NodeRef<'_>, tag: &str) -> Option<String> {
    let text = node.get_optional_child(tag)?.content_as_string()?;
    Some(text.to_string()).filter(|text| !text.is_empty())
}

/// Reads a price. WhatsApp counts money in thousandths, here as in messages.
fn read_price(node: &NodeRef<'_>, tag: &str) -> Option<Price> {
    Price::from_thousandths(
        read_text(node, tag)?.parse().ok()?,
        read_text(node, "currency")?,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::whatsapp::queries::catalog::*;

    #[test]
    fn a_product_is_read_whatever_is_left_out() {
        let bare = NodeBuilder::new("product")
            .children([
                text_node("id", "1"),
                text_node("price", "5"),
                text_node("name", ""),
            ])
            .build();
        let nameless = NodeBuilder::new("product")
            .children([text_node("name", "Tea")])
            .build();
        let catalog = NodeBuilder::new("product_catalog")
            .children([bare, nameless])
            .build();
        let answer = NodeBuilder::new("iq").children([catalog]).build();
        let question = CatalogQuery {
            of: server_jid(),
            limit: 1,
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
        let question = OrderQuery {
            id: "7".to_owned(),
            token: "t".to_owned(),
        };
        let mut encoded = Vec::new();
        assert!(question.encode_iq_direct("3EB0", &mut encoded).unwrap());
        // The first byte says whether the rest is compressed.
        let iq = whatsapp_rust::wacore_binary::marshal::unmarshal_ref(&encoded[1..]).unwrap();
        let attributes: Vec<_> = ["id", "xmlns", "type", "to", "smax_id"]
            .map(|name| iq.attrs().optional_string(name))
            .into();
        let attributes: Vec<_> = attributes
            .iter()
            .map(|text| text.as_deref().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            attributes,
            ["3EB0", "fb:thrift_iq", "get", "s.whatsapp.net", "5"]
        );
        assert_eq!(
            read_text(iq.get_optional_child("order").unwrap(), "token").as_deref(),
            Some("t")
        );
    }
}
