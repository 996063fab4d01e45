//! The phone of an account: it holds the account's identity, encrypts what its owner sends, decrypts what arrives, and keeps both.

use std::collections::{HashSet, VecDeque};

use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;

use crate::media::{self, MediaStore};
use crate::message::{self, Media, PhoneMessage};
use crate::signal::Signal;
use crate::world::Number;

/// How many sent messages are kept for devices that ask for them again.
const KEPT_FOR_RETRY: usize = 512;

/// An encrypted message on its way to a phone.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    /// The sender: number, and LID user, by which Signal sessions are kept.
    pub(crate) from: Number,
    pub(crate) from_lid: String,
    pub(crate) from_device: u16,
    /// The other side of the conversation, as a bare phone-number address.
    pub(crate) chat: String,
    pub(crate) from_me: bool,
    pub(crate) kind: String,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) timestamp: u64,
}

/// What a phone does about an arrival.
pub(crate) enum Reaction {
    /// It is shown: the sender gets a delivery receipt.
    Delivered,
    /// It was there already: a receipt again, and nothing is shown twice.
    Duplicate,
    /// A message between devices of the account, such as a request for app-state keys.
    Peer(Box<wa::message::ProtocolMessage>),
    /// It could not be decrypted: the sending device is asked for it again.
    Retry,
}

struct Sent {
    id: String,
    to: Number,
    message: Vec<u8>,
}

/// A phone. Everything it does is synchronous: its Signal store is memory.
pub(crate) struct Handset {
    pub(crate) signal: Signal,
    pub(crate) inbox: Vec<PhoneMessage>,
    /// How many messages of the inbox the test has taken with `next_message`.
    pub(crate) taken: usize,
    pub(crate) receipts: Vec<PhoneReceipt>,
    /// Messages that did not decrypt, with the reason.
    pub(crate) failures: Vec<String>,
    app_state_key: wa::message::AppStateSyncKey,
    seen: HashSet<(Number, String)>,
    sent: VecDeque<Sent>,
}

/// A receipt that reached a phone for a message of its own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PhoneReceipt {
    /// The message's id.
    pub id: String,
    /// Whose receipt: bare phone-number address.
    pub from: String,
    /// The device it came from; 0 is the phone.
    pub from_device: u16,
    /// `delivered`, `read`, `played`, `inactive`, …
    pub status: String,
}

impl Handset {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            signal: Signal::generate()?,
            inbox: Vec::new(),
            taken: 0,
            receipts: Vec::new(),
            failures: Vec::new(),
            app_state_key: new_app_state_key(),
            seen: HashSet::new(),
            sent: VecDeque::new(),
        })
    }

    /// Decrypts an arrival and keeps what it says.
    pub(crate) fn receive(&mut self, arrival: &Arrival, media: &MediaStore) -> Reaction {
        let seen = (arrival.from.clone(), arrival.id.clone());
        let opened = self.signal.decrypt(&arrival.from_lid, arrival.from_device, &arrival.kind, &arrival.ciphertext);
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            // The ratchet has moved past a repeated message, which therefore does not open again.
            Err(_) if self.seen.contains(&seen) => return Reaction::Duplicate,
            Err(error) => {
                self.failures.push(format!("{} from {}:{}: {error:#}", arrival.id, arrival.from, arrival.from_device));
                return Reaction::Retry;
            }
        };
        let Ok(message) = wa::Message::decode_from_slice(&plaintext) else {
            self.failures.push(format!("{} is no Message protobuf", arrival.id));
            return Reaction::Retry;
        };
        if !self.seen.insert(seen) {
            return Reaction::Duplicate;
        }
        self.keep(arrival, message, media)
    }

    fn keep(&mut self, arrival: &Arrival, message: wa::Message, media: &MediaStore) -> Reaction {
        if let Some(protocol) = message.protocol_message.as_option().filter(|_| arrival.from_me) {
            return Reaction::Peer(Box::new(protocol.clone()));
        }
        // What another device of the account sent arrives wrapped, so that it can say whom it went to.
        let copied = message.device_sent_message.as_option().and_then(|copy| copy.message.as_option());
        let content = message::read(copied.unwrap_or(&message));
        let media = content.media.and_then(|reference| self.fetch(&arrival.id, &reference, media));
        self.inbox.push(PhoneMessage {
            id: arrival.id.clone(),
            from: format!("{}@s.whatsapp.net", arrival.from),
            from_device: arrival.from_device,
            chat: arrival.chat.clone(),
            from_me: arrival.from_me,
            kind: content.kind,
            text: content.text,
            caption: content.caption,
            media,
            timestamp: arrival.timestamp,
        });
        Reaction::Delivered
    }

    fn fetch(&mut self, id: &str, reference: &media::MediaReference, media: &MediaStore) -> Option<Media> {
        let opened = match media.by_direct_path(&reference.direct_path) {
            Some(encrypted) => media::open(reference, &encrypted),
            None => Err(anyhow::anyhow!("nothing was uploaded to {}", reference.direct_path)),
        };
        opened
            .map(|bytes| Media { mime: reference.mime.clone(), bytes })
            .inspect_err(|error| self.failures.push(format!("the medium of {id}: {error:#}")))
            .ok()
    }

    /// Remembers a message of its owner's for devices that could not decrypt it.
    pub(crate) fn remember(&mut self, id: &str, to: Number, message: Vec<u8>) {
        if self.sent.len() == KEPT_FOR_RETRY {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { id: id.to_owned(), to, message });
    }

    /// A message of its owner's, to whom and what, if it is still kept.
    pub(crate) fn sent(&self, id: &str) -> Option<(Number, Vec<u8>)> {
        self.sent.iter().find(|sent| sent.id == id).map(|sent| (sent.to.clone(), sent.message.clone()))
    }

    /// The account's key for app state, as the phone shares it with a device it has linked.
    pub(crate) fn app_state_key_share(&self) -> wa::Message {
        let share = wa::message::AppStateSyncKeyShare { keys: vec![self.app_state_key.clone()], ..Default::default() };
        wa::Message {
            protocol_message: MessageField::some(wa::message::ProtocolMessage {
                r#type: Some(wa::message::protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
                app_state_sync_key_share: MessageField::some(share),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

fn new_app_state_key() -> wa::message::AppStateSyncKey {
    // The leading bytes of the id hold the device that made it (0) and the key's epoch.
    let [high, low] = rand::random::<[u8; 2]>();
    wa::message::AppStateSyncKey {
        key_id: MessageField::some(wa::message::AppStateSyncKeyId {
            key_id: Some(vec![0, 0, 0, 0, high, low]),
            ..Default::default()
        }),
        key_data: MessageField::some(wa::message::AppStateSyncKeyData {
            key_data: Some(rand::random::<[u8; 32]>().to_vec()),
            fingerprint: MessageField::some(wa::message::AppStateSyncKeyFingerprint {
                raw_id: Some(rand::random()),
                current_index: Some(0),
                device_indexes: vec![0],
                ..Default::default()
            }),
            timestamp: Some(crate::stanza::unix_time() as i64 * 1000),
            ..Default::default()
        }),
        ..Default::default()
    }
}
