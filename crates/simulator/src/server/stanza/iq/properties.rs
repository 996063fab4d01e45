//! Feature properties: the switches that differ from a client's defaults, by their codes.

use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest};
use crate::server::world::Account;

/// The property by which a client learns that its account's one-to-one chats use LIDs.
const LID_CHATS_PROPERTY: u32 = 9435;

/// Returns the feature properties that are not at their defaults.
pub(crate) fn list_properties(request: &IqRequest<'_>) -> IqAnswer {
    let (mut properties, is_moved) = {
        let world = request.server.world.lock();
        let account = world.account(&request.device.number);
        (
            account.map(Account::feature_properties).unwrap_or_default(),
            account.is_some_and(Account::is_moved_to_lids),
        )
    };
    properties
        .entry(LID_CHATS_PROPERTY)
        .or_insert_with(|| u8::from(is_moved).to_string());
    let hash = hex::encode(&Sha256::digest(format!("{properties:?}"))[..6]);
    let props = properties.iter().map(|(code, value)| {
        NodeBuilder::new("prop")
            .attr("config_code", code.to_string())
            .attr("config_value", value.as_str())
            .build()
    });
    IqAnswer::with_child(
        NodeBuilder::new("props")
            .attr("protocol", "1")
            .attr("hash", hash)
            .attr("refresh", "86400")
            .attr("refresh_id", "1")
            .children(props.collect::<Vec<_>>())
            .build(),
    )
}
