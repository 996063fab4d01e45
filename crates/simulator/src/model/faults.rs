//! Fault switches: errors that a test provokes. Plain data.

use std::time::Duration;

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
