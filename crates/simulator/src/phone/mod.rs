//! The actions of a test on a phone: `alice.sends_text(bob, "hi")`, `alice.reads(…)`,
//! `alice.next_message(…)`.

pub mod account;
pub mod chat_settings;
pub mod faults;
pub mod groups;
pub mod history_sync;
pub mod labels;
pub mod lid_migration;
pub mod linked_devices;
pub mod load;
pub mod messages;
pub mod newsletters;
pub mod passkeys;
pub mod peer_requests;
pub mod presence;
pub mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use wacore_binary::Jid;
use waproto::whatsapp as wa;

use crate::model::behaviour::{PeerRequests, ReceiptPolicy};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::message::{PhoneMedia, PhoneMessage};
use crate::model::options::Addressing;
use crate::phone::messages::files::{FileKind, MediaFile};
use crate::phone::messages::new_secret;
use crate::server::Server;
use crate::server::phone_state::{PhoneReceipt, PhoneState};
use crate::server::stanza::messages::{group_message, newsletter, phone_message, receipt};
use crate::server::stanza::pairing;
use crate::wire::unix_time;

/// A simulated phone: the owner of an account. Cheap to clone.
#[derive(Clone)]
pub struct Phone {
    pub(crate) server: Arc<Server>,
    pub(crate) number: PhoneNumber,
    pub(crate) lid: Arc<str>,
}

impl std::fmt::Debug for Phone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Phone").field(&self.number).finish()
    }
}

impl Phone {
    /// Its number in digits, e.g. `375440000001`.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Its address by number, `375440000001@s.whatsapp.net`.
    pub fn jid(&self) -> String {
        format!("{}@s.whatsapp.net", self.number)
    }

    /// Its address by LID, `100000000000001@lid`.
    pub fn lid(&self) -> String {
        format!("{}@lid", self.lid)
    }

    /// Sends a text to a number or an address; returns the message's id.
    pub async fn sends_text(&self, to: &str, text: &str) -> anyhow::Result<String> {
        let message = wa::Message {
            conversation: Some(text.to_owned()),
            message_context_info: new_secret(),
            ..Default::default()
        };
        self.sends_message(to, "text", message)
    }

    /// Uploads an image and sends it; returns the message's id.
    pub async fn sends_image(
        &self,
        to: &str,
        bytes: Vec<u8>,
        mime: &str,
        caption: Option<&str>,
    ) -> anyhow::Result<String> {
        let file = MediaFile {
            caption: caption.map(str::to_owned),
            ..MediaFile::new(FileKind::Image, bytes, mime)
        };
        self.sends_file(to, file).await
    }

    /// Sends any message, given as WhatsApp's protobuf; `kind` is the stanza's type (`text`,
    /// `media_type`, `reaction`, `poll`). Returns the message's id.
    pub fn sends_message(
        &self,
        to: &str,
        kind: &'static str,
        message: wa::Message,
    ) -> anyhow::Result<String> {
        let id = phone_message::new_message_id();
        match self.find_chat(to)? {
            Chat::Person(to) => {
                phone_message::send_message(&self.server, &self.number, &to, &id, kind, &message)?
            }
            Chat::Group(group) => group_message::send_to_group(
                &self.server,
                &self.number,
                &group,
                &id,
                kind,
                &message,
            )?,
            Chat::Newsletter(to) => {
                newsletter::send_post(&self.server, &self.number, &to, &id, kind, &message)?
            }
            Chat::Status => bail!("a status is posted, for people who are named"),
        }
        Ok(id)
    }

    /// Sends a text that cannot be decrypted until the phone is asked for it again; returns the
    /// message's id.
    pub fn sends_unreadable_text(&self, to: &str, text: &str) -> anyhow::Result<String> {
        let message = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        let (to, id) = (self.resolve_number(to)?, phone_message::new_message_id());
        phone_message::send_corrupted(&self.server, &self.number, &to, &id, "text", &message)?;
        Ok(id)
    }

    /// Sends delivery receipts for messages of a chat. Phones do so by themselves unless receipts
    /// are withheld.
    pub fn confirms_delivery(&self, chat: &str, ids: &[String]) -> anyhow::Result<()> {
        self.sends_receipts(chat, ids, "")
    }

    /// Sends read receipts for messages of a chat to their senders and to the own linked devices;
    /// in a direct chat only to the latter if the account has turned read receipts off.
    pub fn reads_messages(&self, chat: &str, ids: &[String]) -> anyhow::Result<()> {
        let is_direct = matches!(self.find_chat(chat)?, Chat::Person(_));
        let is_silent = self.privacy_setting("readreceipts") == Some("none");
        self.sends_receipts(
            chat,
            ids,
            if is_direct && is_silent {
                "read-self"
            } else {
                "read"
            },
        )
    }

    /// Sends played receipts for voice notes or view-once media.
    pub fn plays_messages(&self, chat: &str, ids: &[String]) -> anyhow::Result<()> {
        self.sends_receipts(chat, ids, "played")
    }

    fn sends_receipts(&self, chat: &str, ids: &[String], kind: &str) -> anyhow::Result<()> {
        if ids.is_empty() {
            bail!("name at least one message");
        }
        let chat = self.find_chat(chat)?;
        for (number, ids) in self.group_by_author(&chat, ids)? {
            let addressing = match &chat {
                Chat::Person(_) | Chat::Newsletter(_) => self.addressing(),
                Chat::Status => Addressing::Lid,
                Chat::Group(id) => {
                    let world = self.server.world.lock();
                    world
                        .groups
                        .get(id)
                        .map_or(self.server.options.addressing, |group| group.addressing)
                }
            };
            let sender = DeviceId { number, device: 0 };
            let outgoing = receipt::OutgoingReceipt {
                chat: &chat,
                sender: &sender,
                ids: &ids,
                kind,
            };
            receipt::send_phone_receipt(&self.server, &self.device_id(0), &outgoing, addressing);
        }
        Ok(())
    }

    /// The authors of these messages of a chat. In a group the phone looks them up in its inbox.
    fn group_by_author(
        &self,
        chat: &Chat,
        ids: &[String],
    ) -> anyhow::Result<BTreeMap<PhoneNumber, Vec<String>>> {
        if let Chat::Person(number) = chat {
            return Ok(BTreeMap::from([(number.clone(), ids.to_vec())]));
        }
        let mut authors: BTreeMap<PhoneNumber, Vec<String>> = BTreeMap::new();
        for id in ids {
            let from = self.message_author(&chat.to_string(), id);
            let from =
                from.with_context(|| format!("{} has no message {id} of {chat}", self.number))?;
            authors
                .entry(self.resolve_number(&from)?)
                .or_default()
                .push(id.clone());
        }
        Ok(authors)
    }

    /// The author of a received message, as an address by number.
    pub(crate) fn message_author(&self, chat: &str, id: &str) -> Option<String> {
        self.with_phone_state(|phone_state| {
            let wanted = |message: &&PhoneMessage| message.chat == chat && message.id == id;
            phone_state
                .inbox
                .iter()
                .find(wanted)
                .map(|message| message.from.clone())
        })
    }

    /// Switches the account's chats of two to these addresses from now on, as when WhatsApp moves
    /// it to its LID. Groups stay as they are.
    pub fn uses_addressing(&self, addressing: Addressing) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.addressed_since = unix_time();
            account.addressing = addressing;
        }
    }

    /// Sets whether the account hides its other address from recipients: by LID its number, as
    /// WhatsApp does for people who do not know it; by number its LID, as before LIDs existed.
    pub fn hides_number(&self, hidden: bool) {
        if let Some(account) = self.server.world.lock().account_mut(&self.number) {
            account.hides_number = hidden;
        }
    }

    pub(crate) fn addressing(&self) -> Addressing {
        let world = self.server.world.lock();
        world
            .account(&self.number)
            .map_or(self.server.options.addressing, |account| account.addressing)
    }

    /// Makes WhatsApp answer with this account to queries for another number, as it does for
    /// Brazilian numbers with or without their ninth digit. A message to that other number reaches
    /// nobody.
    pub fn gets_alias(&self, number: &str) {
        self.server.world.lock().add_alias(number, &self.number);
    }

    /// Sets whether the phone ignores devices that ask it for a message they could not read.
    pub fn ignores_retries(&self, ignores: bool) {
        self.with_phone_state(|phone_state| phone_state.ignores_retries = ignores);
    }

    /// How often linked devices have asked the phone for a message while it ignored them.
    pub fn ignored_retries(&self) -> usize {
        self.with_phone_state(|phone_state| phone_state.ignored_retries)
    }

    /// Sets whether the phone confirms received messages.
    pub fn sets_receipt_policy(&self, policy: ReceiptPolicy) {
        self.with_phone_state(|phone_state| phone_state.receipt_policy = policy);
    }

    /// Sets whether the phone answers its account's linked devices. Once it answers again, it sends
    /// its keys and history to the devices it linked meanwhile.
    pub fn sets_peer_requests(&self, policy: PeerRequests) {
        self.with_phone_state(|phone_state| phone_state.peer_policy = policy);
        let devices: Vec<_> = self
            .linked_devices()
            .into_iter()
            .filter(|device| device.connected)
            .collect();
        for device in devices.iter().filter(|_| policy == PeerRequests::Answered) {
            if let Err(error) = pairing::greet_device(&self.server, &self.device_id(device.device))
            {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "a phone could not greet a device it has linked"
                );
            }
        }
    }

    /// All messages this phone has received so far, oldest first, including copies of messages that
    /// its linked devices sent.
    pub fn received_messages(&self) -> Vec<PhoneMessage> {
        self.with_phone_state(|phone_state| phone_state.inbox.iter().cloned().collect())
    }

    /// The received messages from the `position`th on, counted from 0 and from the first ever
    /// received.
    pub fn received_since(&self, position: usize) -> Vec<PhoneMessage> {
        self.with_phone_state(|phone_state| {
            phone_state.inbox.iter_from(position).cloned().collect()
        })
    }

    /// The receipts for its own messages so far.
    pub fn receipts(&self) -> Vec<PhoneReceipt> {
        self.with_phone_state(|phone_state| phone_state.receipts.iter().cloned().collect())
    }

    /// Messages that could not be decrypted and media that could not be opened, with the reason.
    pub fn failures(&self) -> Vec<String> {
        self.with_phone_state(|phone_state| phone_state.read_failures())
    }

    /// The ids of its messages that a device could not read, and that it has sent again.
    pub fn resent_messages(&self) -> Vec<String> {
        self.with_phone_state(|phone_state| phone_state.resent.iter().cloned().collect())
    }

    /// Waits for the next message that was not taken yet. The error lists the messages that did
    /// arrive.
    pub async fn next_message(&self, patience: Duration) -> anyhow::Result<PhoneMessage> {
        let phone_state = self
            .server
            .world
            .lock()
            .account(&self.number)
            .context("no such account")?
            .phone_state
            .clone();
        let next = self.server.wait_for(|| {
            let mut phone_state = phone_state.lock();
            let (position, message) = phone_state
                .inbox
                .first_from(phone_state.taken)
                .map(|(at, message)| (at, message.clone()))?;
            phone_state.taken = position + 1;
            Some(message)
        });
        match tokio::time::timeout(patience, next).await {
            Ok(message) => Ok(message),
            Err(_) => {
                let (received, failures) = (self.received_messages(), self.failures());
                Err(anyhow!(
                    "no further message within {patience:?}; so far: {received:#?}; failures: {failures:#?}"
                ))
            }
        }
    }

    /// The file of the next message. The error shows a message that has none.
    pub async fn next_media(&self, patience: Duration) -> anyhow::Result<PhoneMedia> {
        let mut message = self.next_message(patience).await?;
        let media = message.media.take();
        media.with_context(|| format!("the message has no file: {message:#?}"))
    }

    /// Waits for a receipt of the given status (`delivered`, `read`, …) for one of its messages.
    pub async fn wait_for_receipt(
        &self,
        id: &str,
        status: &str,
        patience: Duration,
    ) -> anyhow::Result<PhoneReceipt> {
        let phone_state = self
            .server
            .world
            .lock()
            .account(&self.number)
            .context("no such account")?
            .phone_state
            .clone();
        let wanted = |receipt: &&PhoneReceipt| receipt.id == id && receipt.status == status;
        let found = self
            .server
            .wait_for(|| phone_state.lock().receipts.iter().find(wanted).cloned());
        match tokio::time::timeout(patience, found).await {
            Ok(receipt) => Ok(receipt),
            Err(_) => Err(anyhow!(
                "no {status} receipt for {id} within {patience:?}; so far: {:#?}",
                self.receipts()
            )),
        }
    }

    /// Waits until `look` finds something on this phone; the error names the condition `what`.
    pub async fn wait_until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let found = tokio::time::timeout(patience, self.server.wait_for(|| look(self))).await;
        found.map_err(|_| {
            anyhow!(
                "waited {patience:?} in vain until {what}; devices: {:#?}",
                self.linked_devices()
            )
        })
    }

    /// Keys that senders have used twice for messages to this phone. On the real WhatsApp both
    /// messages could then be read.
    pub fn reused_keys(&self) -> Vec<String> {
        self.with_phone_state(|phone_state| phone_state.reuse_detector.read_reused_keys())
    }

    pub(crate) fn device_id(&self, device: u16) -> DeviceId {
        DeviceId {
            number: self.number.clone(),
            device,
        }
    }

    pub(crate) fn with_phone_state<T>(&self, act: impl FnOnce(&mut PhoneState) -> T) -> T {
        let phone_state = self
            .server
            .world
            .lock()
            .account(&self.number)
            .map(|account| account.phone_state.clone());
        let phone_state =
            phone_state.expect("an account is never removed while the simulator runs");
        let mut phone_state = phone_state.lock();
        act(&mut phone_state)
    }

    /// The address of a chat on the wire.
    pub(crate) fn address_of(&self, address: &str) -> anyhow::Result<String> {
        let number = match self.find_chat(address)? {
            group @ (Chat::Group(_) | Chat::Status | Chat::Newsletter(_)) => {
                return Ok(group.to_string());
            }
            Chat::Person(number) => number,
        };
        let world = self.server.world.lock();
        let account = world
            .account(&number)
            .with_context(|| format!("nobody is at {address:?}"))?;
        Ok(account.jid(account.addressing, 0).to_string())
    }

    pub(crate) fn resolve_number(&self, address: &str) -> anyhow::Result<PhoneNumber> {
        let jid = match address.contains('@') {
            true => address
                .parse::<Jid>()
                .map_err(|error| anyhow!("{address:?} is no address: {error}"))?,
            false => Jid::pn(address.trim_start_matches('+')),
        };
        let world = self.server.world.lock();
        Ok(world
            .account_of(&jid)
            .with_context(|| format!("nobody is at {address:?}"))?
            .number
            .clone())
    }
}
