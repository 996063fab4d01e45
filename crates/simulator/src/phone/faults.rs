//! Faults: switches for errors that a test provokes to see how a client behaves.

use std::sync::Arc;

use anyhow::Context;

use crate::model::faults::{AckFault, DeliveryFault, FallbackPolicy, GroupRefusal};
use crate::server::Server;
use crate::wire::StreamEnd;

/// The faults of a running simulator: `simulator.faults()`.
pub struct Faults {
    pub(crate) server: Arc<Server>,
}

impl Faults {
    /// Breaks the connection of the next upload to the media host after this many bytes.
    pub fn break_upload(&self, bytes: usize) {
        self.server.world.lock().switches.break_upload = Some(bytes);
    }

    /// Refuses this many of the next changes to groups with 429 (`rate-overlimit`), as WhatsApp does
    /// with too many at once.
    pub fn limit_group_changes(&self, refused: u32) {
        self.server.world.lock().switches.group_overlimits = refused;
    }

    /// Refuses some requests about groups from now on, instead of those refused before.
    pub fn refuse_group_requests(&self, refusal: GroupRefusal) {
        self.server.world.lock().switches.group_refusal = Some(refusal);
    }

    /// Has another member change the description of a group to `sooner` right before the next change
    /// to it arrives.
    pub fn outrun_description(&self) {
        self.server.world.lock().switches.outrun_description = true;
    }

    /// Refuses every new WebSocket (HTTP 503) until called with `false`.
    pub fn refuse_connections(&self, refuse: bool) {
        self.server.world.lock().switches.refuse_connections = refuse;
    }

    /// Accepts the connections of clients that want to be linked and sends nothing to them, until
    /// called with `false`.
    pub fn ignore_registrations(&self, ignore: bool) {
        self.server.world.lock().switches.ignore_registrations = ignore;
    }

    /// Replaces the server's static key with another under the same root, and cuts all connections.
    pub fn change_key(&self, fallback: FallbackPolicy) -> anyhow::Result<()> {
        self.server.change_key(fallback)?;
        self.server.world.lock().cut_connections();
        Ok(())
    }

    /// Changes how messages from clients are acknowledged from now on.
    pub fn set_ack_fault(&self, fault: AckFault) {
        self.server.world.lock().switches.ack = fault;
    }

    /// Changes how stanzas reach linked devices from now on. Lifting `Reorder` sends a stanza held
    /// back.
    pub fn set_delivery_fault(&self, fault: DeliveryFault) {
        let mut world = self.server.world.lock();
        world.switches.delivery = fault;
        world.release_held();
    }

    /// Loses receipts and acks by which linked devices confirm messages, until called with `false`.
    /// This is like a connection that breaks at the wrong moment: the messages are delivered again
    /// over the next one.
    pub fn lose_confirmations(&self, lose: bool) {
        self.server.world.lock().switches.lose_confirmations = lose;
    }

    /// Delivers no newsletter posts to linked devices, until called with `false`. This is like a
    /// crash between acknowledgement and processing: devices acknowledge a post before they look at
    /// it. The post is not sent again, but can be fetched.
    pub fn lose_posts(&self, lose: bool) {
        self.server.world.lock().switches.lose_posts = lose;
    }

    /// Answers requests for newsletter posts with 429 (too many requests), until called with
    /// `false`.
    pub fn hide_posts(&self, hide: bool) {
        self.server.world.lock().switches.hide_posts = hide;
    }

    /// Forgets all stored GraphQL queries, until called with `false`: WhatsApp replaces them with
    /// new versions of its clients, and refuses the ids of old ones.
    pub fn forget_queries(&self, forget: bool) {
        self.server.world.lock().switches.forget_queries = forget;
    }

    /// Withholds the keys of other devices from clients that request them, until called with
    /// `false`.
    pub fn withhold_keys(&self, withhold: bool) {
        self.server.world.lock().switches.withheld_keys = withhold.then_some(0);
        self.server.changed.notify_waiters();
    }

    /// Waits until a client requests keys that are withheld.
    pub async fn wait_for_key_request(&self) {
        let asked = || {
            self.server
                .world
                .lock()
                .switches
                .withheld_keys
                .filter(|&asked| asked > 0)
        };
        self.server.wait_for(asked).await;
    }

    /// Withdraws a stored GraphQL query, as WhatsApp does with those of former versions of its web
    /// client; `withdrawn: false` brings it back.
    pub fn withdraw_query(&self, id: &str, withdrawn: bool) {
        let mut world = self.server.world.lock();
        match withdrawn {
            true => drop(world.withdrawn_queries.insert(id.to_owned())),
            false => drop(world.withdrawn_queries.remove(id)),
        }
    }

    /// Expires all files on the media host, as WhatsApp does after some weeks.
    pub fn expire_media(&self) {
        self.server.media.expire_files();
    }

    /// Makes the media host answer every download with 503, until called with `false`.
    pub fn withhold_media(&self, withhold: bool) {
        self.server.world.lock().switches.withhold_media = withhold;
    }

    /// Makes the media host change one byte of every file it serves, until called with `false`.
    pub fn spoil_media(&self, spoil: bool) {
        self.server.world.lock().switches.spoil_media = spoil;
    }

    /// Cuts the connection of one linked device without a final stanza.
    pub fn cut_connection(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.end_stream(number, device, StreamEnd::Cut)
    }

    /// Ends the stream of one linked device with `<stream:error code="…"/>` (401, 403, 409, 429,
    /// 503, 515, …).
    pub fn fail_stream(&self, number: &str, device: u16, code: u16) -> anyhow::Result<()> {
        self.end_stream(number, device, StreamEnd::Error(code))
    }

    /// Freezes one linked device: the server accepts its connections, reads its stanzas, and never
    /// answers.
    pub fn freeze_device(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.server
            .world
            .lock()
            .device_mut(number, device)
            .context("no such device")?
            .freeze();
        Ok(())
    }

    /// Lets nothing but answers to its requests reach one linked device on its current connection.
    /// A new connection works normally and receives the queued stanzas.
    pub fn deafen_device(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.server
            .world
            .lock()
            .device_mut(number, device)
            .context("no such device")?
            .deafen();
        Ok(())
    }

    /// Ends a freeze: sends the queued stanzas, and lets in a client that logged in meanwhile.
    /// Requests from the freeze stay unanswered.
    pub fn thaw_device(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.server
            .world
            .lock()
            .device_mut(number, device)
            .context("no such device")?
            .thaw();
        Ok(())
    }

    fn end_stream(&self, number: &str, device: u16, end: StreamEnd) -> anyhow::Result<()> {
        let mut world = self.server.world.lock();
        let device = world.device_mut(number, device).context("no such device")?;
        let connection = device
            .connection
            .as_ref()
            .context("the device is not connected")?;
        connection.end_stream(end);
        Ok(())
    }
}
