//! The phone of an account: it holds the account's identity, encrypts its owner's messages,
//! decrypts incoming ones, and stores both.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use crate::crypto::media_cipher::{self, MediaStore};
use crate::crypto::sender_keys::SenderKeys;
use crate::crypto::signal_protocol::{SignalStore, session_name};
use crate::model::behaviour::{PeerRequests, PhoneActivity, ReceiptPolicy};
use crate::model::bounded_list::{BoundedList, BoundedSet};
use crate::model::faults::Corruption;
use crate::model::history::HistoryChat;
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::key_reuse::ReuseDetector;
use crate::model::media_reference::MediaReference;
use crate::model::message::{self, PhoneMedia, PhoneMessage};
use crate::model::options::Addressing;
use crate::server::app_state::AppState;

/// How many sent messages are stored for devices that request them again.
const KEPT_FOR_RETRY: usize = 512;
/// How many files are stored to be uploaded again.
const KEPT_FILES: usize = 16;
/// The largest stored file, in bytes.
const MAX_KEPT_FILE: usize = 1024 * 1024;
/// How often a phone requests the same message again.
const MAX_RETRIES: u32 = 5;

/// An encrypted message on its way to a phone.
#[derive(Clone)]
pub(crate) struct IncomingMessage {
    pub(crate) id: String,
    /// The sender: number and LID user, and the addressing of the stanza.
    pub(crate) from: PhoneNumber,
    pub(crate) from_lid: String,
    pub(crate) addressing: Addressing,
    pub(crate) from_device: u16,
    /// The sender as the stanza names it.
    pub(crate) address: String,
    /// The other side of the conversation, or the group.
    pub(crate) chat: Chat,
    pub(crate) from_me: bool,
    /// In a group up to two: the sender's key for this phone alone, and the message for everybody.
    pub(crate) sealed: Vec<EncryptedPart>,
    pub(crate) timestamp: u64,
}

/// One `<enc>` of a message.
#[derive(Clone)]
pub(crate) struct EncryptedPart {
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
}

/// The outcome of an arrival.
pub(crate) enum ReceiveOutcome {
    /// It is shown: the sender gets a delivery receipt.
    Delivered,
    /// It is a duplicate: the sender gets a receipt again, and nothing is shown.
    Duplicate,
    /// A message between devices of the account, such as a request for app-state keys.
    Peer(Box<wa::message::ProtocolMessage>),
    /// It could not be decrypted: the phone requests it again from the sending device, for the
    /// `count`th time.
    Retry { count: u32 },
    /// It was requested too often.
    GivenUp,
}

/// A message of the phone's owner, stored for devices that could not decrypt it.
#[derive(Clone)]
pub(crate) struct SentMessage {
    pub(crate) id: String,
    pub(crate) to: Chat,
    /// The stanza's type.
    pub(crate) kind: &'static str,
    pub(crate) message: Vec<u8>,
    /// It is between the devices of the account, and part of no chat.
    pub(crate) is_peer: bool,
}

/// A phone. All its operations are synchronous: its Signal store is in memory.
pub(crate) struct PhoneState {
    pub(crate) signal: SignalStore,
    pub(crate) sender_keys: SenderKeys,
    pub(crate) inbox: BoundedList<PhoneMessage>,
    /// How many messages of the inbox the test has taken with `next_message`.
    pub(crate) taken: usize,
    pub(crate) receipts: BoundedList<PhoneReceipt>,
    pub(crate) activity: BoundedList<PhoneActivity>,
    pub(crate) receipt_policy: ReceiptPolicy,
    /// It does not answer devices that could not read its messages.
    pub(crate) ignores_retries: bool,
    /// How often linked devices have asked it in vain.
    pub(crate) ignored_retries: usize,
    pub(crate) peer_policy: PeerRequests,
    /// Messages that could not be decrypted, with the reason.
    failures: BoundedList<String>,
    /// Whether a test has read the failures: they are no leftovers then.
    failures_read: bool,
    /// How often a message was requested again, by sender and id.
    retries: HashMap<(PhoneNumber, String), u32>,
    pub(crate) reuse_detector: ReuseDetector,
    pub(crate) app_state: AppState,
    /// History from before any device was linked.
    pub(crate) history: Vec<HistoryChat>,
    /// How many messages of it one history-sync chunk holds.
    pub(crate) chunk_size: usize,
    /// The chunk with the push names goes before the one with the chats.
    pub(crate) names_first: bool,
    seen: BoundedSet<(PhoneNumber, String)>,
    /// Sent messages, with the time in seconds since 1970.
    sent: BoundedList<(u64, SentMessage)>,
    /// Ids of messages that it has sent again, because a device could not read them.
    pub(crate) resent: BoundedList<String>,
    /// The files of messages by message id, so that they can be uploaded again after they expire.
    files: BoundedList<(String, MediaReference, Vec<u8>)>,
}

/// A receipt that reached a phone for one of its own messages.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PhoneReceipt {
    /// The message's id.
    pub id: String,
    /// The sender of the receipt: a bare phone-number address.
    pub from: String,
    /// The device it came from; 0 is the phone.
    pub from_device: u16,
    /// `delivered`, `read`, `played`, `inactive`, …
    pub status: String,
}

impl PhoneState {
    /// Makes a phone with new keys, which stores this many messages, receipts and failures.
    pub(crate) fn new(kept: usize, corruption: Option<Corruption>) -> anyhow::Result<Self> {
        Ok(Self {
            signal: SignalStore::generate()?,
            sender_keys: SenderKeys::default(),
            inbox: BoundedList::new(kept),
            taken: 0,
            receipts: BoundedList::new(kept),
            activity: BoundedList::new(kept),
            receipt_policy: ReceiptPolicy::Automatic,
            ignores_retries: false,
            ignored_retries: 0,
            peer_policy: PeerRequests::Answered,
            failures: BoundedList::new(kept),
            failures_read: false,
            retries: HashMap::new(),
            reuse_detector: ReuseDetector::new(2 * kept),
            app_state: AppState::new(corruption),
            history: Vec::new(),
            chunk_size: crate::model::history::DEFAULT_CHUNK_SIZE,
            names_first: false,
            seen: BoundedSet::new(2 * kept),
            sent: BoundedList::new(KEPT_FOR_RETRY),
            resent: BoundedList::new(kept),
            files: BoundedList::new(KEPT_FILES),
        })
    }

    /// Decrypts an arrival and stores its content.
    pub(crate) fn receive(
        &mut self,
        arrival: &IncomingMessage,
        media: &MediaStore,
    ) -> ReceiveOutcome {
        let seen = (arrival.from.clone(), arrival.id.clone());
        let mut message = None;
        for sealed in &arrival.sealed {
            match self.decrypt_part(arrival, sealed) {
                Ok(opened) => message = opened.or(message),
                // The ratchet has moved past a repeated message, so it does not decrypt again.
                Err(_) if self.seen.contains(&seen) => return ReceiveOutcome::Duplicate,
                Err(error) => {
                    let IncomingMessage {
                        id,
                        from,
                        from_device,
                        ..
                    } = arrival;
                    self.failures
                        .push(format!("{id} from {from}:{from_device}: {error:#}"));
                    return self.request_again(seen);
                }
            }
        }
        self.retries.remove(&seen);
        let is_new = self.seen.insert(seen);
        match message {
            Some(message) if is_new => self.store_message(arrival, message, media),
            _ => ReceiveOutcome::Duplicate,
        }
    }

    /// Decrypts one part of a message; returns `None` if it only brought the sender's key of the
    /// group.
    fn decrypt_part(
        &mut self,
        arrival: &IncomingMessage,
        sealed: &EncryptedPart,
    ) -> anyhow::Result<Option<wa::Message>> {
        let (chat, sender) = (
            arrival.chat.to_string(),
            session_name(&arrival.from_lid, arrival.from_device),
        );
        let group = (sealed.kind == "skmsg").then_some(chat.as_str());
        self.reuse_detector.record_ciphertext(
            &arrival.id,
            &sender,
            group,
            &sealed.kind,
            &sealed.bytes,
        );
        let plaintext = match sealed.kind.as_str() {
            "skmsg" => self.sender_keys.decrypt(&chat, &sender, &sealed.bytes)?,
            _ => self.decrypt_session_message(arrival, sealed)?,
        };
        let mut message =
            wa::Message::decode_from_slice(&plaintext).context("it is no Message protobuf")?;
        if let Some(key) = message.sender_key_distribution_message.take() {
            let distribution = key
                .axolotl_sender_key_distribution_message
                .unwrap_or_default();
            self.sender_keys.learn_key(
                &key.group_id.unwrap_or_default(),
                &sender,
                &distribution,
            )?;
        }
        // Context comes with the key, too.
        let mut rest = message.clone();
        rest.message_context_info.take();
        // Bytes tell more than a comparison: an empty object is a kind of message, too.
        Ok((!rest.encode_to_vec().is_empty()).then_some(message))
    }

    /// Decrypts in the session of the address the message came under. A client that keeps one
    /// session for both addresses may have used the other, so that is tried next.
    fn decrypt_session_message(
        &mut self,
        arrival: &IncomingMessage,
        sealed: &EncryptedPart,
    ) -> anyhow::Result<Vec<u8>> {
        let (number, lid, device) = (
            &*arrival.from,
            arrival.from_lid.as_str(),
            arrival.from_device,
        );
        let (used, other) = match arrival.addressing {
            Addressing::PhoneNumber => (number, lid),
            Addressing::Lid => (lid, number),
        };
        let opened = self
            .signal
            .decrypt(used, device, &sealed.kind, &sealed.bytes);
        if opened.is_ok() || !self.signal.has_session(other, device) {
            return opened;
        }
        self.signal
            .decrypt(other, device, &sealed.kind, &sealed.bytes)
            .or(opened)
    }

    fn request_again(&mut self, message: (PhoneNumber, String)) -> ReceiveOutcome {
        let count = self.retries.entry(message).or_default();
        *count += 1;
        if *count > MAX_RETRIES {
            ReceiveOutcome::GivenUp
        } else {
            ReceiveOutcome::Retry { count: *count }
        }
    }

    /// Records a failure to read something.
    pub(crate) fn record_failure(&mut self, reason: String) {
        self.failures.push(reason);
    }

    /// The failures so far.
    pub(crate) fn read_failures(&mut self) -> Vec<String> {
        self.failures_read = true;
        self.failures.iter().cloned().collect()
    }

    /// The failures, or nothing if a test has read them before.
    pub(crate) fn unread_failures(&self) -> Vec<String> {
        if self.failures_read {
            Vec::new()
        } else {
            self.failures.iter().cloned().collect()
        }
    }

    fn store_message(
        &mut self,
        arrival: &IncomingMessage,
        message: wa::Message,
        media: &MediaStore,
    ) -> ReceiveOutcome {
        let is_between_devices = arrival.from_me && matches!(arrival.chat, Chat::Person(_));
        if let Some(protocol) = message
            .protocol_message
            .as_option()
            .filter(|_| is_between_devices)
        {
            return ReceiveOutcome::Peer(Box::new(protocol.clone()));
        }
        // A copy of a message from another device of the account arrives wrapped, so that it can
        // name its recipient.
        let copied = message
            .device_sent_message
            .as_option()
            .and_then(|copy| copy.message.as_option());
        let message = match copied.cloned() {
            // The secret for sealed answers stands outside of the wrapper.
            Some(mut copied) => {
                if !copied.message_context_info.is_set() {
                    copied.message_context_info = message.message_context_info.clone();
                }
                copied
            }
            None => message,
        };
        // One client wraps its requests to the phone, too.
        if let Some(asked) = message
            .protocol_message
            .as_option()
            .filter(|asked| is_between_devices && is_request(asked))
        {
            return ReceiveOutcome::Peer(Box::new(asked.clone()));
        }
        let content = message::read_content(&message);
        let media = content
            .media
            .and_then(|reference| self.fetch_media(&arrival.id, &reference, media));
        self.inbox.push(PhoneMessage {
            id: arrival.id.clone(),
            from: format!("{}@s.whatsapp.net", arrival.from),
            from_device: arrival.from_device,
            address: arrival.address.clone(),
            chat: arrival.chat.to_string(),
            from_me: arrival.from_me,
            kind: content.kind,
            text: content.text,
            caption: content.caption,
            media,
            timestamp: arrival.timestamp,
            protobuf: Arc::new(message),
        });
        ReceiveOutcome::Delivered
    }

    /// Stores a newsletter post, which is not encrypted. `own`: the account's device that posted
    /// it.
    pub(crate) fn store_post(
        &mut self,
        chat: &Chat,
        id: &str,
        own: Option<&DeviceId>,
        message: wa::Message,
        media: &MediaStore,
    ) {
        let content = message::read_content(&message);
        let media = content
            .media
            .and_then(|reference| self.fetch_media(id, &reference, media));
        self.inbox.push(PhoneMessage {
            id: id.to_owned(),
            from: own.map_or_else(
                || chat.to_string(),
                |own| format!("{}@s.whatsapp.net", own.number),
            ),
            from_device: own.map_or(0, |own| own.device),
            address: own.map_or_else(
                || chat.to_string(),
                |own| format!("{}@s.whatsapp.net", own.number),
            ),
            chat: chat.to_string(),
            from_me: own.is_some(),
            kind: content.kind,
            text: content.text,
            caption: content.caption,
            media,
            timestamp: crate::wire::unix_time(),
            protobuf: Arc::new(message),
        });
    }

    fn fetch_media(
        &mut self,
        id: &str,
        reference: &MediaReference,
        media: &MediaStore,
    ) -> Option<PhoneMedia> {
        let opened = match media.get_by_path(&reference.direct_path) {
            Some(encrypted) => media_cipher::decrypt_file(reference, &encrypted),
            None => Err(anyhow::anyhow!(
                "nothing was uploaded to {}",
                reference.direct_path
            )),
        };
        opened
            .map(|bytes| {
                if bytes.len() <= MAX_KEPT_FILE {
                    self.files
                        .push((id.to_owned(), reference.clone(), bytes.clone()));
                }
                PhoneMedia {
                    mime: reference.mime.clone(),
                    bytes,
                }
            })
            .inspect_err(|error| drop(self.failures.push(format!("the medium of {id}: {error:#}"))))
            .ok()
    }

    /// The file of a message, if it is still stored.
    pub(crate) fn find_file(&self, id: &str) -> Option<(MediaReference, Vec<u8>)> {
        self.files
            .iter()
            .find(|file| file.0 == id)
            .map(|(_, reference, bytes)| (reference.clone(), bytes.clone()))
    }

    /// Deletes all its files, so that none can be uploaded again.
    pub(crate) fn forget_files(&mut self) {
        self.files = BoundedList::new(KEPT_FILES);
    }

    /// Stores a message of its owner for devices that could not decrypt it.
    pub(crate) fn remember_sent(&mut self, sent: SentMessage) {
        self.sent.push((crate::wire::unix_time(), sent));
    }

    /// A message of its owner, if it is still stored.
    pub(crate) fn find_sent(&self, id: &str) -> Option<SentMessage> {
        self.sent
            .iter()
            .find(|(_, sent)| sent.id == id)
            .map(|(_, sent)| sent.clone())
    }

    /// All stored messages of its owner, with their times.
    pub(crate) fn all_sent(&self) -> impl Iterator<Item = &(u64, SentMessage)> {
        self.sent.iter()
    }
}

/// Whether a device requests something from its account's phone.
fn is_request(protocol: &wa::message::ProtocolMessage) -> bool {
    use wa::message::protocol_message::Type;
    matches!(
        protocol.r#type,
        Some(Type::APP_STATE_SYNC_KEY_REQUEST | Type::PEER_DATA_OPERATION_REQUEST_MESSAGE)
    )
}
