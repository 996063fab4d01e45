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

/// A refusal of some requests about groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRefusal {
    /// The name of the request's stanza, such as `description` or `query`.
    pub request: &'static str,
    /// The number of such requests that are answered first.
    pub answered: u32,
    /// The number of refused ones after those.
    pub refused: u32,
    /// WhatsApp's code, such as 429.
    pub code: u16,
}

/// The switches that apply to all devices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FaultSwitches {
    pub(crate) refuse_connections: bool,
    pub(crate) ignore_registrations: bool,
    pub(crate) ack: AckFault,
    pub(crate) delivery: DeliveryFault,
    pub(crate) lose_confirmations: bool,
    pub(crate) lose_posts: bool,
    pub(crate) hide_posts: bool,
    pub(crate) forget_queries: bool,
    /// How often keys of other devices were requested since they are withheld.
    pub(crate) withheld_keys: Option<usize>,
    pub(crate) withhold_media: bool,
    pub(crate) spoil_media: bool,
    pub(crate) break_upload: Option<usize>,
    /// Changes of groups that are still to be refused with 429.
    pub(crate) group_overlimits: u32,
    /// Requests about groups that are to be refused.
    pub(crate) group_refusal: Option<GroupRefusal>,
    /// Whether another member changes a description right before the next change to it.
    pub(crate) outrun_description: bool,
}

impl FaultSwitches {
    /// Whether this change of a group comes too soon after others.
    pub(crate) fn take_overlimit(&mut self) -> bool {
        let is_refused = self.group_overlimits > 0;
        self.group_overlimits = self.group_overlimits.saturating_sub(1);
        is_refused
    }

    /// Returns the code with which this request about a group is refused, if it is.
    pub(crate) fn take_group_refusal(&mut self, request: &str) -> Option<u16> {
        let refusal = self.group_refusal.as_mut()?;
        if refusal.request != request {
            return None;
        }
        if refusal.answered > 0 {
            refusal.answered -= 1;
            return None;
        }
        refusal.refused = refusal.refused.checked_sub(1)?;
        Some(refusal.code)
    }
}
