//! What can go wrong, on purpose: the switches a test turns to see how a client behaves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::server::Server;
use crate::stanza::StreamEnd;

/// One thing the simulator signs or proves, made wrong. A client that pairs and talks all the same does not check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// The root's signature on the intermediate Noise certificate.
    NoiseIntermediateSignature,
    /// The intermediate's signature on the leaf Noise certificate.
    NoiseLeafSignature,
    /// The leaf certificate names another key than the one the server proves.
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
    /// The MAC of an entry's value, in what a phone writes into the account's app state.
    AppStateValueMac,
    /// The MAC of an entry's index there.
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

/// How the server treats the acknowledgement of a message a client sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckFault {
    /// At once, as WhatsApp does.
    #[default]
    None,
    /// Only after this long; the message itself goes on at once.
    Delay(Duration),
    /// Never; the message itself goes on.
    Drop,
    /// With an error code such as 463 or 479; the message goes nowhere.
    Refuse(u16),
}

/// What happens to messages on their way to linked devices.
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

/// Whether a client that greets the server with a key it has no more is told so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// It is taken through XX-fallback, as on WhatsApp.
    #[default]
    Offered,
    /// Its socket is closed without a word.
    Refused,
}

/// The switches that hold for all devices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    pub(crate) refuse_connections: bool,
    pub(crate) ignore_registrations: bool,
    pub(crate) ack: AckFault,
    pub(crate) delivery: DeliveryFault,
    pub(crate) lose_posts: bool,
    pub(crate) hide_posts: bool,
    /// How often others' keys were asked for since they are withheld.
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
    /// The connection of the next upload to the media host breaks when so many bytes of it have come.
    pub fn break_upload(&self, bytes: usize) {
        self.server.world.lock().switches.break_upload = Some(bytes);
    }

    /// Refuses every new WebSocket (HTTP 503) until called with `false`.
    pub fn refuse_connections(&self, refuse: bool) {
        self.server.world.lock().switches.refuse_connections = refuse;
    }

    /// Takes the connections of clients that want to be linked and says nothing to them, until called with `false`.
    pub fn ignore_registrations(&self, ignore: bool) {
        self.server.world.lock().switches.ignore_registrations = ignore;
    }

    /// As a server that comes back with another key: all connections are cut, and from now on there is a new static key under the same
    /// root.
    pub fn change_key(&self, fallback: Fallback) -> anyhow::Result<()> {
        self.server.change_key(fallback)?;
        self.server.world.lock().cut_all();
        Ok(())
    }

    /// Changes how messages from clients are acknowledged from now on.
    pub fn acks(&self, fault: AckFault) {
        self.server.world.lock().switches.ack = fault;
    }

    /// Changes how stanzas reach linked devices from now on. Lifting `Reorder` lets go of a stanza held back.
    pub fn deliveries(&self, fault: DeliveryFault) {
        let mut world = self.server.world.lock();
        world.switches.delivery = fault;
        world.release_held();
    }

    /// What is posted in newsletters reaches no linked device, until called with `false`: as what a device acknowledged, which it does
    /// before it looks at a post, and then lost in a crash. It is not sent again, but is there to be found.
    pub fn lose_posts(&self, lose: bool) {
        self.server.world.lock().switches.lose_posts = lose;
    }

    /// Who asks what was posted in newsletters is told to ask less often (429), until called with `false`.
    pub fn hide_posts(&self, hide: bool) {
        self.server.world.lock().switches.hide_posts = hide;
    }

    /// Whoever asks for the keys of others' devices gets them only when this is called with `false`.
    pub fn withhold_keys(&self, withhold: bool) {
        self.server.world.lock().switches.withheld_keys = withhold.then_some(0);
        self.server.changed.notify_waiters();
    }

    /// Waits until somebody asks for keys that are withheld.
    pub async fn keys_are_asked_for(&self) {
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

    /// All files on the media host expire, as they do on WhatsApp after some weeks.
    pub fn expire_media(&self) {
        self.server.media.expire();
    }

    /// The media host answers every download with 503, until called with `false`.
    pub fn withhold_media(&self, withhold: bool) {
        self.server.world.lock().switches.withhold_media = withhold;
    }

    /// The media host changes a byte of every file it hands out, until called with `false`.
    pub fn spoil_media(&self, spoil: bool) {
        self.server.world.lock().switches.spoil_media = spoil;
    }

    /// Cuts the connection of one linked device without a word.
    pub fn cut(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.end(number, device, StreamEnd::Cut)
    }

    /// Ends the stream of one linked device with `<stream:error code="…"/>` (401, 403, 409, 429, 503, 515, …).
    pub fn fail_stream(&self, number: &str, device: u16, code: u16) -> anyhow::Result<()> {
        self.end(number, device, StreamEnd::Error(code))
    }

    /// Freezes one linked device: its connections are accepted and its stanzas read, and nothing is ever answered.
    pub fn freeze(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.server
            .world
            .lock()
            .device_mut(number, device)
            .context("no such device")?
            .freeze();
        Ok(())
    }

    /// From now on nothing reaches one linked device on its present connection but answers to what it asks. A new connection is as
    /// ever, and brings what waited.
    pub fn deafen(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.server
            .world
            .lock()
            .device_mut(number, device)
            .context("no such device")?
            .deafen();
        Ok(())
    }

    /// Ends a freeze: what waited for the device goes out, and a client that logged in meanwhile is let in. What it asked stays
    /// unanswered.
    pub fn thaw(&self, number: &str, device: u16) -> anyhow::Result<()> {
        self.server
            .world
            .lock()
            .device_mut(number, device)
            .context("no such device")?
            .thaw();
        Ok(())
    }

    fn end(&self, number: &str, device: u16, end: StreamEnd) -> anyhow::Result<()> {
        let mut world = self.server.world.lock();
        let device = world.device_mut(number, device).context("no such device")?;
        let connection = device
            .connection
            .as_ref()
            .context("the device is not connected")?;
        connection.end(end);
        Ok(())
    }
}
