//! The account's limits in a session's sender: messages to people who have not written to the
//! account wait while WhatsApp would refuse them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use jiff::Timestamp;

use super::super::outbox::{ChatFamiliarity, NewChatLimits, OutboxConnectivity};
use super::super::session::LinkState;
use super::super::{Session, SessionDeps};
use super::work::WorkResult;
use super::{MessageSender, RETRY_PAUSE};
use crate::config::NewChatPolicy;
use crate::inbound::received_times::WrittenChat;
use crate::model::event::{AccountLimits, NewChatQuota, ReachoutTimelock};
use crate::model::message::ChatId;
use crate::model::send_hold::{HoldReason, SendHold};
use crate::store::{Life, MessageSeq, Store};
use crate::whatsapp::LimitsUpdate;

/// Chats that are looked up one after another.
const CHECKED_TOGETHER: usize = 64;
/// Pause before WhatsApp is asked again for limits that nobody knows.
const ASK_AGAIN: Duration = Duration::from_secs(60);

impl MessageSender {
    /// Reads what an earlier run learnt of this account: its limits, and the messages that count.
    pub(super) async fn load_limits(&mut self) {
        let life = self.session.life();
        if self.limits_life.as_ref() == Some(&life) {
            return;
        }
        let saved = match self.deps.store.outbox().load_limits(&life).await {
            Ok(saved) => Some(saved),
            Err(error) => {
                tracing::warn!(session = %self.session.name, %error, "failed to read the limits of the account; WhatsApp is asked");
                None
            }
        };
        let mut limits = AccountLimits {
            is_unknown: saved.is_none(),
            ..saved.clone().flatten().unwrap_or_default()
        };
        // An earlier version did not save whether it is known.
        limits.timelock.known |= limits.timelock.active;
        (self.limits_life, self.limits_asked) = (Some(life), None);
        self.saved_limits = saved.flatten();
        self.writers = None;
        self.session.init_limits(limits);
        self.apply_limits();
        self.outbox.forget_departures();
        self.take_pacing(self.session.pacing()).await;
    }

    /// Applies limits that have changed, and saves them: after a restart, the messages wait on.
    pub(super) fn take_limits(&mut self) {
        self.apply_limits();
        self.save_limits();
        if self.is_online && !self.outbox.is_online() && self.may_rely_on_limits() {
            self.outbox.set_connectivity(OutboxConnectivity::Online);
        }
    }

    /// Saves the limits if the store has others. Unknown ones are no reason to forget those that
    /// are stored.
    pub(super) fn save_limits(&mut self) {
        if let Some(limits) = self.unsaved_limits()
            && let Some(life) = self.limits_life.clone()
            && !std::mem::replace(&mut self.is_saving, true)
        {
            let deps = self.deps.clone();
            self.work
                .push(Box::pin(save_limits_once(deps, life, limits)));
        }
    }

    fn unsaved_limits(&self) -> Option<AccountLimits> {
        let limits = self.session.limits();
        let is_saved = match &self.saved_limits {
            Some(saved) => *saved == limits,
            None => limits == AccountLimits::default(),
        };
        (!is_saved && !limits.is_unknown).then_some(limits)
    }

    pub(super) fn finish_saving(&mut self, life: &Life, saved: Option<AccountLimits>) {
        self.is_saving = false;
        if self.limits_life.as_ref() == Some(life) && saved.is_some() {
            self.saved_limits = saved;
        }
        self.save_limits();
    }

    /// Saves the limits at the end of the sender.
    pub(super) async fn save_last_limits(&mut self) {
        if let (Some(limits), Some(life)) = (self.unsaved_limits(), &self.limits_life)
            && let Err(error) = self.deps.store.outbox().save_limits(life, &limits).await
        {
            tracing::warn!(session = %self.session.name, %error, "failed to save the limits of the account");
        }
    }

    fn apply_limits(&mut self) {
        if self.deps.new_chats == NewChatPolicy::Send {
            return;
        }
        let limits = new_chat_limits(&self.session.limits());
        self.outbox.set_new_chat_limits(limits);
        self.watch_writers();
    }

    /// Watches the chats in which people write, while that may release messages.
    pub(super) fn watch_writers(&mut self) {
        if !self.outbox.counts_new_chats() {
            self.writers = None;
        } else if self.writers.is_none() {
            self.writers = Some(self.deps.received.watch_writers(&self.session.life()));
        }
    }

    /// A connection is up: the limits may have ended meanwhile.
    pub(super) fn refresh_at_login(&mut self, link_state: LinkState) {
        let is_doubtful = self.outbox.is_limited() || self.session.limits().is_unknown;
        if matches!(link_state, LinkState::Up(_)) && is_doubtful {
            self.refresh_limits();
        }
    }

    /// Whether messages may leave, as far as the limits are concerned: they are known, or WhatsApp
    /// has been asked for them.
    pub(super) fn may_rely_on_limits(&self) -> bool {
        self.deps.new_chats == NewChatPolicy::Send
            || self.limits_asked.is_some()
            || !self.session.limits().is_unknown
    }

    /// Asks WhatsApp for the limits, unless it is being asked.
    pub(super) fn refresh_limits(&mut self) {
        let is_held = self.deps.new_chats == NewChatPolicy::Hold;
        if is_held && !std::mem::replace(&mut self.is_refreshing, true) {
            let (session, life) = (Arc::clone(&self.session), self.session.life());
            self.work.push(Box::pin(fetch_limits(session, life)));
        }
    }

    pub(super) fn finish_refresh(&mut self, life: &Life, told: LimitsUpdate) {
        self.is_refreshing = false;
        if self.limits_life.as_ref() != Some(life) {
            // It is about another account: this one's limits have not been asked for yet.
            if self.is_online {
                self.refresh_limits();
            }
            return;
        }
        self.limits_asked = Some(self.deps.clock.uptime());
        self.session.update_limits(told);
        // Without an answer, the end that WhatsApp gave before counts.
        let ended = ended_limits(&self.session.limits(), self.deps.clock.now());
        self.session.update_limits(ended);
        self.take_limits();
    }

    /// Returns the time until WhatsApp is asked whether a limit has ended; `None` if there is
    /// nothing to ask, or nobody.
    pub(super) fn time_to_refresh(&self) -> Option<Duration> {
        if self.is_refreshing || !self.is_online {
            return None;
        }
        let limits = self.session.limits();
        if limits.is_unknown && self.deps.new_chats == NewChatPolicy::Hold {
            let due = self.limits_asked? + ASK_AGAIN;
            return Some(due.saturating_sub(self.deps.clock.uptime()));
        }
        if !self.outbox.is_limited() {
            return None;
        }
        let lock = limits.timelock.until.filter(|_| limits.timelock.active);
        let until = lock.into_iter().chain(limits.new_chats.until).min()?;
        let pause = until.duration_since(self.deps.clock.now());
        Some(Duration::try_from(pause).unwrap_or_default())
    }

    /// Asks whether a limit has ended, once its time is over.
    pub(super) fn refresh_if_due(&mut self) {
        if self.time_to_refresh() == Some(Duration::ZERO) {
            self.refresh_limits();
        }
    }

    /// Finds out whether these people have written to the account.
    pub(super) fn check_chats(&mut self, seqs: &[MessageSeq]) {
        for seqs in seqs.chunks(CHECKED_TOGETHER) {
            let chat = |seq: &MessageSeq| Some((*seq, self.pending.get(seq)?.message.to.clone()));
            let check = FamiliarityCheck {
                session: Arc::clone(&self.session),
                store: self.deps.store.clone(),
                life: self.session.life(),
                chats: seqs.iter().filter_map(chat).collect(),
            };
            self.work.push(Box::pin(check.run()));
        }
    }

    /// Somebody has written: messages to them may leave.
    pub(super) fn handle_writer(&mut self, chat: WrittenChat) {
        let (deps, life) = (self.deps.clone(), self.session.life());
        match chat {
            WrittenChat::One(chat) => {
                self.work.push(Box::pin(find_writer(deps, life, chat)));
            }
            WrittenChat::Any => self.finish_writer(None),
        }
    }

    /// Decides anew about the messages to somebody who has written; where nobody knows who it is,
    /// about all.
    pub(super) fn finish_writer(&mut self, addresses: Option<&[String]>) {
        let Some(addresses) = addresses else {
            return self.outbox.recheck_all_chats();
        };
        let chats: HashSet<ChatId> = addresses
            .iter()
            .filter_map(|address| ChatId::parse(address).ok())
            .collect();
        self.outbox.recheck_chats(&chats);
    }

    /// Publishes why a message waits, and lets its callers go: they would wait in vain.
    pub(super) fn publish_hold(&mut self, seq: MessageSeq, hold: SendHold) {
        if let Some(pending) = self.pending.get_mut(&seq) {
            self.session.holds.insert(&pending.message.id, hold);
            if hold.reason != HoldReason::MinGap {
                pending.waiters.clear();
            }
            // When it leaves, WhatsApp may refuse it anew.
            pending.was_refused = false;
        }
    }

    pub(super) fn withdraw_hold(&mut self, seq: MessageSeq) {
        if let Some(pending) = self.pending.get(&seq) {
            self.session.holds.remove(&pending.message.id);
        }
    }
}

/// Returns what the limits mean for the queue. A limit whose time is over holds until WhatsApp has
/// been asked.
fn new_chat_limits(limits: &AccountLimits) -> NewChatLimits {
    let AccountLimits {
        timelock,
        new_chats,
        ..
    } = limits;
    let lock = timelock.active.then_some(SendHold {
        reason: HoldReason::Timelock,
        not_before: timelock.until,
    });
    let cap = SendHold {
        reason: HoldReason::NewChatCap,
        not_before: new_chats.until,
    };
    let (at, until) = (Timestamp::MIN, new_chats.until);
    NewChatLimits {
        hold: lock.or(new_chats.is_used_up(at).then_some(cap)),
        quota: new_chats.remaining(at).map(|left| (left, until)),
    }
}

/// Returns the limits without those whose time is over.
fn ended_limits(limits: &AccountLimits, now: Timestamp) -> LimitsUpdate {
    let has_ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= now);
    LimitsUpdate {
        timelock: has_ended(limits.timelock.until).then(ReachoutTimelock::none),
        new_chats: has_ended(limits.new_chats.until).then(NewChatQuota::default),
    }
}

async fn save_limits_once(deps: SessionDeps, life: Life, limits: AccountLimits) -> WorkResult {
    match deps.store.outbox().save_limits(&life, &limits).await {
        Ok(()) => WorkResult::LimitsSaved(life, Some(limits)),
        Err(error) => {
            tracing::debug!(%error, "failed to save the limits of an account; trying again");
            deps.clock.sleep(RETRY_PAUSE).await;
            WorkResult::LimitsSaved(life, None)
        }
    }
}

async fn fetch_limits(session: Arc<Session>, life: Life) -> WorkResult {
    let link = session.link();
    let Some(link) = link.filter(|link| link.life().as_ref() == Some(&life)) else {
        return WorkResult::LimitsFetched(life, LimitsUpdate::default());
    };
    let (timelock, new_chats) = join(link.fetch_timelock(), link.fetch_new_chat_quota()).await;
    if let Err(error) = &timelock {
        tracing::warn!(session = %session.name, %error, "failed to ask WhatsApp for the limits of the account");
    }
    let told = LimitsUpdate {
        timelock: timelock.ok(),
        new_chats: new_chats.ok(),
    };
    WorkResult::LimitsFetched(life, told)
}

async fn find_writer(deps: SessionDeps, life: Life, chat: String) -> WorkResult {
    let known = deps.store.identities().find_addresses(&life, &chat).await;
    if let Err(error) = &known {
        tracing::debug!(%error, "failed to look up somebody who has written");
    }
    let known = known.ok();
    WorkResult::WriterFound(known.map(|known| known.into_iter().chain([chat]).collect()))
}

/// The lookup of people who may have written to the account.
struct FamiliarityCheck {
    session: Arc<Session>,
    store: Store,
    life: Life,
    chats: Vec<(MessageSeq, ChatId)>,
}

impl FamiliarityCheck {
    async fn run(self) -> WorkResult {
        let mut found = Vec::with_capacity(self.chats.len());
        for (seq, chat) in &self.chats {
            found.push((*seq, self.find_familiarity(chat).await));
        }
        WorkResult::ChatsChecked(found)
    }

    /// A person who has written has given the account a token, or will in a moment.
    async fn find_familiarity(&self, chat: &ChatId) -> Option<ChatFamiliarity> {
        let mut addresses = vec![chat.to_string()];
        if let Some(link) = self.session.link() {
            if link.is_trusted_by(chat).await {
                return Some(ChatFamiliarity::Known);
            }
            addresses.extend(link.chat_addresses(chat).await);
        }
        let has_written = self.store.outbox().has_written(&self.life, &addresses);
        match has_written.await {
            Ok(true) => Some(ChatFamiliarity::Known),
            Ok(false) => Some(ChatFamiliarity::New),
            Err(error) => {
                tracing::warn!(session = %self.session.name, %error, "failed to look up a chat");
                None
            }
        }
    }
}
