//! Preferences of an account: status audience, default timer, accepted notices, contact link, push
//! registrations and business profile.

use std::collections::BTreeMap;

use crate::phone::Phone;
use crate::server::account::preferences::{AccountPreferences, BusinessProfile, StatusAudience};
use crate::server::stanza::iq::preferences;

impl Phone {
    /// Sets the audience of its statuses from now on.
    pub fn posts_statuses_to(&self, audience: StatusAudience) {
        self.update_preferences(|preferences| preferences.statuses = audience);
    }

    /// Sets the default timer of its new chats in seconds; 0 turns it off. Its devices and the
    /// people it writes with are notified.
    pub fn sets_default_timer(&self, seconds: u32) {
        preferences::set_default_timer(&self.server, &self.device_id(0), seconds);
    }

    /// The default timer in seconds, whichever of the account's devices has set it.
    pub fn default_timer(&self) -> u32 {
        self.read_preferences(|preferences| preferences.default_timer.0)
    }

    /// The notices that its devices have accepted, each with its stage.
    pub fn accepted_notices(&self) -> BTreeMap<String, String> {
        self.read_preferences(|preferences| preferences.notices.clone())
    }

    /// Makes the account a business, or changes its profile.
    pub fn becomes_business(&self, profile: &BusinessProfile) {
        self.update_preferences(|preferences| preferences.business = Some(profile.profile_nodes()));
    }

    /// One of the texts of its business profile, such as `email`, whichever of its devices has
    /// written it.
    pub fn business_text(&self, of: &str) -> Option<String> {
        self.read_preferences(|preferences| {
            let node = preferences
                .business
                .as_ref()?
                .iter()
                .find(|node| node.tag == of)?;
            crate::wire::StanzaExt::content_bytes(node)
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        })
    }

    fn read_preferences<T>(&self, look: impl FnOnce(&AccountPreferences) -> T) -> T {
        let world = self.server.world.lock();
        look(
            world
                .account(&self.number)
                .map_or(&AccountPreferences::default(), |account| {
                    &account.preferences
                }),
        )
    }

    fn update_preferences(&self, change: impl FnOnce(&mut AccountPreferences)) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            change(&mut account.preferences);
        }
    }
}
