//! Rights to change earlier messages: the author's and, for deletions in a group, its admins'.
//!
//! WhatsApp relays members' changes of any message, and cannot look inside; phones check the right
//! themselves, and so does this module.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{Client, Jid};

use super::decode::MessageAddresses;
use super::decode::content::unwrap_message;
use crate::model::event::{DeletionRight, EventData};
use crate::store::{DeviceLife, Store};
use crate::system::clock::Clock;
use crate::whatsapp::request_error::RequestError;

/// How long WhatsApp may take to name a group's admins.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Failed attempts within this time after which a person's attempts are no longer checked: each
/// check costs a request to WhatsApp.
const MAX_TRIES: (u32, Duration) = (10, Duration::from_secs(60));
/// Most people remembered for failed attempts.
const MAX_REMEMBERED: usize = 1_000;

/// Checks the rights for one session.
pub(in crate::whatsapp) struct EditRights {
    session: DeviceLife,
    store: Store,
    clock: Clock,
    /// Failed attempts per group and person: their number, and the time of the last.
    failed_tries: Mutex<HashMap<(String, String), (u32, Duration)>>,
}

impl EditRights {
    pub fn new(session: DeviceLife, store: Store, clock: Clock) -> Self {
        Self {
            session,
            store,
            clock,
            failed_tries: Mutex::default(),
        }
    }

    /// Returns whether an edit or a deletion counts, and writes the right behind a deletion into
    /// `event`. Everything else counts.
    ///
    /// # Errors
    ///
    /// When the right cannot be checked now, because WhatsApp does not name the admins or the
    /// database fails.
    pub async fn check_change(
        &self,
        client: &Client,
        message: &InboundMessage,
        known: &MessageAddresses,
        event: &mut EventData,
    ) -> Result<bool> {
        // Only a newsletter's admins write in it.
        if message.info.source.chat.is_newsletter() {
            return Ok(true);
        }
        match event {
            EventData::MessageEdited(edited) => {
                let claim = self
                    .read_claim(client, message, known, &edited.message_id)
                    .await?;
                Ok(claim.is_author != Some(false))
            }
            EventData::MessageDeleted(deleted) => {
                let claim = self
                    .read_claim(client, message, known, &deleted.message_id)
                    .await?;
                let right = match claim.is_author {
                    Some(true) => Some(DeletionRight::Author),
                    None if !claim.names_another => Some(DeletionRight::Author),
                    _ => self
                        .check_admin(client, message, &claim.by)
                        .await?
                        .then_some(DeletionRight::Admin),
                };
                deleted.change.by = right.unwrap_or_default();
                Ok(right.is_some())
            }
            _ => Ok(true),
        }
    }

    async fn read_claim(
        &self,
        client: &Client,
        message: &InboundMessage,
        known: &MessageAddresses,
        id: &str,
    ) -> Result<ChangeClaim> {
        let source = &message.info.source;
        let own = [client.pn(), client.lid()];
        let other = if source.is_from_me {
            None
        } else {
            known.other.as_ref()
        };
        let mut by: Vec<String> = [&source.sender]
            .into_iter()
            .chain(other)
            .map(Jid::to_non_ad_string)
            .collect();
        if source.is_from_me {
            by.extend(own.iter().flatten().map(Jid::to_non_ad_string));
        }
        let chats = [Some(&source.chat), known.other.as_ref()]
            .into_iter()
            .flatten()
            .map(Jid::to_non_ad_string);
        let authors = self
            .store
            .outbox()
            .find_authors(&self.session.current_life(), &chats.collect::<Vec<_>>(), id)
            .await?;
        let wrote = |author: &Option<String>| match author {
            Some(author) => by.contains(author),
            None => source.is_from_me,
        };
        let is_author = (!authors.is_empty()).then(|| authors.iter().any(wrote));
        // For a message that is unknown here, the claim itself names the author.
        let key = unwrap_message(&message.message)
            .protocol_message
            .as_option()
            .and_then(|protocol| protocol.key.as_option());
        let names_another = is_group(message)
            && key.is_some_and(|key| {
                let named = key
                    .participant
                    .as_deref()
                    .and_then(|named| named.parse::<Jid>().ok());
                named.is_some_and(|named| !by.contains(&named.to_non_ad_string()))
                    || key.from_me == Some(false)
            });
        Ok(ChangeClaim {
            by,
            is_author,
            names_another,
        })
    }

    async fn check_admin(
        &self,
        client: &Client,
        message: &InboundMessage,
        senders: &[String],
    ) -> Result<bool> {
        if !is_group(message) {
            return Ok(false);
        }
        let source = &message.info.source;
        // The account's other devices allow nothing that WhatsApp does not.
        if source.is_from_me {
            return Ok(true);
        }
        let person = (
            source.chat.to_non_ad_string(),
            source.sender.to_non_ad_string(),
        );
        if self.has_used_tries(&person) {
            return Ok(false);
        }
        let answer = self
            .clock
            .timeout(ADMIN_TIMEOUT, client.groups().get_metadata(&source.chat))
            .await;
        let is_admin = match answer.map(|answer| answer.map_err(RequestError::from)) {
            Ok(Ok(group)) => group
                .participants
                .iter()
                .filter(|member| member.is_admin())
                .any(|member| {
                    let addresses = [
                        Some(&member.jid),
                        member.phone_number.as_ref(),
                        member.lid.as_ref(),
                    ];
                    addresses
                        .into_iter()
                        .flatten()
                        .any(|address| senders.contains(&address.to_non_ad_string()))
                }),
            // WhatsApp tells nothing of a group that the account is not in, or that there is no more,
            // however often it is asked.
            Ok(Err(RequestError::Refused(401 | 403 | 404))) => false,
            // Anything else says nothing about the person: WhatsApp is busy, or the connection broke.
            Err(_) | Ok(Err(_)) => bail!("WhatsApp does not name the admins of a group"),
        };
        if !is_admin {
            self.record_failure(person);
        }
        Ok(is_admin)
    }

    fn has_used_tries(&self, person: &(String, String)) -> bool {
        let now = self.clock.uptime();
        let mut in_vain = self.failed_tries.lock();
        in_vain.retain(|_, (_, last)| now.saturating_sub(*last) < MAX_TRIES.1);
        in_vain
            .get(person)
            .is_some_and(|(times, _)| *times >= MAX_TRIES.0)
    }

    fn record_failure(&self, person: (String, String)) {
        let now = self.clock.uptime();
        let mut in_vain = self.failed_tries.lock();
        if in_vain.len() >= MAX_REMEMBERED {
            in_vain.clear();
        }
        let (times, last) = in_vain.entry(person).or_default();
        (*times, *last) = (*times + 1, now);
    }
}

/// A claim to change a message.
struct ChangeClaim {
    /// All known addresses of the sender of the claim.
    by: Vec<String>,
    /// Whether the sender wrote the message; `None` if its author is unknown here.
    is_author: Option<bool>,
    /// The claim itself names another author.
    names_another: bool,
}

fn is_group(message: &InboundMessage) -> bool {
    message.info.source.is_group || message.info.source.chat.is_group()
}
