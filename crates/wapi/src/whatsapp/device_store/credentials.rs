//! What makes a device log in as itself: its row, and what the session file keeps of it.

use std::sync::{Arc, LazyLock};

use sha2::{Digest, Sha256};
use whatsapp_rust::wacore::client_profile::ClientProfile;
use whatsapp_rust::wacore::store::Device;
use whatsapp_rust::wacore::store::device::DEVICE_PROPS;
use whatsapp_rust::wacore::store::error::{Result, StoreError};

use super::values::{decode, encode};

/// Key of the device's row; there is one row of its kind.
pub(super) const DEVICE_KEY: &str = "";
/// One-time keys that a lost database may have known: nobody uses up that many between two writes of
/// the file. New ones begin elsewhere, with as much room.
const LOST_KEY_IDS: u32 = 1 << 20;
/// One-time keys have ids of 24 bits.
const MAX_KEY_ID: u32 = 0x00ff_ffff;

/// Digest of what makes a device log in as itself, to see whether it has changed.
pub(super) type CredentialsDigest = [u8; 32];

pub(super) fn encode_device(device: &Device) -> Result<Vec<u8>> {
    encode(device)
}

/// Decodes a device, and adds what the engine sets anew in each process.
pub(super) fn decode_device(value: &[u8]) -> Result<Device> {
    let mut device: Device = decode(value)?;
    device.device_props = Arc::new(DEVICE_PROPS.clone());
    device.client_profile = ClientProfile::web();
    Ok(device)
}

/// Returns the digest of a device's credentials: whatever WhatsApp or a phone knows it by.
pub(super) fn digest_credentials(device: &Device) -> Result<CredentialsDigest> {
    static BLANK: LazyLock<Device> = LazyLock::new(Device::new);
    let mut lasting = device.clone();
    copy_learnt(&BLANK, &mut lasting);
    Ok(Sha256::digest(encode(&lasting)?).into())
}

/// Returns the device in a file with what its row has learnt. The file is written first, so its
/// credentials are the newer ones.
pub(super) fn with_learnt(mut in_file: Device, in_row: &Device) -> Device {
    copy_learnt(in_row, &mut in_file);
    in_file
}

/// Copies all that changes while a device is in use, and that it learns again.
fn copy_learnt(from: &Device, to: &mut Device) {
    to.push_name.clone_from(&from.push_name);
    to.app_version_primary = from.app_version_primary;
    to.app_version_secondary = from.app_version_secondary;
    to.app_version_tertiary = from.app_version_tertiary;
    to.app_version_last_fetched_ms = from.app_version_last_fetched_ms;
    to.edge_routing_info.clone_from(&from.edge_routing_info);
    to.props_hash.clone_from(&from.props_hash);
    to.next_pre_key_id = from.next_pre_key_id;
    to.first_unupload_pre_key_id = from.first_unupload_pre_key_id;
    to.server_has_prekeys = from.server_has_prekeys;
    to.nct_salt.clone_from(&from.nct_salt);
    to.server_cert_chain.clone_from(&from.server_cert_chain);
    to.login_counter = from.login_counter;
    to.last_signed_pre_key_rotation_ms = from.last_signed_pre_key_rotation_ms;
    to.read_receipts_disabled = from.read_receipts_disabled;
}

/// Returns whether both are one device, at different times.
pub(super) fn is_same_device(one: &Device, other: &Device) -> bool {
    let names = |device: &Device| {
        let key = device.identity_key.public_key.public_key_bytes();
        (device.registration_id, key.to_owned())
    };
    names(one) == names(other)
}

/// Prepares a device for new keys: the file remembers it, and its rows are lost. Keys that its peers
/// or WhatsApp still have under former ids must not be mistaken for the new ones.
pub(super) fn with_new_keys(mut device: Device) -> Device {
    // Anywhere but among those: the same file may be found without its rows more than once.
    let lost = device.next_pre_key_id..device.next_pre_key_id.saturating_add(LOST_KEY_IDS);
    device.next_pre_key_id = loop {
        let id = rand::random_range(1..MAX_KEY_ID - LOST_KEY_IDS);
        if !lost.contains(&id) {
            break id;
        }
    };
    device.first_unupload_pre_key_id = device.next_pre_key_id;
    device.server_has_prekeys = false;
    device
}

/// Returns the account's number.
pub(super) fn account_of(device: &Device) -> Result<&str> {
    match &device.pn {
        Some(number) => Ok(number.user_base()),
        None => Err(StoreError::Validation(
            "the saved device belongs to no account".to_owned(),
        )),
    }
}
