//! Stanzas of trust tokens: a device or a phone gives a token to a person it writes to, and the
//! devices of both accounts are notified.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::enqueue_stanza;
use crate::model::ids::{DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::account::trust::TrustToken;
use crate::server::world::Account;
use crate::wire::{StanzaExt, unix_time};

/// The only kind of token.
pub(crate) const TOKEN_TYPE: &str = "trusted_contact";

/// Gives a token, at a time in seconds since 1970, and notifies the devices of both accounts,
/// except the giving one. A holder that has blocked the giver is not notified.
pub(crate) fn give_token(server: &Server, by: &DeviceId, holder: &PhoneNumber, at: u64) {
    if by.number == *holder {
        return;
    }
    let (id, token, devices) = {
        let mut world = server.world.lock();
        let Some(token) = world.give_token(&by.number, holder, at) else {
            return;
        };
        let theirs = world
            .account(holder)
            .filter(|account| !account.has_blocked(&by.number));
        let theirs: Vec<DeviceId> = theirs
            .into_iter()
            .flat_map(Account::linked_devices)
            .collect();
        let own = world
            .account(&by.number)
            .map(|account| account.other_devices(by.device))
            .unwrap_or_default();
        (world.next_stanza_id(), token, [theirs, own].concat())
    };
    for device in devices {
        if let Some((from, stanza)) =
            token_notification(server, &by.number, holder, &device.number, &token, &id)
        {
            enqueue_stanza(
                server,
                &device,
                StanzaClass::Notification,
                &id,
                from,
                stanza,
            );
        }
    }
    server.changed.notify_waiters();
}

/// Builds the notification for one of the two accounts, in the addressing of its chats.
fn token_notification(
    server: &Server,
    giver: &PhoneNumber,
    holder: &PhoneNumber,
    reader: &PhoneNumber,
    token: &TrustToken,
    id: &str,
) -> Option<(wacore_binary::Jid, Node)> {
    let world = server.world.lock();
    let (giver, holder) = (world.account(giver)?, world.account(holder)?);
    let addressing = match world.account(reader)?.addressing {
        Addressing::PhoneNumber if !giver.hides_number => Addressing::PhoneNumber,
        _ => Addressing::Lid,
    };
    let from = giver.jid(addressing, 0);
    let node = NodeBuilder::new("token")
        .attr("jid", holder.jid(addressing, 0))
        .attr("t", token.given.to_string())
        .attr("type", TOKEN_TYPE)
        .bytes(token.bytes.clone());
    let stanza = NodeBuilder::new("notification")
        .attr("from", from.clone())
        .attr("sender_lid", giver.jid(Addressing::Lid, 0))
        .attr("id", id)
        .attr("type", "privacy_token")
        .attr("t", unix_time().to_string())
        .children([NodeBuilder::new("tokens").children([node.build()]).build()]);
    Some((from, stanza.build()))
}

/// Gives a token for a phone that has written to a person, if one is due.
pub(crate) fn give_due_token(server: &Server, from: &PhoneNumber, to: &PhoneNumber) {
    let is_owed = server.world.lock().is_token_due(from, to);
    if is_owed {
        give_token(
            server,
            &DeviceId {
                number: from.clone(),
                device: 0,
            },
            to,
            unix_time(),
        );
    }
}

/// Finds the token that a stanza shows, at any depth.
pub(crate) fn find_token(node: &Node) -> Option<&[u8]> {
    node.child_bytes("tctoken")
        .or_else(|| node.children()?.iter().find_map(find_token))
}
