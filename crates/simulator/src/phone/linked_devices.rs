//! Linked devices of a phone: links them, lists them, logs them out.

use anyhow::bail;
use serde::Serialize;

use crate::model::ids::PairingError;
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::stanza::iq::link_code;
use crate::server::stanza::pairing;
use crate::server::unlinking::unlink_device;
use crate::wire::StreamEnd;

/// A device linked to an account, as the phone lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkedDevice {
    /// Its number among the account's devices, from 1; numbers are never reused.
    pub device: u16,
    /// Its address, `375…:1@s.whatsapp.net`.
    pub jid: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// How many stanzas it has not confirmed yet.
    pub queued: usize,
    /// How many of its one-time prekeys are left.
    pub prekeys: usize,
}

impl Phone {
    /// Scans a QR (its text) and waits until the client that shows it is linked.
    pub async fn scans_qr(&self, qr_text: &str) -> Result<LinkedDevice, PairingError> {
        let outcome = pairing::scan_qr(&self.server, &self.number, qr_text)?;
        let outcome = tokio::time::timeout(self.pairing_timeout(), outcome)
            .await
            .map_err(|_| PairingError::ClientGone)?;
        let id = outcome.map_err(|_| PairingError::ClientGone)??;
        self.find_device(id.device).ok_or(PairingError::ClientGone)
    }

    /// Types the code that a client shows, and waits until that client is linked.
    pub async fn enters_code(&self, code: &str) -> Result<LinkedDevice, PairingError> {
        let (server, number, code) = (self.server.clone(), self.number.clone(), code.to_owned());
        // Stretching a code takes a moment of pure arithmetic.
        let typing =
            tokio::task::spawn_blocking(move || link_code::type_code(&server, &number, &code));
        let outcome = typing.await.map_err(|_| PairingError::ClientGone)??;
        let outcome = tokio::time::timeout(self.pairing_timeout(), outcome)
            .await
            .map_err(|_| PairingError::ClientGone)?;
        let id = outcome.map_err(|_| PairingError::ClientGone)??;
        self.find_device(id.device).ok_or(PairingError::ClientGone)
    }

    /// The devices linked to this account.
    pub fn linked_devices(&self) -> Vec<LinkedDevice> {
        let world = self.server.world.lock();
        let Some(account) = world.account(&self.number) else {
            return Vec::new();
        };
        let listed = account.devices.values().map(|device| LinkedDevice {
            device: device.id,
            jid: account.jid(Addressing::PhoneNumber, device.id).to_string(),
            connected: device.connection.is_some(),
            queued: device.queue_length(),
            prekeys: device.prekeys.len(),
        });
        listed.collect()
    }

    /// Logs a linked device out, as from the list of linked devices.
    pub async fn logs_out(&self, device: u16) -> anyhow::Result<()> {
        match unlink_device(
            &self.server,
            &self.device_id(device),
            Some(StreamEnd::Removed),
        ) {
            true => Ok(()),
            false => bail!("{} has no device {device}", self.number),
        }
    }

    fn find_device(&self, device: u16) -> Option<LinkedDevice> {
        self.linked_devices()
            .into_iter()
            .find(|linked| linked.device == device)
    }
}
