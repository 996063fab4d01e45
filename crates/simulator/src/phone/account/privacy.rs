//! Privacy settings of an account: visibility of its data and permissions of others, shared by all
//! of its devices; and its reports of spam.

use crate::phone::Phone;
use crate::server::account::privacy::EXCEPT_SOME;
use crate::server::stanza::iq::privacy;

impl Phone {
    /// The messages that the account has reported as spam: their authors' numbers, and their ids.
    pub fn reported_messages(&self) -> Vec<(String, String)> {
        let world = self.server.world.lock();
        let reports = world.account(&self.number).map(|account| &account.reports);
        let reports = reports.into_iter().flatten();
        reports
            .map(|(author, id)| (author.to_string(), id.clone()))
            .collect()
    }

    /// A privacy setting (`last`, `online`, `profile`, `status`, `readreceipts`, `groupadd`,
    /// `calladd`, `messages`, `defense`, `stickers`), whichever of the account's devices has chosen
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

    /// Excepts these people, by number, from the contacts of a privacy setting.
    pub fn excepts_from_privacy(&self, setting: &str, people: &[&str]) -> anyhow::Result<()> {
        let mut changes = Vec::with_capacity(people.len());
        for person in people {
            changes.push((self.resolve_number(person)?, true));
        }
        let is_one = privacy::set_privacy(
            &self.server,
            &self.device_id(0),
            setting,
            EXCEPT_SOME,
            changes,
        );
        anyhow::ensure!(is_one, "{setting:?} has no exceptions");
        Ok(())
    }

    /// The people whom a privacy setting excepts, by number, whichever of the account's devices has
    /// chosen them.
    pub fn privacy_exceptions(&self, setting: &str) -> Vec<String> {
        let world = self.server.world.lock();
        let excepted = world
            .account(&self.number)
            .map(|account| account.privacy.exclusion_list(setting).numbers)
            .unwrap_or_default();
        excepted.iter().map(ToString::to_string).collect()
    }
}
