//! Trust between accounts: tokens, the access a token grants, and restrictions.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use waproto::buffa::MessageField;
use waproto::whatsapp::SyncActionValue;
use waproto::whatsapp::sync_action_value as action;

use crate::model::ids::PhoneNumber;
use crate::server::account::new_chat_cap::NewChatCap;
use crate::server::app_state::{AppStateChange, REGULAR_HIGH};
use crate::server::world::{Account, World};
use crate::server::{Server, app_state};
use crate::wire::unix_time;

/// The length of a token, in bytes.
pub(crate) const TOKEN_LENGTH: usize = 20;

/// The default validity of tokens: time is divided into spans of this many seconds, and a token is
/// valid for this many spans.
pub(crate) const TOKEN_SPAN: u64 = 604_800;

pub(crate) const TOKEN_SPANS: u64 = 4;

/// Properties that override the validity: for the holders of tokens, and for the givers.
pub(crate) const HELD_SPAN: u32 = 865;

pub(crate) const HELD_SPANS: u32 = 909;

pub(crate) const GIVEN_SPAN: u32 = 996;

/// Properties by which clients attach tokens to their requests, and learn the salt of their
/// account's own tokens.
pub(crate) const FEATURE_PROPERTIES: [(u32, &str); 11] = [
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
pub(crate) const MAKES_SALT: u32 = 24_915;

pub(crate) const SALT_IN_HISTORY: u32 = 25_189;

pub(crate) const SALT_IN_APP_STATE: u32 = 25_253;

/// Whether WhatsApp lets an account write to people who have not written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AccountRestriction {
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
pub(crate) struct TrustSettings {
    pub(crate) restriction: AccountRestriction,
    /// The quota of messages to new contacts.
    pub(crate) cap: Option<NewChatCap>,
    pub(crate) picture: Audience,
    pub(crate) presence: Audience,
    /// Its phone gives no tokens by itself.
    pub(crate) withholds_tokens: bool,
    /// How many messages of its devices were refused because the account may not start chats.
    pub(crate) refused: u64,
    /// Feature properties that differ from the defaults, by their codes.
    pub(crate) properties: BTreeMap<u32, String>,
    /// Its devices derive tokens from it for people who gave them none. Its phone chooses it when
    /// it links its first device.
    pub(crate) salt: Option<[u8; 32]>,
}

/// A token that one account has given another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustToken {
    pub(crate) bytes: Vec<u8>,
    /// When it was last given, in seconds since 1970.
    pub(crate) given: u64,
}

/// All tokens, by giver and holder; the newest is the last.
#[derive(Default)]
pub(crate) struct TokenRegistry(HashMap<(PhoneNumber, PhoneNumber), Vec<TrustToken>>);

impl TokenRegistry {
    /// The newest token that `giver` gave `holder`.
    pub(crate) fn newest_token(
        &self,
        giver: &PhoneNumber,
        holder: &PhoneNumber,
    ) -> Option<&TrustToken> {
        self.0.get(&(giver.clone(), holder.clone()))?.last()
    }

    /// Gives the token of the span of `now`; the existing one, if it is of the same span or of a
    /// later one.
    fn give_token(
        &mut self,
        giver: &PhoneNumber,
        holder: &PhoneNumber,
        now: u64,
        span: u64,
    ) -> TrustToken {
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
                let token = TrustToken {
                    bytes: rand::random::<[u8; TOKEN_LENGTH]>().to_vec(),
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
    fn property_number(&self, property: u32, default: u64) -> u64 {
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
    pub(crate) fn has_salt_in_history(&self) -> bool {
        self.has_switched_on(SALT_IN_HISTORY)
    }

    /// The feature properties of the account that are about trust, or that a test has set.
    pub(crate) fn feature_properties(&self) -> BTreeMap<u32, String> {
        let salts = [(SALT_IN_HISTORY, "1"), (SALT_IN_APP_STATE, "1")];
        let all = FEATURE_PROPERTIES
            .into_iter()
            .chain(salts)
            .map(|(code, value)| (code, value.to_owned()));
        let mut properties: BTreeMap<u32, String> = all.collect();
        properties.extend(self.trust.properties.clone());
        properties
    }

    /// The current restriction of the account.
    pub(crate) fn current_restriction(&self) -> AccountRestriction {
        match self.trust.restriction {
            AccountRestriction::NewChats { until } if until <= unix_time() => {
                AccountRestriction::None
            }
            restriction => restriction,
        }
    }

    /// The token that its devices derive for a recipient who gave the account none.
    fn derived_token(&self, other: &Account) -> Option<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.trust.salt?).ok()?;
        mac.update(format!("{}@lid", other.lid).as_bytes());
        Some(mac.finalize().into_bytes().to_vec())
    }
}

impl World {
    /// Gives the token of this time from one account to another.
    pub(crate) fn give_token(
        &mut self,
        giver: &PhoneNumber,
        holder: &PhoneNumber,
        at: u64,
    ) -> Option<TrustToken> {
        self.account(holder)?;
        let span = self.account(giver)?.property_number(GIVEN_SPAN, TOKEN_SPAN);
        Some(
            self.tokens
                .give_token(giver, holder, at.min(unix_time()), span),
        )
    }

    /// Whether an account is due to give a token, first or again.
    pub(crate) fn is_token_due(&self, giver: &PhoneNumber, holder: &PhoneNumber) -> bool {
        let Some(account) = self
            .account(giver)
            .filter(|account| !account.trust.withholds_tokens)
        else {
            return false;
        };
        let span = account.property_number(GIVEN_SPAN, TOKEN_SPAN);
        let newest = self.tokens.newest_token(giver, holder);
        giver != holder && newest.is_none_or(|token| token.given / span < unix_time() / span)
    }

    /// The newest token that `giver` gave `holder`, if it is still valid.
    pub(crate) fn valid_token(
        &self,
        giver: &PhoneNumber,
        holder: &PhoneNumber,
    ) -> Option<&TrustToken> {
        let token = self.tokens.newest_token(giver, holder)?;
        self.is_token_current(holder, token).then_some(token)
    }

    fn is_token_current(&self, holder: &PhoneNumber, token: &TrustToken) -> bool {
        let Some(account) = self.account(holder) else {
            return false;
        };
        let (span, spans) = (
            account.property_number(HELD_SPAN, TOKEN_SPAN),
            account.property_number(HELD_SPANS, TOKEN_SPANS),
        );
        token.given >= (unix_time() / span).saturating_sub(spans - 1) * span
    }

    /// Whether these bytes are a valid token that `giver` gave `holder`.
    fn has_given_token(
        &self,
        giver: &PhoneNumber,
        holder: &PhoneNumber,
        shown: Option<&[u8]>,
    ) -> bool {
        let given = self.tokens.0.get(&(giver.clone(), holder.clone()));
        let is_meant = |token: &&TrustToken| Some(&*token.bytes) == shown;
        given
            .and_then(|given| given.iter().find(is_meant))
            .is_some_and(|token| self.is_token_current(holder, token))
    }

    /// Whether an account belongs to the audience of another, with the token it shows.
    fn is_in_audience(
        &self,
        audience: Audience,
        account: &PhoneNumber,
        other: &PhoneNumber,
        shown: Option<&[u8]>,
    ) -> bool {
        account == other
            || match audience {
                Audience::Everybody => true,
                Audience::Trusted => self.has_given_token(account, other, shown),
                Audience::Nobody => false,
            }
    }

    /// Whether an account may see another's profile picture.
    pub(crate) fn can_see_picture(
        &self,
        account: &PhoneNumber,
        other: &PhoneNumber,
        shown: Option<&[u8]>,
    ) -> bool {
        self.account(account)
            .is_some_and(|it| self.is_in_audience(it.trust.picture, account, other, shown))
    }

    /// Whether an account may see another's presence.
    pub(crate) fn can_see_presence(
        &self,
        account: &PhoneNumber,
        other: &PhoneNumber,
        shown: Option<&[u8]>,
    ) -> bool {
        self.account(account)
            .is_some_and(|it| self.is_in_audience(it.trust.presence, account, other, shown))
    }

    /// Whether an account may write to another, with the tokens on its message: the recipient's,
    /// and one of its own making.
    pub(crate) fn can_write(
        &self,
        from: &PhoneNumber,
        to: &PhoneNumber,
        given: Option<&[u8]>,
        own: Option<&[u8]>,
    ) -> bool {
        let (Some(sender), Some(recipient)) = (self.account(from), self.account(to)) else {
            return true;
        };
        match sender.current_restriction() {
            _ if !self.is_new_chat(from, to, given) => true,
            _ if sender.is_capped() => false,
            AccountRestriction::None => true,
            AccountRestriction::Unproven => {
                own.is_some() && sender.derived_token(recipient).as_deref() == own
            }
            AccountRestriction::NewChats { .. } => false,
        }
    }

    /// Whether an account writes to somebody who does not trust it, with the token on its message.
    pub(crate) fn is_new_chat(
        &self,
        from: &PhoneNumber,
        to: &PhoneNumber,
        given: Option<&[u8]>,
    ) -> bool {
        from != to && !self.has_given_token(to, from, given)
    }

    /// Counts a message of the account's devices that was refused.
    pub(crate) fn count_refusal(&mut self, of: &PhoneNumber) {
        if let Some(account) = self.account_mut(of) {
            account.trust.refused += 1;
        }
    }

    /// Whether an account may write to another from its phone, which has every token that the
    /// account was given.
    pub(crate) fn can_write_from_phone(&self, from: &PhoneNumber, to: &PhoneNumber) -> bool {
        let (Some(sender), Some(recipient)) = (self.account(from), self.account(to)) else {
            return true;
        };
        let given = self.valid_token(to, from).map(|token| token.bytes.clone());
        self.can_write(
            from,
            to,
            given.as_deref(),
            sender.derived_token(recipient).as_deref(),
        )
    }
}

/// Lets the phone choose the account's token salt, once, and writes it to the app state if its
/// devices read it there.
pub(crate) fn choose_salt(server: &Server, number: &PhoneNumber) -> anyhow::Result<()> {
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
    let change = AppStateChange {
        index: vec!["nct_salt_sync".to_owned()],
        schema: 1,
        value: Some(value),
    };
    app_state::write_changes(server, number, REGULAR_HIGH, &[change])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_for_a_span_and_another_after_it() {
        let (mut tokens, [alice, bob]) =
            (TokenRegistry::default(), ["1", "2"].map(PhoneNumber::from));
        let first = tokens.give_token(&alice, &bob, TOKEN_SPAN, TOKEN_SPAN);
        assert_eq!(
            tokens
                .give_token(&alice, &bob, 2 * TOKEN_SPAN - 1, TOKEN_SPAN)
                .bytes,
            first.bytes
        );
        assert_eq!(
            tokens.newest_token(&alice, &bob).unwrap().given,
            2 * TOKEN_SPAN - 1
        );
        let next = tokens.give_token(&alice, &bob, 2 * TOKEN_SPAN, TOKEN_SPAN);
        assert_ne!(next.bytes, first.bytes);
        assert_eq!(
            tokens.give_token(&alice, &bob, TOKEN_SPAN, TOKEN_SPAN),
            next
        );
        assert_eq!(tokens.newest_token(&bob, &alice), None);
    }
}
