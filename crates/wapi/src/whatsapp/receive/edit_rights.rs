//! Rights to change earlier messages: the author's and, for deletions in a group, its admins'.
//!
//! WhatsApp relays members' changes of any message, and cannot look inside; phones check the right
//! themselves, and so does this module.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, bail};
use parking_lot::Mutex;
use whatsapp_rust::Client;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::wacore_binary::JidExt;

use super::change_claim::{ChangeClaim, is_in_group};
use super::decode::MessageAddresses;
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
                let claim = self.read_claim(message, known, &edited.message_id).await?;
                Ok(claim.may_edit())
            }
            EventData::MessageDeleted(deleted) => {
                let claim = self.read_claim(message, known, &deleted.message_id).await?;
                let right = if claim.may_delete() {
                    Some(DeletionRight::Author)
                } else {
                    self.check_admin(client, message, &claim.by)
                        .await?
                        .then_some(DeletionRight::Admin)
                };
                deleted.change.by = right.unwrap_or_default();
                Ok(right.is_some())
            }
            _ => Ok(true),
        }
    }

    async fn read_claim(
        &self,
        message: &InboundMessage,
        known: &MessageAddresses,
        id: &str,
    ) -> Result<ChangeClaim> {
        let life = self.session.current_life();
        let change = (&*message.message, &message.info.source);
        Ok(ChangeClaim::read(&self.store, &life, change, known, id).await?)
    }

    async fn check_admin(
        &self,
        client: &Client,
        message: &InboundMessage,
        senders: &[String],
    ) -> Result<bool> {
        let source = &message.info.source;
        if !is_in_group(source) {
            return Ok(false);
        }
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
