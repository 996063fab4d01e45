//! The public profile of an account: name, about text and profile picture; and its blocklist.

use crate::phone::Phone;
use crate::server::account::profile::ProfilePicture;
use crate::server::stanza::iq::{blocklist, profile};

impl Phone {
    /// Changes its about text.
    pub fn sets_about(&self, about: &str) {
        profile::set_about(&self.server, &self.device_id(0), about.to_owned());
    }

    /// Takes a username, by which others find and name the account; `None` gives it up.
    pub fn takes_username(&self, username: Option<&str>) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.profile.username = username.map(str::to_owned);
        }
    }

    /// Its about text, whichever of the account's devices has set it.
    pub fn about(&self) -> String {
        let world = self.server.world.lock();
        world
            .account(&self.number)
            .map(|account| account.profile.about.clone())
            .unwrap_or_default()
    }

    /// Sets its profile picture, a JPEG; returns the picture's id.
    pub fn shows_picture(&self, jpeg: Vec<u8>) -> anyhow::Result<String> {
        let picture = ProfilePicture::from_jpeg(jpeg)?;
        let id = picture.id.clone();
        profile::set_picture(&self.server, &self.device_id(0), Some(picture));
        Ok(id)
    }

    /// Removes its profile picture.
    pub fn removes_picture(&self) {
        profile::set_picture(&self.server, &self.device_id(0), None);
    }

    /// Sets whether its profile picture is hidden from everybody else.
    pub fn hides_picture(&self, hidden: bool) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.profile.hides_picture = hidden;
        }
    }

    /// Its profile picture, whichever of the account's devices has set it.
    pub fn picture(&self) -> Option<ProfilePicture> {
        self.server
            .world
            .lock()
            .account(&self.number)?
            .profile
            .picture
            .clone()
    }

    /// Blocks or unblocks an account.
    pub fn blocks_contact(&self, whom: &str, blocked: bool) -> anyhow::Result<()> {
        let whom = self.resolve_number(whom)?;
        blocklist::set_blocked(&self.server, &self.device_id(0), &whom, blocked);
        Ok(())
    }

    /// The numbers it has blocked, whichever of the account's devices has done it.
    pub fn blocked_numbers(&self) -> Vec<String> {
        let world = self.server.world.lock();
        let blocked = world
            .account(&self.number)
            .into_iter()
            .flat_map(|account| &account.blocked);
        blocked.map(ToString::to_string).collect()
    }

    /// Its push name, as WhatsApp knows it.
    pub fn name(&self) -> String {
        let world = self.server.world.lock();
        world
            .account(&self.number)
            .map(|account| account.push_name.clone())
            .unwrap_or_default()
    }
}
