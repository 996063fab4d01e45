//! Whom accounts trust: the tokens they give those they write to, what a token opens, and accounts that WhatsApp keeps from writing to others.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::sync_action_value as action;

use crate::appstate::{self, Change};
use crate::phone::Phone;
use crate::server::Server;
use crate::settings::REGULAR_HIGH;
use crate::stanza::{timelock, trust, unix_time};
use crate::world::{Account, Number, World};

/// How many bytes a token has.
const TOKEN: usize = 20;
/// Where tokens are renewed, each time of so many seconds counts as one, and they open something in so many of them.
const SPAN: u64 = 604_800;
const SPANS: u64 = 4;
/// The properties that say otherwise: for those who hold tokens, and for those who give them.
const HELD_SPAN: u32 = 865;
const HELD_SPANS: u32 = 909;
const GIVEN_SPAN: u32 = 996;
/// The properties by which clients put tokens on what they send, and learn the salt of their account's own tokens.
const SWITCHES: [(u32, &str); 11] = [
    // On messages, on questions for pictures, on new groups and their new members.
    (10_518, "1"),
    (9_666, "1"),
    (11_261, "1"),
    (11_262, "1"),
    // They are given to LIDs.
    (14_303, "1"),
    (HELD_SPAN, "604800"),
    (GIVEN_SPAN, "604800"),
    (HELD_SPANS, "4"),
    (997, "4"),
    // Where there is none, clients make one of the salt.
    (24_941, "1"),
    (MAKES_SALT, "1"),
];
/// The phone chooses a salt; it comes with the history, and with the app state.
const MAKES_SALT: u32 = 24_915;
const SALT_IN_HISTORY: u32 = 25_189;
const SALT_IN_APP_STATE: u32 = 25_253;

/// Whether WhatsApp lets an account write to people who have not written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Restriction {
    /// It may write to everybody.
    #[default]
    None,
    /// Messages to somebody who has given the account no token must show that its phone knows the client (`<cstoken>`); others are refused
    /// with 463.
    Unproven,
    /// Until then, in seconds since 1970, it starts no new chats: a message without the token of whom it is for is refused with 463.
    NewChats {
        /// When it ends by itself.
        until: u64,
    },
}

/// Who gets to see something of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Whoever asks.
    #[default]
    Everybody,
    /// Whoever shows a token that the account gave them.
    Trusted,
    /// Nobody but its own devices.
    Nobody,
}

/// How an account stands with others.
#[derive(Default)]
pub(crate) struct Trust {
    restriction: Restriction,
    picture: Audience,
    presence: Audience,
    /// Its phone gives no tokens by itself.
    withholds_tokens: bool,
    /// How many messages of its devices were refused because the account may not begin to write.
    refused: u64,
    /// Feature switches that are other than everybody's, by their codes.
    properties: BTreeMap<u32, String>,
    /// What its devices make tokens of for those who gave them none. Its phone chooses it when it links its first device.
    pub(crate) salt: Option<[u8; 32]>,
}

/// A token that one account has given another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) bytes: Vec<u8>,
    /// When it was given last, in seconds since 1970.
    pub(crate) given: u64,
}

/// All tokens, by who gave them to whom; the newest is the last.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<(Number, Number), Vec<Token>>);

impl Tokens {
    /// The newest token that somebody was given.
    pub(crate) fn newest(&self, giver: &Number, holder: &Number) -> Option<&Token> {
        self.0.get(&(giver.clone(), holder.clone()))?.last()
    }

    /// The token of this time; the one there is, if it is of the same span or of a later one.
    fn give(&mut self, giver: &Number, holder: &Number, now: u64, span: u64) -> Token {
        let given = self.0.entry((giver.clone(), holder.clone())).or_default();
        match given
            .last_mut()
            .filter(|last| last.given / span >= now / span)
        {
            Some(last) => {
                last.given = last.given.max(now);
                last.clone()
            }
            None => {
                let token = Token {
                    bytes: rand::random::<[u8; TOKEN]>().to_vec(),
                    given: now,
                };
                given.push(token.clone());
                token
            }
        }
    }
}

impl Account {
    /// A feature switch of this account, where there is one that holds a number.
    fn number_of(&self, property: u32, default: u64) -> u64 {
        let own = self
            .trust
            .properties
            .get(&property)
            .and_then(|value| value.parse().ok());
        own.unwrap_or(default).max(1)
    }

    fn has_switched_on(&self, property: u32) -> bool {
        self.trust
            .properties
            .get(&property)
            .is_none_or(|value| value == "1")
    }

    /// Whether the account's phone puts the salt into what it tells of the past.
    pub(crate) fn tells_salt_in_history(&self) -> bool {
        self.has_switched_on(SALT_IN_HISTORY)
    }

    /// The feature switches of the account that are about trust, or that a test has set.
    pub(crate) fn properties(&self) -> BTreeMap<u32, String> {
        let salts = [(SALT_IN_HISTORY, "1"), (SALT_IN_APP_STATE, "1")];
        let all = SWITCHES
            .into_iter()
            .chain(salts)
            .map(|(code, value)| (code, value.to_owned()));
        let mut properties: BTreeMap<u32, String> = all.collect();
        properties.extend(self.trust.properties.clone());
        properties
    }

    /// What the account may do at the moment.
    pub(crate) fn restriction(&self) -> Restriction {
        match self.trust.restriction {
            Restriction::NewChats { until } if until <= unix_time() => Restriction::None,
            restriction => restriction,
        }
    }

    /// What one of its devices shows to somebody who gave the account no token.
    fn own_token(&self, other: &Account) -> Option<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.trust.salt?).ok()?;
        mac.update(format!("{}@lid", other.lid).as_bytes());
        Some(mac.finalize().into_bytes().to_vec())
    }
}

impl World {
    /// An account gives another one the token of this time.
    pub(crate) fn give_token(&mut self, giver: &Number, holder: &Number, at: u64) -> Option<Token> {
        self.account(holder)?;
        let span = self.account(giver)?.number_of(GIVEN_SPAN, SPAN);
        Some(self.tokens.give(giver, holder, at.min(unix_time()), span))
    }

    /// Whether it is time for somebody to give a token, again.
    pub(crate) fn owes_token(&self, giver: &Number, holder: &Number) -> bool {
        let Some(account) = self
            .account(giver)
            .filter(|account| !account.trust.withholds_tokens)
        else {
            return false;
        };
        let span = account.number_of(GIVEN_SPAN, SPAN);
        let newest = self.tokens.newest(giver, holder);
        giver != holder && newest.is_none_or(|token| token.given / span < unix_time() / span)
    }

    /// The newest token somebody was given, if it still opens something.
    pub(crate) fn held_token(&self, giver: &Number, holder: &Number) -> Option<&Token> {
        let token = self.tokens.newest(giver, holder)?;
        self.is_of_this_time(holder, token).then_some(token)
    }

    fn is_of_this_time(&self, holder: &Number, token: &Token) -> bool {
        let Some(account) = self.account(holder) else {
            return false;
        };
        let (span, spans) = (
            account.number_of(HELD_SPAN, SPAN),
            account.number_of(HELD_SPANS, SPANS),
        );
        token.given >= (unix_time() / span).saturating_sub(spans - 1) * span
    }

    /// Whether these bytes are a token that `giver` gave `holder`.
    fn is_token(&self, giver: &Number, holder: &Number, shown: Option<&[u8]>) -> bool {
        let given = self.tokens.0.get(&(giver.clone(), holder.clone()));
        let is_meant = |token: &&Token| Some(&*token.bytes) == shown;
        given
            .and_then(|given| given.iter().find(is_meant))
            .is_some_and(|token| self.is_of_this_time(holder, token))
    }

    /// Whether somebody may see something of an account that is for this audience, with the token they show.
    fn is_in(
        &self,
        audience: Audience,
        account: &Number,
        other: &Number,
        shown: Option<&[u8]>,
    ) -> bool {
        account == other
            || match audience {
                Audience::Everybody => true,
                Audience::Trusted => self.is_token(account, other, shown),
                Audience::Nobody => false,
            }
    }

    /// Whether somebody may see an account's picture.
    pub(crate) fn may_see_picture(
        &self,
        account: &Number,
        other: &Number,
        shown: Option<&[u8]>,
    ) -> bool {
        self.account(account)
            .is_some_and(|it| self.is_in(it.trust.picture, account, other, shown))
    }

    /// Whether somebody may see when an account's owner is there.
    pub(crate) fn may_see_presence(
        &self,
        account: &Number,
        other: &Number,
        shown: Option<&[u8]>,
    ) -> bool {
        self.account(account)
            .is_some_and(|it| self.is_in(it.trust.presence, account, other, shown))
    }

    /// Whether an account may write to somebody, with the tokens that stand on its message: the recipient's, and one of its own making.
    pub(crate) fn may_write(
        &self,
        from: &Number,
        to: &Number,
        given: Option<&[u8]>,
        own: Option<&[u8]>,
    ) -> bool {
        let (Some(sender), Some(recipient)) = (self.account(from), self.account(to)) else {
            return true;
        };
        match sender.restriction() {
            _ if from == to => true,
            Restriction::None => true,
            _ if self.is_token(to, from, given) => true,
            Restriction::Unproven => own.is_some() && sender.own_token(recipient).as_deref() == own,
            Restriction::NewChats { .. } => false,
        }
    }

    /// One of its devices has heard that it may not.
    pub(crate) fn count_refusal(&mut self, of: &Number) {
        if let Some(account) = self.account_mut(of) {
            account.trust.refused += 1;
        }
    }

    /// The same of its phone, which has every token that the account was given.
    pub(crate) fn may_write_from_phone(&self, from: &Number, to: &Number) -> bool {
        let (Some(sender), Some(recipient)) = (self.account(from), self.account(to)) else {
            return true;
        };
        let given = self.held_token(to, from).map(|token| token.bytes.clone());
        self.may_write(
            from,
            to,
            given.as_deref(),
            sender.own_token(recipient).as_deref(),
        )
    }
}

impl Phone {
    /// From now on WhatsApp restricts the account so, and tells its devices.
    pub fn is_restricted(&self, restriction: Restriction) {
        self.with_trust(|trust| trust.restriction = restriction);
        timelock::tell(&self.server, &self.number);
    }

    /// What the account may do at the moment.
    pub fn restriction(&self) -> Restriction {
        self.server
            .world
            .lock()
            .account(&self.number)
            .map(Account::restriction)
            .unwrap_or_default()
    }

    /// Shows its picture to these.
    pub fn shows_picture_to(&self, audience: Audience) {
        self.with_trust(|trust| trust.picture = audience);
    }

    /// From now on the phone gives whoever it writes to a token, as phones do, or only those whom it is told to.
    pub fn gives_tokens(&self, by_itself: bool) {
        self.with_trust(|trust| trust.withholds_tokens = !by_itself);
    }

    /// Gives somebody the token of this time.
    pub fn gives_token_to(&self, whom: &str) -> anyhow::Result<()> {
        trust::give(&self.server, &self.id(0), &self.resolve(whom)?, unix_time());
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

    /// Lets these know when its owner is there.
    pub fn shows_presence_to(&self, audience: Audience) {
        self.with_trust(|trust| trust.presence = audience);
    }

    /// The account's devices are told that a feature switch has this value, the next time they ask; `None`: as for everybody.
    pub fn has_property(&self, code: u32, value: Option<&str>) {
        self.with_trust(|trust| match value {
            Some(value) => drop(trust.properties.insert(code, value.to_owned())),
            None => drop(trust.properties.remove(&code)),
        });
    }

    /// The newest token that somebody has given this account, whichever of their devices did it.
    pub fn token_from(&self, whom: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let giver = self.resolve(whom)?;
        let world = self.server.world.lock();
        Ok(world
            .tokens
            .newest(&giver, &self.number)
            .map(|token| token.bytes.clone()))
    }

    /// What the account's devices make tokens of for those who gave them none, once it has linked one.
    pub fn token_salt(&self) -> Option<[u8; 32]> {
        self.server.world.lock().account(&self.number)?.trust.salt
    }

    fn with_trust(&self, change: impl FnOnce(&mut Trust)) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            change(&mut account.trust);
        }
    }
}

/// The phone chooses what the account's devices make tokens of, and writes it where they read it, once.
pub(crate) fn settle_salt(server: &Server, number: &Number) -> anyhow::Result<()> {
    let (salt, is_written) = {
        let mut world = server.world.lock();
        let account = world.account_mut(number).context("no such account")?;
        if account.trust.salt.is_some() || !account.has_switched_on(MAKES_SALT) {
            return Ok(());
        }
        (
            *account.trust.salt.insert(rand::random()),
            account.has_switched_on(SALT_IN_APP_STATE),
        )
    };
    if !is_written {
        return Ok(());
    }
    let action = action::NctSaltSyncAction {
        salt: Some(salt.to_vec()),
    };
    let value = SyncActionValue {
        nct_salt_sync_action: MessageField::some(action),
        ..Default::default()
    };
    let change = Change {
        index: vec!["nct_salt_sync".to_owned()],
        schema: 1,
        value: Some(value),
    };
    appstate::write(server, number, REGULAR_HIGH, &[change])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_for_a_span_and_another_after_it() {
        let (mut tokens, [alice, bob]) = (Tokens::default(), ["1", "2"].map(Number::from));
        let first = tokens.give(&alice, &bob, SPAN, SPAN);
        assert_eq!(
            tokens.give(&alice, &bob, 2 * SPAN - 1, SPAN).bytes,
            first.bytes
        );
        assert_eq!(tokens.newest(&alice, &bob).unwrap().given, 2 * SPAN - 1);
        let next = tokens.give(&alice, &bob, 2 * SPAN, SPAN);
        assert_ne!(next.bytes, first.bytes);
        assert_eq!(tokens.give(&alice, &bob, SPAN, SPAN), next);
        assert_eq!(tokens.newest(&bob, &alice), None);
    }
}
