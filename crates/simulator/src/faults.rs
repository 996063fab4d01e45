//! Faults: switches for errors that a test provokes to see how a client behaves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::server::Server;
use crate::stanza::StreamEnd;

/// One signature or proof of the simulator, made wrong. A client that still pairs and exchanges
/// messages does not check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// The root's signature on the intermediate Noise certificate.
    NoiseIntermediateSignature,
    /// The intermediate's signature on the leaf Noise certificate.
    NoiseLeafSignature,
    /// The key in the leaf certificate, which then differs from the key the server proves.
    NoiseLeafKey,
    /// The HMAC over the device identity in pair-success.
    PairingHmac,
    /// The account's signature on the device identity in pair-success.
    AccountSignature,
    /// The account's signature on its list of valid device keys.
    KeyIndexListSignature,
    /// The signature on a phone's signed prekey.
    SignedPreKeySignature,
    /// The identity key in a phone's prekey bundle.
    PhoneIdentityKey,
    /// The MAC of an entry's value, in the app-state patches of a phone.
    AppStateValueMac,
    /// The MAC of an entry's index, in the app-state patches of a phone.
    AppStateIndexMac,
    /// The MAC over the collection as it is after the patch.
    AppStateSnapshotMac,
    /// The MAC over the patch.
    AppStatePatchMac,
}

impl Corruption {
    pub(crate) fn is_of_app_state(self) -> bool {
        use Corruption::{
            AppStateIndexMac, AppStatePatchMac, AppStateSnapshotMac, AppStateValueMac,
        };
        matches!(
            self,
            AppStateValueMac | AppStateIndexMac | AppStateSnapshotMac | AppStatePatchMac
        )
    }
}

/// How the server acknowledges a message from a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckFault {
    /// At once, as WhatsApp does.
    #[default]
    None,
    /// Only after this long; the message itself is delivered at once.
    Delay(Duration),
    /// Never; the message itself is delivered.
    Drop,
    /// With an error code such as 463 or 479; the message is not delivered.
    Refuse(u16),
}

/// How messages reach linked devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryFault {
    /// Each once and in order, as WhatsApp does.
    #[default]
    None,
    /// Each stanza twice, as after a lost receipt.
    Repeat,
    /// Every two neighbours are swapped; a last odd one waits until the fault is lifted.
    Reorder,
}

/// How the server treats a client that greets it with a former server key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FallbackPolicy {
    /// Takes it through XX-fallback, as WhatsApp does.
    #[default]
    Offered,
    /// Closes its socket silently.
    Refused,
}

/// The switches that apply to all devices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaultSwitches {
    pub(crate) refuse_connections: bool,
    pub(crate) ignore_registrations: bool,
    pub(crate) ack: AckFault,
    pub(crate) delivery: DeliveryFault,
    pub(crate) lose_posts: bool,
    pub(crate) hide_posts: bool,
    /// How often keys of other devices were requested since they are withheld.
    pub(crate) withheld_keys: Option<usize>,
    pub(crate) withhold_media: bool,
    pub(crate) spoil_media: bool,
    pub(crate) break_upload: Option<usize>,
}

/// The faults of a running simulator: `simulator.faults()`.
pub struct Faults {
    pub(crate) server: Arc<Server>,
}

impl Faults {
    /// Breaks the connection of the next upload to the media host after this many bytes.
    pub fn break_upload(&self, bytes: usize) {
        self.server.world.lock().switches.break_upload = Some(bytes);
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
