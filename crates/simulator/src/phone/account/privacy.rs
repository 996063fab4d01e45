//! Privacy settings of an account: visibility of its data and permissions of others, shared by all
//! of its devices.

use crate::phone::Phone;
use crate::server::stanza::iq::privacy;

impl Phone {
    /// A privacy setting (`last`, `online`, `bot_profile`, `status`, `readreceipts`, `groupadd`,
    /// `calladd`, `list_posts`, `defense`, `stickers`), whichever of the account's devices has chosen
    /// it.
    pub fn privacy_setting(&self, setting: &str) -> Option<&'static str> {
        self.server
            .world
            .lock()
            .account(&self.number)?
            .privacy
            .get_setting(setting)
    }

    /// Changes a privacy setting and notifies the account's devices.
    pub fn chooses_privacy(&self, setting: &str, value: &str) -> anyhow::Result<()> {
        let is_one =
            privacy::set_privacy(&self.server, &self.device_id(0), setting, value, Vec::new());
        anyhow::ensure!(is_one, "{setting:?} cannot be {value:?}");
        Ok(())
    }
}
