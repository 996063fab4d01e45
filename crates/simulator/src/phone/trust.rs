//! Trust between accounts: the tokens they give each other, the access a token grants, and
//! restricted accounts.

use crate::phone::Phone;
use crate::server::account::new_chat_cap::NewChatCap;
use crate::server::account::trust::{AccountRestriction, Audience, TrustSettings};
use crate::server::stanza::{new_chat_cap, reachout_timelock, trust};
use crate::server::world::Account;
use crate::wire::unix_time;

impl Phone {
    /// Restricts the account from now on, and notifies its devices.
    pub fn gets_restriction(&self, restriction: AccountRestriction) {
        self.update_trust(|trust| trust.restriction = restriction);
        reachout_timelock::notify_restriction(&self.server, &self.number);
    }

    /// Restricts the account without a word to its devices, as when the notification is lost.
    pub fn restricts_silently(&self, restriction: AccountRestriction) {
        self.update_trust(|trust| trust.restriction = restriction);
    }

    /// The current restriction of the account.
    pub fn current_restriction(&self) -> AccountRestriction {
        self.server
            .world
            .lock()
            .account(&self.number)
            .map(Account::current_restriction)
            .unwrap_or_default()
    }

    /// Caps the account's new chats from now on, or lifts the cap, and notifies its devices.
    pub fn gets_cap(&self, cap: Option<NewChatCap>) {
        self.update_trust(|trust| trust.cap = cap);
        new_chat_cap::notify_cap(&self.server, &self.number);
    }

    /// The cap on the account's new chats.
    pub fn current_cap(&self) -> Option<NewChatCap> {
        self.server
            .world
            .lock()
            .account(&self.number)
            .and_then(Account::current_cap)
    }

    /// Sets the audience of its profile picture.
    pub fn shows_picture_to(&self, audience: Audience) {
        self.update_trust(|trust| trust.picture = audience);
    }

    /// Sets whether the phone gives tokens to its recipients by itself, as phones do, or only when
    /// a test asks it to.
    pub fn gives_tokens(&self, by_itself: bool) {
        self.update_trust(|trust| trust.withholds_tokens = !by_itself);
    }

    /// Gives an account the token of this time.
    pub fn gives_token_to(&self, whom: &str) -> anyhow::Result<()> {
        trust::give_token(
            &self.server,
            &self.device_id(0),
            &self.resolve_number(whom)?,
            unix_time(),
        );
        Ok(())
    }

    /// How many messages of its devices were refused with 463 because the account is restricted.
    pub fn refused_messages(&self) -> u64 {
        self.server
            .world
            .lock()
            .account(&self.number)
            .map_or(0, |account| account.trust.refused)
    }

    /// Sets the audience of its presence.
    pub fn shows_presence_to(&self, audience: Audience) {
        self.update_trust(|trust| trust.presence = audience);
    }

    /// Sets a feature property, which the account's devices get with their next query; `None`
    /// restores the default.
    pub fn sets_property(&self, code: u32, value: Option<&str>) {
        self.update_trust(|trust| match value {
            Some(value) => drop(trust.properties.insert(code, value.to_owned())),
            None => drop(trust.properties.remove(&code)),
        });
    }

    /// The newest token that a person has given this account, from whichever of their devices.
    pub fn token_from(&self, whom: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let giver = self.resolve_number(whom)?;
        let world = self.server.world.lock();
        Ok(world
            .tokens
            .newest_token(&giver, &self.number)
            .map(|token| token.bytes.clone()))
    }

    /// The salt from which the account's devices derive tokens, once it has linked one.
    pub fn token_salt(&self) -> Option<[u8; 32]> {
        self.server.world.lock().account(&self.number)?.trust.salt
    }

    fn update_trust(&self, change: impl FnOnce(&mut TrustSettings)) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            change(&mut account.trust);
        }
    }
}
