//! What waits for one linked device: stanzas kept until the device says it has them, in order, over any number of connections.

use std::collections::VecDeque;

use wacore_binary::{Jid, Node};

/// What a stanza is, in the words a client uses to acknowledge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Message,
    Receipt,
    Notification,
}

struct Entry {
    class: Class,
    id: String,
    from: Jid,
    stanza: Node,
    /// The connection it last went out on; on another connection it is sent again.
    sent_on: Option<u64>,
}

/// How many stanzas of each class wait, for `<offline_preview/>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) messages: usize,
    pub(crate) receipts: usize,
    pub(crate) notifications: usize,
}

impl Waiting {
    pub(crate) fn total(self) -> usize {
        self.messages + self.receipts + self.notifications
    }
}

/// The stanzas a device has not confirmed yet, oldest first.
#[derive(Default)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
}

impl Queue {
    pub(crate) fn push(&mut self, class: Class, id: &str, from: Jid, stanza: Node) {
        self.entries.push_back(Entry { class, id: id.to_owned(), from, stanza, sent_on: None });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What has not gone out on this connection.
    pub(crate) fn waiting(&self, connection: u64) -> Waiting {
        let mut waiting = Waiting::default();
        for entry in self.unsent(connection) {
            match entry.class {
                Class::Message => waiting.messages += 1,
                Class::Receipt => waiting.receipts += 1,
                Class::Notification => waiting.notifications += 1,
            }
        }
        waiting
    }

    fn unsent(&self, connection: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.sent_on != Some(connection))
    }

    /// The oldest stanzas that have not gone out on this connection, marked as sent on it.
    pub(crate) fn send(&mut self, connection: u64, limit: usize) -> Vec<Node> {
        let unsent = self.entries.iter_mut().filter(|entry| entry.sent_on != Some(connection));
        let send = |entry: &mut Entry| {
            entry.sent_on = Some(connection);
            entry.stanza.clone()
        };
        unsent.take(limit).map(send).collect()
    }

    /// Drops what the device confirmed, and says whether there was such a stanza.
    ///
    /// `peer` is whom the confirmation names. Identifiers are unique only within a chat, but some clients leave the peer out
    /// (copies of own messages), and a phone number and a LID may stand for the same person, so the peer only decides
    /// between stanzas that share an id.
    pub(crate) fn confirm(&mut self, class: Class, id: &str, peer: Option<&Jid>) -> bool {
        let same_id = |entry: &Entry| entry.class == class && entry.id == id;
        let same_peer = |entry: &Entry| peer.is_none_or(|peer| peer.user == entry.from.user);
        let exact = self.entries.iter().position(|entry| same_id(entry) && same_peer(entry));
        match exact.or_else(|| self.entries.iter().position(same_id)) {
            Some(index) => self.entries.remove(index).is_some(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::builder::NodeBuilder;

    fn queue(ids: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            let stanza = NodeBuilder::new("message").attr("id", *id).build();
            queue.push(Class::Message, id, Jid::pn("375440000001"), stanza);
        }
        queue
    }

    fn ids(stanzas: Vec<Node>) -> Vec<String> {
        stanzas.iter().map(|stanza| stanza.attrs.get("id").unwrap().to_string()).collect()
    }

    #[test]
    fn what_was_not_confirmed_goes_out_again_on_the_next_connection_in_order() {
        let mut queue = queue(&["A", "B", "C"]);
        assert_eq!(ids(queue.send(1, 10)), ["A", "B", "C"]);
        assert!(queue.send(1, 10).is_empty(), "each stanza goes out once on a connection");
        assert!(queue.confirm(Class::Message, "B", None));
        assert_eq!(ids(queue.send(2, 10)), ["A", "C"]);
    }

    #[test]
    fn a_confirmation_of_another_class_or_id_drops_nothing() {
        let mut queue = queue(&["A"]);
        assert!(!queue.confirm(Class::Receipt, "A", None));
        assert!(!queue.confirm(Class::Message, "B", None));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn between_two_chats_that_share_an_id_the_peer_decides() {
        let mut queue = queue(&["A"]);
        let other = Jid::pn("375440000002");
        queue.push(
            Class::Message,
            "A",
            other.clone(),
            NodeBuilder::new("message").attr("id", "A").attr("t", "2").build(),
        );
        assert!(queue.confirm(Class::Message, "A", Some(&other)));
        let left = queue.send(1, 10);
        assert_eq!(left.len(), 1);
        assert!(left[0].attrs.get("t").is_none(), "the other chat's stanza stays");
    }
}
