//! The queue of a linked device: stanzas kept in order, over any number of connections, until the
//! device confirms them.

use std::collections::VecDeque;

use wacore_binary::{Jid, Node};

/// The class of a stanza, in the words of a client's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StanzaClass {
    Message,
    Receipt,
    Notification,
    Call,
}

struct QueuedStanza {
    class: StanzaClass,
    id: String,
    from: Jid,
    stanza: Node,
}

/// How many stanzas of each class are queued, for `<offline_preview/>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueBacklog {
    pub(crate) messages: usize,
    pub(crate) receipts: usize,
    pub(crate) notifications: usize,
    pub(crate) calls: usize,
}

impl QueueBacklog {
    pub(crate) fn total(self) -> usize {
        self.messages + self.receipts + self.notifications + self.calls
    }
}

/// The stanzas a device has not confirmed yet, oldest first. Those at the front have gone out on
/// the current connection.
#[derive(Default)]
pub(crate) struct StanzaQueue {
    entries: VecDeque<QueuedStanza>,
    sent: usize,
}

impl StanzaQueue {
    pub(crate) fn push(&mut self, class: StanzaClass, id: &str, from: Jid, stanza: Node) {
        self.entries.push_back(QueuedStanza {
            class,
            id: id.to_owned(),
            from,
            stanza,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Marks all stanzas as unsent, for a new connection.
    pub(crate) fn start_over(&mut self) {
        self.sent = 0;
    }

    /// Counts the stanzas that have not gone out on this connection.
    pub(crate) fn count_backlog(&self) -> QueueBacklog {
        let mut backlog = QueueBacklog::default();
        for entry in self.entries.iter().skip(self.sent) {
            match entry.class {
                StanzaClass::Message => backlog.messages += 1,
                StanzaClass::Receipt => backlog.receipts += 1,
                StanzaClass::Notification => backlog.notifications += 1,
                StanzaClass::Call => backlog.calls += 1,
            }
        }
        backlog
    }

    /// Returns the oldest stanzas that have not gone out on this connection and marks them as sent.
    pub(crate) fn take_unsent(&mut self, limit: usize) -> Vec<Node> {
        let unsent = self.entries.iter().skip(self.sent).take(limit);
        let stanzas: Vec<Node> = unsent.map(|entry| entry.stanza.clone()).collect();
        self.sent += stanzas.len();
        stanzas
    }

    /// Drops a confirmed stanza; returns whether there was one. An unsent stanza cannot be
    /// confirmed: it is a newer one under the same id.
    ///
    /// `peer` is the account that the confirmation names. Ids are unique only within a chat, but
    /// some clients leave the peer out (copies of own messages), and a phone number and a LID may
    /// stand for the same person, so the peer only decides between stanzas that share an id.
    pub(crate) fn confirm(&mut self, class: StanzaClass, id: &str, peer: Option<&Jid>) -> bool {
        let mut found = None;
        for (index, entry) in self.entries.iter().take(self.sent).enumerate() {
            if entry.class != class || entry.id != id {
                continue;
            }
            if peer.is_none_or(|peer| peer.user == entry.from.user) {
                found = Some(index);
                break;
            }
            found = found.or(Some(index));
        }
        let Some(index) = found else { return false };
        self.sent -= 1;
        self.entries.remove(index).is_some()
    }

    /// Returns whether a message with this id is a copy of what the account wrote to one person on
    /// another of its devices. Such a copy names that person, which nothing else does.
    pub(crate) fn has_own_copy(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| {
            entry.class == StanzaClass::Message
                && entry.id == id
                && entry.stanza.attrs.get("recipient").is_some()
                && entry.stanza.attrs.get("category").is_none()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::model::queue::*;
    use wacore_binary::builder::NodeBuilder;

    fn queue(ids: &[&str]) -> StanzaQueue {
        let mut queue = StanzaQueue::default();
        for id in ids {
            push(&mut queue, id, Jid::pn("375440000001"), "1");
        }
        queue
    }

    fn push(queue: &mut StanzaQueue, id: &str, from: Jid, time: &str) {
        let stanza = NodeBuilder::new("message")
            .attr("id", id)
            .attr("t", time)
            .build();
        queue.push(StanzaClass::Message, id, from, stanza);
    }

    fn ids(stanzas: Vec<Node>) -> Vec<String> {
        stanzas
            .iter()
            .map(|stanza| stanza.attrs.get("id").unwrap().to_string())
            .collect()
    }

    #[test]
    fn what_was_not_confirmed_goes_out_again_on_the_next_connection_in_order() {
        let mut queue = queue(&["A", "B", "C"]);
        assert_eq!(ids(queue.take_unsent(10)), ["A", "B", "C"]);
        assert!(
            queue.take_unsent(10).is_empty(),
            "each stanza goes out once on a connection"
        );
        assert!(queue.confirm(StanzaClass::Message, "B", None));
        queue.start_over();
        assert_eq!(ids(queue.take_unsent(10)), ["A", "C"]);
    }

    #[test]
    fn a_confirmation_of_another_class_or_id_drops_nothing() {
        let mut queue = queue(&["A"]);
        queue.take_unsent(10);
        assert!(!queue.confirm(StanzaClass::Receipt, "A", None));
        assert!(!queue.confirm(StanzaClass::Message, "B", None));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn between_two_chats_that_share_an_id_the_peer_decides() {
        let mut queue = queue(&["A"]);
        let other = Jid::pn("375440000002");
        push(&mut queue, "A", other.clone(), "2");
        queue.take_unsent(10);
        assert!(queue.confirm(StanzaClass::Message, "A", Some(&other)));
        queue.start_over();
        let left = queue.take_unsent(10);
        assert_eq!(left.len(), 1);
        assert_eq!(
            left[0].attrs.get("t").unwrap().as_str(),
            "1",
            "the other chat's stanza stays"
        );
    }

    #[test]
    fn what_has_not_gone_out_is_not_confirmed_by_a_late_word_about_its_forerunner() {
        let mut queue = queue(&["A"]);
        queue.take_unsent(10);
        assert!(queue.confirm(StanzaClass::Message, "A", None));
        push(&mut queue, "A", Jid::pn("375440000001"), "2");
        assert!(!queue.confirm(StanzaClass::Message, "A", None));
        assert_eq!(ids(queue.take_unsent(10)), ["A"]);
    }
}
