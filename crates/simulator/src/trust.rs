//! Trust between accounts: the tokens they give each other, the access a token grants, and
//! restricted accounts.

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

/// The length of a token, in bytes.
const TOKEN: usize = 20;
/// The default validity of tokens: time is divided into spans of this many seconds, and a token is
/// valid for this many spans.
const SPAN: u64 = 604_800;
const SPANS: u64 = 4;
/// Properties that override the validity: for the holders of tokens, and for the givers.
const HELD_SPAN: u32 = 865;
const HELD_SPANS: u32 = 909;
const GIVEN_SPAN: u32 = 996;
/// Properties by which clients attach tokens to their requests, and learn the salt of their
/// account's own tokens.
const SWITCHES: [(u32, &str); 11] = [
    // On messages, on requests for profile pictures, on new groups and their new members.
    (10_518, "1"),
    (9_666, "1"),
    (11_261, "1"),
    (11_262, "1"),
    // Tokens are given to LIDs.
    (14_303, "1"),
    (HELD_SPAN, "604800"),
    (GIVEN_SPAN, "604800"),
    (HELD_SPANS, "4"),
    (997, "4"),
    // Without a token, clients derive one from the salt.
    (24_941, "1"),
    (MAKES_SALT, "1"),
];
/// The phone chooses a salt; it comes with history sync, and with the app state.
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
    /// A message to a person who has given the account no token must prove that its phone knows the
    /// client (`<cstoken>`); others are refused with 463.
    Unproven,
    /// Until this time the account starts no new chats: a message without the recipient's token is
    /// refused with 463.
    NewChats {
        /// When it ends by itself, in seconds since 1970.
        until: u64,
    },
}

/// The accounts that may see something of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Everybody.
    #[default]
    Everybody,
    /// Accounts that show a token that the account gave them.
    Trusted,
    /// Only its own devices.
    Nobody,
}

/// The trust settings of an account.
#[derive(Default)]
pub(crate) struct Trust {
    restriction: Restriction,
    picture: Audience,
    presence: Audience,
    /// Its phone gives no tokens by itself.
    withholds_tokens: bool,
    /// How many messages of its devices were refused because the account may not start chats.
    refused: u64,
    /// Feature properties that differ from the defaults, by their codes.
    properties: BTreeMap<u32, String>,
    /// Its devices derive tokens from it for people who gave them none. Its phone chooses it when
    /// it links its first device.
    pub(crate) salt: Option<[u8; 32]>,
}

/// A token that one account has given another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) bytes: Vec<u8>,
    /// When it was last given, in seconds since 1970.
    pub(crate) given: u64,
}

/// All tokens, by giver and holder; the newest is the last.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<(Number, Number), Vec<Token>>);

impl Tokens {
    /// The newest token that `giver` gave `holder`.
    pub(crate) fn newest(&self, giver: &Number, holder: &Number) -> Option<&Token> {
        self.0.get(&(giver.clone(), holder.clone()))?.last()
    }

    /// Gives the token of the span of `now`; the existing one, if it is of the same span or of a
    /// later one.
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
    /// A numeric feature property of this account, at least 1.
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

    /// Whether the account's phone includes the salt in history sync.
    pub(crate) fn tells_salt_in_history(&self) -> bool {
        self.has_switched_on(SALT_IN_HISTORY)
    }

    /// The feature properties of the account that are about trust, or that a test has set.
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

    /// The current restriction of the account.
    pub(crate) fn restriction(&self) -> Restriction {
        match self.trust.restriction {
            Restriction::NewChats { until } if until <= unix_time() => Restriction::None,
            restriction => restriction,
        }
    }

    /// The token that its devices derive for a recipient who gave the account none.
    fn own_token(&self, other: &Account) -> Option<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.trust.salt?).ok()?;
        mac.update(format!("{}@lid", other.lid).as_bytes());
        Some(mac.finalize().into_bytes().to_vec())
    }
}

impl World {
    /// Gives the token of this time from one account to another.
    pub(crate) fn give_token(&mut self, giver: &Number, holder: &Number, at: u64) -> Option<Token> {
        self.account(holder)?;
        let span = self.account(giver)?.number_of(GIVEN_SPAN, SPAN);
        Some(self.tokens.give(giver, holder, at.min(unix_time()), span))
    }

    /// Whether an account is due to give a token, first or again.
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

    /// The newest token that `giver` gave `holder`, if it is still valid.
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

    /// Whether these bytes are a valid token that `giver` gave `holder`.
    fn is_token(&self, giver: &Number, holder: &Number, shown: Option<&[u8]>) -> bool {
        let given = self.tokens.0.get(&(giver.clone(), holder.clone()));
        let is_meant = |token: &&Token| Some(&*token.bytes) == shown;
        given
            .and_then(|given| given.iter().find(is_meant))
            .is_some_and(|token| self.is_of_this_time(holder, token))
    }

    /// Whether an account belongs to the audience of another, with the token it shows.
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

    /// Whether an account may see another's profile picture.
    pub(crate) fn may_see_picture(
        &self,
        account: &Number,
        other: &Number,
        shown: Option<&[u8]>,
    ) -> bool {
        self.account(account)
            .is_some_and(|it| self.is_in(it.trust.picture, account, other, shown))
    }

    /// Whether an account may see another's presence.
    pub(crate) fn may_see_presence(
        &self,
        account: &Number,
        other: &Number,
        shown: Option<&[u8]>,
    ) -> bool {
        self.account(account)
            .is_some_and(|it| self.is_in(it.trust.presence, account, other, shown))
    }

    /// Whether an account may write to another, with the tokens on its message: the recipient's,
    /// and one of its own making.
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

    /// Counts a message of the account's devices that was refused.
    pub(crate) fn count_refusal(&mut self, of: &Number) {
        if let Some(account) = self.account_mut(of) {
            account.trust.refused += 1;
        }
    }

    /// Whether an account may write to another from its phone, which has every token that the
    /// account was given.
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
    /// Restricts the account from now on, and notifies its devices.
    pub fn is_restricted(&self, restriction: Restriction) {
        self.with_trust(|trust| trust.restriction = restriction);
        timelock::tell(&self.server, &self.number);
    }

    /// The current restriction of the account.
    pub fn restriction(&self) -> Restriction {
        self.server
            .world
            .lock()
            .account(&self.number)
            .map(Account::restriction)
            .unwrap_or_default()
    }

    /// Sets the audience of its profile picture.
    pub fn shows_picture_to(&self, audience: Audience) {
        self.with_trust(|trust| trust.picture = audience);
    }

    /// Sets whether the phone gives tokens to its recipients by itself, as phones do, or only when
    /// a test asks it to.
    pub fn gives_tokens(&self, by_itself: bool) {
        self.with_trust(|trust| trust.withholds_tokens = !by_itself);
    }

    /// Gives an account the token of this time.
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

    /// Sets the audience of its presence.
    pub fn shows_presence_to(&self, audience: Audience) {
        self.with_trust(|trust| trust.presence = audience);
    }

    /// Sets a feature property, which the account's devices get with their next query; `None`
    /// restores the default.
    pub fn has_property(&self, code: u32, value: Option<&str>) {
        self.with_trust(|trust| match value {
            Some(value) => drop(trust.properties.insert(code, value.to_owned())),
            None => drop(trust.properties.remove(&code)),
        });
    }

    /// The newest token that a person has given this account, from whichever of their devices.
    pub fn token_from(&self, whom: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let giver = self.resolve(whom)?;
        let world = self.server.world.lock();
        Ok(world
            .tokens
            .newest(&giver, &self.number)
            .map(|token| token.bytes.clone()))
    }

    /// The salt from which the account's devices derive tokens, once it has linked one.
    pub fn token_salt(&self) -> Option<[u8; 32]> {
        self.server.world.lock().account(&self.number)?.trust.salt
    }

    fn with_trust(&self, change: impl FnOnce(&mut Trust)) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            change(&mut account.trust);
        }
    }
}

/// Lets the phone choose the account's token salt, once, and writes it to the app state if its
/// devices read it there.
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
