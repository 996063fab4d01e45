//! A linked device as the server knows it: its published keys, its connection, and its queue.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use crate::model::faults::DeliveryFault;
use crate::model::queue::{QueueBacklog, StanzaClass, StanzaQueue};
use crate::wire::{ConnectionOutput, StreamEnd, ib_node};

/// How many stanzas go out ahead of the client's first request for a batch.
const FIRST_BATCH: usize = 5;

/// A handle on the socket of a device or of a registration in progress.
#[derive(Clone)]
pub(crate) struct ConnectionHandle {
    pub(crate) id: u64,
    outbox: mpsc::UnboundedSender<ConnectionOutput>,
    /// Whether offline stanzas are being sent on it.
    draining: Arc<AtomicBool>,
}

impl ConnectionHandle {
    pub(crate) fn new(id: u64, outbox: mpsc::UnboundedSender<ConnectionOutput>) -> Self {
        Self {
            id,
            outbox,
            draining: Arc::default(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Sends a stanza. A closed socket drops it: stanzas that must arrive are in the device's
    /// queue.
    pub(crate) fn send(&self, stanza: Node) {
        let _ = self.outbox.send(ConnectionOutput::Stanza(stanza));
    }

    pub(crate) fn end_stream(&self, end: StreamEnd) {
        let _ = self.outbox.send(ConnectionOutput::End(end));
    }
}

/// A signed prekey as uploaded: 3-byte id, 32-byte key, 64-byte signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedPreKey {
    pub(crate) id: u32,
    pub(crate) public: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// The public keys a sender needs to open a Signal session with a device.
#[derive(Clone, Debug)]
pub(crate) struct KeyBundle {
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_prekey: SignedPreKey,
    pub(crate) prekey: Option<(u32, Vec<u8>)>,
    /// The account's signature on the device; linked devices only.
    pub(crate) device_identity: Option<Vec<u8>>,
}

/// How far the queued stanzas have been sent on the current connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeliveryPhase {
    /// The client has not reported that it is active: everything waits.
    Inactive,
    /// Offline stanzas go out in batches.
    Draining { announced: usize, sent: usize },
    /// Stanzas go out as they come.
    Live,
}

/// A linked device of an account.
pub(crate) struct Device {
    pub(crate) id: u16,
    pub(crate) noise_key: [u8; 32],
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_prekey: SignedPreKey,
    pub(crate) prekeys: VecDeque<(u32, Vec<u8>)>,
    /// `ADVSignedDeviceIdentity` with the device's own signature.
    pub(crate) device_identity: Vec<u8>,
    pub(crate) key_index: u32,
    pub(crate) takes_inline_history: bool,
    pub(crate) connection: Option<ConnectionHandle>,
    pub(crate) frozen: bool,
    /// The server pushes nothing on the current connection.
    deaf: bool,
    /// Ids of messages it has requested again on this connection.
    pub(crate) requested_again: HashSet<String>,
    /// Whether the phone has shared its app-state key with it.
    pub(crate) greeted: bool,
    queue: StanzaQueue,
    delivery: DeliveryPhase,
    held: Option<Node>,
    /// The withheld `<success>` of a client that logged in during a freeze, and whether the client
    /// is active after it.
    late_success: Option<(Node, bool)>,
}

/// The data of a newly linked device.
pub(crate) struct NewDevice {
    pub(crate) id: u16,
    pub(crate) noise_key: [u8; 32],
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_prekey: SignedPreKey,
    pub(crate) device_identity: Vec<u8>,
    pub(crate) key_index: u32,
    pub(crate) takes_inline_history: bool,
}

impl Device {
    pub(crate) fn new(new: NewDevice) -> Self {
        Self {
            id: new.id,
            noise_key: new.noise_key,
            registration_id: new.registration_id,
            identity_key: new.identity_key,
            signed_prekey: new.signed_prekey,
            prekeys: VecDeque::new(),
            device_identity: new.device_identity,
            key_index: new.key_index,
            takes_inline_history: new.takes_inline_history,
            connection: None,
            frozen: false,
            deaf: false,
            requested_again: HashSet::new(),
            greeted: false,
            queue: StanzaQueue::default(),
            delivery: DeliveryPhase::Inactive,
            held: None,
            late_success: None,
        }
    }

    /// Returns its bundle and uses up one of its one-time prekeys, if any is left.
    pub(crate) fn take_bundle(&mut self) -> KeyBundle {
        KeyBundle {
            registration_id: self.registration_id,
            identity_key: self.identity_key.clone(),
            signed_prekey: self.signed_prekey.clone(),
            prekey: self.prekeys.pop_front(),
            device_identity: Some(self.device_identity.clone()),
        }
    }

    pub(crate) fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// Attaches a new connection and ends the former one as replaced. `success` lets the client in;
    /// a frozen device gets it after the freeze, and becomes active then if it wanted to.
    pub(crate) fn connect(&mut self, connection: ConnectionHandle, success: Node, is_active: bool) {
        self.reset_delivery();
        if self.frozen {
            self.late_success = Some((success, is_active));
        } else {
            connection.send(success);
        }
        if let Some(former) = self.connection.replace(connection) {
            former.end_stream(StreamEnd::Replaced);
        }
    }

    /// Detaches the closed socket of `connection`. Returns `false` if a newer one had taken over.
    pub(crate) fn disconnect(&mut self, connection: u64) -> bool {
        let is_present = self
            .connection
            .as_ref()
            .is_some_and(|current| current.id == connection);
        if is_present {
            self.connection = None;
            self.reset_delivery();
        }
        is_present
    }

    /// Returns to the inactive state: nothing goes out until the client is active, and then
    /// everything that it has not confirmed.
    fn reset_delivery(&mut self) {
        self.delivery = DeliveryPhase::Inactive;
        self.deaf = false;
        self.queue.start_over();
        self.requested_again.clear();
        self.held = None;
        self.late_success = None;
    }

    /// Makes its current connection receive answers and nothing else.
    pub(crate) fn deafen(&mut self) {
        self.deaf = true;
    }

    /// Makes the server read from the device and never answer.
    pub(crate) fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Ends a freeze and sends all that waited for it.
    pub(crate) fn thaw(&mut self) {
        self.frozen = false;
        if let (Some((success, is_active)), Some(connection)) =
            (self.late_success.take(), &self.connection)
        {
            connection.send(success);
            if is_active {
                self.activate();
            }
        }
        if self.delivery == DeliveryPhase::Live {
            self.flush(DeliveryFault::None);
        }
    }

    /// Queues a stanza until the device confirms it, and sends it now if the device is live.
    pub(crate) fn enqueue(
        &mut self,
        class: StanzaClass,
        id: &str,
        from: Jid,
        stanza: Node,
        fault: DeliveryFault,
    ) {
        self.queue.push(class, id, from, stanza);
        if self.delivery == DeliveryPhase::Live {
            self.flush(fault);
        }
    }

    /// Sends a stanza that is worthless later, if the device can receive it now.
    pub(crate) fn send_now(&self, stanza: Node) {
        if let Some(connection) = self
            .connection
            .as_ref()
            .filter(|_| !self.frozen && !self.deaf)
        {
            connection.send(stanza);
        }
    }

    /// Handles that the client is active: announces the queued stanzas and starts to send them;
    /// sends `<offline/>` at once if the queue is empty.
    pub(crate) fn activate(&mut self) {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        if self.delivery != DeliveryPhase::Inactive {
            return;
        }
        let backlog = self.queue.count_backlog();
        self.delivery = DeliveryPhase::Draining {
            announced: backlog.total(),
            sent: 0,
        };
        connection.draining.store(true, Ordering::Relaxed);
        if backlog.total() > 0 {
            connection.send(offline_preview(backlog));
        }
        self.send_batch(FIRST_BATCH);
    }

    /// Sends nothing more until the client reports again that it is active.
    pub(crate) fn pause(&mut self) {
        self.delivery = DeliveryPhase::Inactive;
        if let Some(connection) = &self.connection {
            connection.draining.store(false, Ordering::Relaxed);
        }
    }

    /// Sends up to `limit` of the announced stanzas; after the last one it sends the end marker,
    /// and the device is live.
    pub(crate) fn send_batch(&mut self, limit: usize) {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        let DeliveryPhase::Draining {
            announced,
            mut sent,
        } = self.delivery
        else {
            return;
        };
        if self.frozen || self.deaf {
            return;
        }
        for mut stanza in self.queue.take_unsent(limit.min(announced - sent)) {
            stanza.attrs.insert("offline", sent.to_string());
            connection.send(stanza);
            sent += 1;
        }
        self.delivery = DeliveryPhase::Draining { announced, sent };
        if sent == announced {
            connection.send(ib_node(
                NodeBuilder::new("offline")
                    .attr("count", announced.to_string())
                    .build(),
            ));
            connection.draining.store(false, Ordering::Relaxed);
            self.delivery = DeliveryPhase::Live;
            self.flush(DeliveryFault::None);
        }
    }

    fn flush(&mut self, fault: DeliveryFault) {
        let Some(connection) = self.connection.clone() else {
            return;
        };
        if self.frozen || self.deaf {
            return;
        }
        for stanza in self.queue.take_unsent(usize::MAX) {
            match fault {
                DeliveryFault::None => connection.send(stanza),
                DeliveryFault::Repeat => {
                    connection.send(stanza.clone());
                    connection.send(stanza);
                }
                DeliveryFault::Reorder => match self.held.take() {
                    Some(held) => {
                        connection.send(stanza);
                        connection.send(held);
                    }
                    None => self.held = Some(stanza),
                },
            }
        }
    }

    /// Sends the stanza that waits for a neighbour to swap with.
    pub(crate) fn release_held(&mut self) {
        if let (Some(held), Some(connection)) = (self.held.take(), &self.connection) {
            connection.send(held);
        }
    }

    /// Handles the device's confirmation of a stanza; returns whether one was waiting under that
    /// id.
    pub(crate) fn confirm(&mut self, class: StanzaClass, id: &str, peer: Option<&Jid>) -> bool {
        self.queue.confirm(class, id, peer)
    }

    /// Returns whether the queue holds a copy of what the account wrote to one person on another of
    /// its devices.
    pub(crate) fn has_queued_own_copy(&self, id: &str) -> bool {
        self.queue.has_own_copy(id)
    }
}

fn offline_preview(backlog: QueueBacklog) -> Node {
    ib_node(
        NodeBuilder::new("offline_preview")
            .attr("count", backlog.total().to_string())
            .attr("message", backlog.messages.to_string())
            .attr("notification", backlog.notifications.to_string())
            .attr("receipt", backlog.receipts.to_string())
            .attr("call", backlog.calls.to_string())
            .attr("status", "0")
            .attr("appdata", "0")
            .build(),
    )
}
