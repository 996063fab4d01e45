//! Migration to LIDs: a phone sends the account's other devices the mapping of numbers to LIDs.

use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;

use crate::model::ids::{DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::stanza::messages::phone_message;

impl Phone {
    /// Moves the account's chats of two to LIDs, and sends its linked devices the mapping for every
    /// account it has exchanged messages with.
    pub fn moves_to_lids(&self) -> anyhow::Result<()> {
        self.uses_addressing(Addressing::Lid);
        let (devices, mappings, since) = {
            let world = self.server.world.lock();
            let account = world
                .account(&self.number)
                .expect("an account is never removed while the simulator runs");
            let mapping = |peer: &PhoneNumber| {
                let peer = world.account(peer)?;
                let (pn, assigned_lid) = (peer.number.parse().ok()?, peer.lid.parse().ok()?);
                Some(wa::LIDMigrationMapping {
                    pn,
                    assigned_lid,
                    ..Default::default()
                })
            };
            let mappings: Vec<_> = account.peers.iter().filter_map(mapping).collect();
            (
                account.linked_devices().collect::<Vec<DeviceId>>(),
                mappings,
                account.addressed_since,
            )
        };
        let payload = wa::LIDMigrationMappingSyncPayload {
            pn_to_lid_mappings: mappings,
            chat_db_migration_timestamp: Some(since),
        };
        let sync = wa::LIDMigrationMappingSyncMessage {
            encoded_mapping_payload: Some(payload.encode_to_vec()),
        };
        let message = wa::Message {
            protocol_message: MessageField::some(wa::message::ProtocolMessage {
                r#type: Some(Type::LID_MIGRATION_MAPPING_SYNC),
                lid_migration_mapping_sync_message: MessageField::some(sync),
                ..Default::default()
            }),
            ..Default::default()
        };
        for device in devices {
            phone_message::send_to_own_device(&self.server, &device, &message)?;
        }
        Ok(())
    }
}
