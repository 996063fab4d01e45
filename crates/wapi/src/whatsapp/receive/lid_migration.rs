//! Pairs of number and LID that the account's phone sends when WhatsApp moves the account to LIDs.
//!
//! The engine learns them, too; here they complete the people known by only one address.

use whatsapp_rust::Jid;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::waproto::codec;

/// Returns the number and LID of each person in the message. Only the account's own phone is
/// trusted.
pub(in crate::whatsapp) fn parse_lid_pairs(message: &InboundMessage) -> Vec<[String; 2]> {
    let protocol = message
        .message
        .protocol_message
        .as_option()
        .filter(|_| message.info.source.is_from_me);
    let protocol =
        protocol.and_then(|protocol| protocol.lid_migration_mapping_sync_message.as_option());
    let payload = protocol.and_then(|protocol| protocol.encoded_mapping_payload.as_deref());
    let payload =
        payload.and_then(|payload| codec::lid_migration_mapping_sync_payload_decode(payload).ok());
    let pair = |number: u64, assigned: u64, latest: Option<u64>| {
        let lid = latest.filter(|lid| *lid > 0).unwrap_or(assigned);
        (number > 0 && lid > 0).then(|| {
            [
                Jid::pn(number.to_string()).to_string(),
                Jid::lid(lid.to_string()).to_string(),
            ]
        })
    };
    let mappings = payload
        .map(|payload| payload.pn_to_lid_mappings)
        .unwrap_or_default();
    mappings
        .iter()
        .filter_map(|it| pair(it.pn, it.assigned_lid, it.latest_lid))
        .collect()
}
