//! Catalogs, and the content of orders.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest};
use crate::server::account::catalog::CatalogProduct;
use crate::wire::{StanzaExt, leaf_node};

/// Returns a page of a business's products. An account that has filled no catalog is not found.
pub(crate) fn get_catalog(request: &IqRequest<'_>) -> IqAnswer {
    let Some((ask, of)) = request
        .operation
        .and_then(|ask| Some((ask, ask.attr_jid("jid")?)))
    else {
        return IqAnswer::Error(400, "bad-request");
    };
    let world = request.server.world.lock();
    let account = world.account_of(&of);
    let Some((number, offers)) =
        account.and_then(|it| Some((&it.number, world.shops.catalogs.get(&it.number)?)))
    else {
        return IqAnswer::Error(404, "item-not-found");
    };
    let number_of = |tag: &str| -> Option<usize> {
        std::str::from_utf8(ask.child_bytes(tag)?)
            .ok()?
            .parse()
            .ok()
    };
    let (Some(limit), Some(_), Some(_)) =
        (number_of("limit"), number_of("width"), number_of("height"))
    else {
        return IqAnswer::Error(400, "bad-request");
    };
    let after = match ask.child("after") {
        None => 0,
        Some(_) => match number_of("after") {
            Some(after) => after,
            None => return IqAnswer::Error(400, "bad-request"),
        },
    };
    let shown: Vec<_> = offers
        .iter()
        .filter(|offer| !offer.hidden || *number == request.device.number)
        .collect();
    let page = shown.iter().skip(after).take(limit);
    let mut children: Vec<Node> = page.map(|offer| product_node(offer)).collect();
    if after + limit < shown.len() {
        let next = leaf_node("after", (after + limit).to_string());
        children.push(NodeBuilder::new("paging").children([next]).build());
    }
    IqAnswer::with_child(
        NodeBuilder::new("product_catalog")
            .children(children)
            .build(),
    )
}

fn product_node(offer: &CatalogProduct) -> Node {
    let image = |url: &String| {
        let links = [
            leaf_node("request_image_url", format!("{url}?s=100")),
            leaf_node("original_image_url", url.as_str()),
        ];
        NodeBuilder::new("image").children(links).build()
    };
    let status = NodeBuilder::new("status_info").children([
        leaf_node("status", "APPROVED"),
        leaf_node("can_appeal", "false"),
    ]);
    let mut children = vec![
        leaf_node("id", offer.id.as_str()),
        leaf_node("name", offer.name.as_str()),
        leaf_node("description", offer.description.as_str()),
        NodeBuilder::new("media")
            .children(offer.images.iter().map(image).collect::<Vec<_>>())
            .build(),
        leaf_node("currency", offer.currency.as_str()),
        status.build(),
    ];
    for (tag, text) in [("retailer_id", &offer.retailer_id), ("url", &offer.url)] {
        if !text.is_empty() {
            children.push(leaf_node(tag, text.as_str()));
        }
    }
    if offer.price != 0 {
        children.push(leaf_node("price", offer.price.to_string()));
    }
    NodeBuilder::new("product")
        .attr("is_hidden", offer.hidden.to_string())
        .children(children)
        .build()
}

/// Returns the content of an order, given its token.
pub(crate) fn get_order(request: &IqRequest<'_>) -> IqAnswer {
    let Some(ask) = request
        .operation
        .filter(|ask| ask.attr_text("op").as_deref() == Some("get"))
    else {
        return IqAnswer::Unknown;
    };
    let (Some("5"), Some(id)) = (
        request.iq.attr_text("smax_id").as_deref(),
        ask.attr_text("id"),
    ) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let world = request.server.world.lock();
    let known = world.shops.orders.get(&*id);
    let Some(order) =
        known.filter(|order| ask.child_bytes("token") == Some(order.token.as_bytes()))
    else {
        return IqAnswer::Error(404, "item-not-found");
    };
    let products = order.items.iter().map(|(offer, quantity)| {
        let mut children = vec![
            leaf_node("id", offer.id.as_str()),
            leaf_node("name", offer.name.as_str()),
            leaf_node("price", offer.price.to_string()),
            leaf_node("currency", offer.currency.as_str()),
            leaf_node("quantity", quantity.to_string()),
        ];
        if let Some(image) = offer.images.first() {
            children.push(
                NodeBuilder::new("image")
                    .children([leaf_node("url", image.as_str())])
                    .build(),
            );
        }
        NodeBuilder::new("product").children(children).build()
    });
    let mut children: Vec<_> = products.collect();
    let total = order.total().to_string();
    let price = [
        leaf_node("subtotal", total.as_str()),
        leaf_node("total", total.as_str()),
        leaf_node("currency", order.currency()),
    ];
    children.push(NodeBuilder::new("price").children(price).build());
    let described = NodeBuilder::new("order")
        .attr("id", &*id)
        .attr("creation_ts", order.placed.to_string());
    IqAnswer::with_child(described.children(children).build())
}
