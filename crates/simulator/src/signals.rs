//! Presence, typing and calls of phones.

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::phone::Phone;
use crate::stanza::call::RingingCall;
use crate::stanza::signals;
use crate::world::Chat;

/// The activity of a person in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypingState {
    /// They write.
    Composing,
    /// They record a voice note.
    Recording,
    /// They have stopped.
    Paused,
}

impl TypingState {
    pub(crate) fn chatstate_node(self) -> Node {
        match self {
            Self::Composing => NodeBuilder::new("composing").build(),
            Self::Recording => NodeBuilder::new("composing").attr("media", "audio").build(),
            Self::Paused => NodeBuilder::new("paused").build(),
        }
    }
}

/// Something a phone showed for a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PhoneActivity {
    /// A person types in a chat; all addresses are by number.
    Typing {
        /// The other side of the conversation, or the group.
        chat: String,
        /// The person.
        from: String,
        /// The activity.
        state: TypingState,
    },
    /// A person this phone watches came or went.
    Presence {
        /// The person.
        from: String,
        /// Whether they are online.
        available: bool,
    },
    /// A call from this phone was rejected.
    Rejected {
        /// The id of the call.
        call: String,
        /// The account that rejected it.
        by: String,
    },
}

impl Phone {
    /// Shows others in a chat its owner's activity there.
    pub fn shows_typing(&self, chat: &str, state: TypingState) -> anyhow::Result<()> {
        let (chat, addressing) = (self.find_chat(chat)?, self.addressing());
        signals::show_typing(&self.server, &self.device_id(0), &chat, state, addressing);
        Ok(())
    }

    /// Sets whether its owner has WhatsApp open.
    pub fn sets_presence(&self, available: bool) {
        signals::set_presence(&self.server, &self.device_id(0), available);
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
            signals::watch_presence(&self.server, &self.device_id(0), &jid, token.as_deref());
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
        self.with_phone_state(|handset| handset.activity.iter().cloned().collect())
    }
}
