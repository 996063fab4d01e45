//! Presence, typing and calls of phones.

use crate::model::behaviour::{CallLink, PhoneActivity, TypingState};
use crate::model::ids::Chat;
use crate::phone::Phone;
use crate::server::stanza::call::RingingCall;
use crate::server::stanza::presence;

impl Phone {
    /// Shows others in a chat its owner's activity there.
    pub fn shows_typing(&self, chat: &str, state: TypingState) -> anyhow::Result<()> {
        let (chat, addressing) = (self.find_chat(chat)?, self.addressing());
        presence::show_typing(&self.server, &self.device_id(0), &chat, state, addressing);
        Ok(())
    }

    /// Sets whether its owner has WhatsApp open.
    pub fn sets_presence(&self, available: bool) {
        presence::set_presence(&self.server, &self.device_id(0), available);
    }

    /// Subscribes to a person's presence; the first notification comes at once.
    pub fn watches_presence(&self, whom: &str) -> anyhow::Result<()> {
        let Chat::Person(number) = self.find_chat(whom)? else {
            anyhow::bail!("{whom:?} is no person")
        };
        let addressing = self.addressing();
        let (jid, token) = {
            let world = self.server.world.lock();
            let token = world
                .valid_token(&number, &self.number)
                .map(|token| token.bytes.clone());
            (
                world
                    .account(&number)
                    .map(|account| account.jid(addressing, 0)),
                token,
            )
        };
        if let Some(jid) = jid {
            presence::watch_presence(&self.server, &self.device_id(0), &jid, token.as_deref());
        }
        Ok(())
    }

    /// Calls a person; returns the call's id. It rings until it is ended or rejected.
    pub fn starts_call(&self, whom: &str, video: bool) -> anyhow::Result<String> {
        let Chat::Person(callee) = self.find_chat(whom)? else {
            anyhow::bail!("{whom:?} is no person")
        };
        let id = hex::encode_upper(rand::random::<[u8; 16]>());
        RingingCall {
            id: &id,
            caller: &self.number,
            callee: &callee,
        }
        .start_ringing(&self.server, video);
        Ok(id)
    }

    /// Ends a call that nobody has answered.
    pub fn hangs_up(&self, whom: &str, call: &str) -> anyhow::Result<()> {
        let Chat::Person(callee) = self.find_chat(whom)? else {
            anyhow::bail!("{whom:?} is no person")
        };
        RingingCall {
            id: call,
            caller: &self.number,
            callee: &callee,
        }
        .stop_ringing(&self.server, None, None);
        Ok(())
    }

    /// The presence, typing and calls it showed so far, oldest first.
    pub fn shown_activity(&self) -> Vec<PhoneActivity> {
        self.with_phone_state(|phone_state| phone_state.activity.iter().cloned().collect())
    }

    /// The links to calls that the account's devices have created, oldest first.
    pub fn call_links(&self) -> Vec<CallLink> {
        let world = self.server.world.lock();
        let links = world.call_links.iter();
        let own = links.filter(|link| *link.creator == *self.number);
        own.cloned().collect()
    }
}
