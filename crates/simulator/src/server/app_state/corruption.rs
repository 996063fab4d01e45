//! Faults in app-state patches: MACs that do not match.

use waproto::whatsapp as wa;

use crate::model::faults::Corruption;

/// Breaks a MAC when it is meant.
pub(crate) fn corrupt_mac(mac: &mut [u8], is_meant: bool) {
    if let Some(byte) = mac.last_mut().filter(|_| is_meant) {
        *byte ^= 1;
    }
}

/// Breaks the MAC of a value or of an index.
pub(crate) fn corrupt_entry(mutation: &mut wa::SyncdMutation, corruption: Option<Corruption>) {
    let Some(record) = mutation.record.as_option_mut() else {
        return;
    };
    // The last bytes of a value are its MAC.
    let value = record
        .value
        .as_option_mut()
        .and_then(|value| value.blob.as_mut());
    corrupt_mac(
        value.map_or(&mut [], Vec::as_mut_slice),
        corruption == Some(Corruption::AppStateValueMac),
    );
    let index = record
        .index
        .as_option_mut()
        .and_then(|index| index.blob.as_mut());
    corrupt_mac(
        index.map_or(&mut [], Vec::as_mut_slice),
        corruption == Some(Corruption::AppStateIndexMac),
    );
}
