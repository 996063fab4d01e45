//! Everything the simulated WhatsApp knows: accounts, their devices, who is pairing, and what could not be answered. Plain data
//! behind one lock; no locks, sockets or cryptography in here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;
use wacore_binary::{Jid, Server as JidServer};
use wacore_libsignal::protocol::IdentityKeyPair;

use crate::appstate::Collections;
use crate::device::{Connection, Device, SignedPreKey};
use crate::faults::Switches;
use crate::handset::Handset;
use crate::linkcode::LinkCode;

/// A phone number in digits, without `+`: what an account is known by.
pub(crate) type Number = Arc<str>;

/// A device of an account; 0 is the phone itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DeviceId {
    pub(crate) number: Number,
    pub(crate) device: u16,
}

/// One WhatsApp account: a phone and the devices linked to it.
pub(crate) struct Account {
    pub(crate) number: Number,
    /// The user part of the account's LID.
    pub(crate) lid: Arc<str>,
    pub(crate) push_name: String,
    pub(crate) handset: Arc<Mutex<Handset>>,
    pub(crate) identity_key: [u8; 32],
    /// The account's identity: what the phone signs the list of its devices with.
    pub(crate) signer: IdentityKeyPair,
    pub(crate) devices: BTreeMap<u16, Device>,
    pub(crate) last_device: u16,
    pub(crate) about: String,
    pub(crate) blocked: Vec<Jid>,
    pub(crate) app_state: Collections,
}

impl Account {
    /// The account's address of the given kind; with a device for a linked one, bare for the phone.
    pub(crate) fn jid(&self, lid: bool, device: u16) -> Jid {
        if lid { Jid::lid_device(&*self.lid, device) } else { Jid::pn_device(&*self.number, device) }
    }
}

/// What a client that wants to be linked said of itself.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) noise_key: [u8; 32],
    pub(crate) push_name: Option<String>,
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_prekey: SignedPreKey,
}

/// Why a scan or a code did not link a device.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PairingError {
    /// The QR text has not the form `ref,noise key,identity key,secret[,client type]`.
    #[error("this is no WhatsApp pairing QR: {0}")]
    NotAQr(String),
    /// The reference is unknown or has expired.
    #[error("the QR (or link code) has expired or belongs to no client that is waiting")]
    Expired,
    /// The keys in the QR are not those the client registered with.
    #[error("the keys in the QR are not those of the client that is waiting")]
    KeyMismatch,
    /// The code that was typed does not match the one the client shows.
    #[error("the link code is wrong")]
    WrongCode,
    /// The client refused what the phone sent.
    #[error("the client refused the pairing: {code} {text}")]
    Refused {
        /// The code the client answered with, such as 401.
        code: u16,
        /// Its words, such as `hmac-mismatch`.
        text: String,
    },
    /// The client's own signature on its device identity is wrong.
    #[error("the client's device signature is wrong")]
    DeviceSignature,
    /// The client went away before it answered.
    #[error("the client went away in the middle of the pairing")]
    Gone,
}

/// A pair-success that a client has not answered yet.
pub(crate) struct PendingPairing {
    pub(crate) request_id: String,
    pub(crate) number: Number,
    pub(crate) device: u16,
    pub(crate) key_index: u32,
    pub(crate) done: oneshot::Sender<Result<DeviceId, PairingError>>,
}

/// A client that waits to be linked.
pub(crate) struct Waiting {
    pub(crate) connection: Connection,
    pub(crate) registration: Registration,
    pub(crate) refs: Vec<String>,
    pub(crate) link_code: Option<LinkCode>,
    pub(crate) pending: Option<PendingPairing>,
}

/// A request the simulator does not know; it was answered with an error at once.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct UnknownRequest {
    /// What it was, e.g. `iq get w:xyz <query>`.
    pub request: String,
    /// How often it came.
    pub count: u64,
}

/// The whole state.
#[derive(Default)]
pub(crate) struct World {
    accounts: BTreeMap<Number, Account>,
    numbers_by_lid: HashMap<Arc<str>, Number>,
    devices_by_noise_key: HashMap<[u8; 32], DeviceId>,
    /// Clients that wait to be linked, by connection.
    pub(crate) waiting: HashMap<u64, Waiting>,
    pub(crate) switches: Switches,
    unknown: BTreeMap<String, u64>,
    last_stanza: u64,
}

impl World {
    pub(crate) fn add_account(&mut self, account: Account) {
        self.numbers_by_lid.insert(account.lid.clone(), account.number.clone());
        self.accounts.insert(account.number.clone(), account);
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(crate) fn account(&self, number: &str) -> Option<&Account> {
        self.accounts.get(number)
    }

    pub(crate) fn account_mut(&mut self, number: &str) -> Option<&mut Account> {
        self.accounts.get_mut(number)
    }

    pub(crate) fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.account(&id.number)?.devices.get(&id.device)
    }

    pub(crate) fn device_mut(&mut self, number: &str, device: u16) -> Option<&mut Device> {
        self.account_mut(number)?.devices.get_mut(&device)
    }

    /// The account behind a phone-number or LID address.
    pub(crate) fn account_of(&self, jid: &Jid) -> Option<&Account> {
        let number = match jid.server {
            JidServer::Pn | JidServer::Legacy => jid.user.as_str(),
            JidServer::Lid => self.numbers_by_lid.get(jid.user.as_str())?,
            _ => return None,
        };
        self.account(number)
    }

    pub(crate) fn device_by_noise_key(&self, key: &[u8; 32]) -> Option<&DeviceId> {
        self.devices_by_noise_key.get(key)
    }

    pub(crate) fn link(&mut self, number: &Number, device: Device) {
        let id = DeviceId { number: number.clone(), device: device.id };
        self.devices_by_noise_key.insert(device.noise_key, id);
        if let Some(account) = self.account_mut(number) {
            account.devices.insert(device.id, device);
        }
    }

    pub(crate) fn unlink(&mut self, id: &DeviceId) -> Option<Device> {
        let device = self.account_mut(&id.number)?.devices.remove(&id.device)?;
        self.devices_by_noise_key.remove(&device.noise_key);
        Some(device)
    }

    /// The waiting client that was given this QR reference.
    pub(crate) fn waiting_with_ref(&mut self, reference: &str) -> Option<&mut Waiting> {
        self.waiting.values_mut().find(|waiting| waiting.refs.iter().any(|known| known == reference))
    }

    pub(crate) fn release_held(&mut self) {
        for account in self.accounts.values_mut() {
            account.devices.values_mut().for_each(Device::release_held);
        }
    }

    pub(crate) fn count_unknown(&mut self, request: String) {
        *self.unknown.entry(request).or_default() += 1;
    }

    pub(crate) fn unknown_requests(&self) -> Vec<UnknownRequest> {
        let row = |(request, count): (&String, &u64)| UnknownRequest { request: request.clone(), count: *count };
        self.unknown.iter().map(row).collect()
    }

    /// A stanza id of the server's own.
    pub(crate) fn next_stanza_id(&mut self) -> String {
        self.last_stanza += 1;
        format!("{}-{}", 3_141_592 + self.last_stanza / 1000, self.last_stanza)
    }
}
