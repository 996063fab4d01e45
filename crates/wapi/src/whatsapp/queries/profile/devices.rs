//! The account's own devices.

use crate::model::event::AccountDevice;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::{RequestError, request_failed};

impl Link {
    /// Returns the account's devices, the phone first. WhatsApp tells no more than their numbers.
    pub async fn fetch_own_devices(&self) -> Result<Vec<AccountDevice>, RequestError> {
        let own = self.client.pn().ok_or(RequestError::Offline)?;
        let account = [own.to_non_ad()];
        let signal = self.client.signal();
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let asking = Box::pin(signal.get_user_devices(&account));
        let listed = self
            .run_request(async { asking.await.map_err(request_failed) })
            .await?;
        let mut devices: Vec<u16> = listed.iter().map(|jid| jid.device).collect();
        devices.push(own.device);
        devices.sort_unstable();
        devices.dedup();
        Ok(devices
            .into_iter()
            .map(|device| AccountDevice {
                device,
                phone: device == 0,
                this: device == own.device,
            })
            .collect())
    }
}
