//! The state of the simulated WhatsApp: accounts, their devices, pairing clients, and unknown
//! requests. Data behind one lock; no sockets and no encryption in here, but each account holds its
//! phone behind a lock of its own, and its identity key.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;
use wacore_binary::{Jid, Server as JidServer};
use wacore_libsignal::protocol::IdentityKeyPair;

use crate::crypto::link_code::LinkCode;
use crate::crypto::webauthn::Passkey;
use crate::model::behaviour::CallLink;
use crate::model::device::{ConnectionHandle, Device, SignedPreKey};
use crate::model::faults::FaultSwitches;
use crate::model::group::{Group, GroupId};
use crate::model::ids::{DeviceId, PairingError, PhoneNumber};
use crate::model::newsletter::{Newsletter, NewsletterId};
use crate::model::options::Addressing;
use crate::server::account::catalog::ShopData;
use crate::server::account::preferences::AccountPreferences;
use crate::server::account::privacy::PrivacySettings;
use crate::server::account::profile::{AccountProfile, ProfilePicture};
use crate::server::account::trust::{TokenRegistry, TrustSettings};
use crate::server::app_state::CollectionStore;
use crate::server::phone_state::PhoneState;
use crate::server::stanza::passkey::PasskeyLink;
use crate::server::stanza::presence::PresenceRegistry;
use crate::wire::StreamEnd;

/// One WhatsApp account: a phone and the devices linked to it.
pub(crate) struct Account {
    pub(crate) number: PhoneNumber,
    /// The user part of the account's LID.
    pub(crate) lid: Arc<str>,
    pub(crate) push_name: String,
    pub(crate) phone_state: Arc<Mutex<PhoneState>>,
    pub(crate) identity_key: [u8; 32],
    /// The account's identity, with which the phone signs the list of its devices.
    pub(crate) signer: IdentityKeyPair,
    pub(crate) devices: BTreeMap<u16, Device>,
    pub(crate) last_device: u16,
    pub(crate) profile: AccountProfile,
    pub(crate) privacy: PrivacySettings,
    /// Accounts it has blocked.
    pub(crate) blocked: BTreeSet<PhoneNumber>,
    /// Messages that it has reported as spam: their authors and ids.
    pub(crate) reports: Vec<(PhoneNumber, String)>,
    /// How the account addresses others and is addressed in chats of two.
    pub(crate) addressing: Addressing,
    /// Since when, in seconds since 1970.
    pub(crate) addressed_since: u64,
    /// Whether WhatsApp hides its number where it is addressed by LID.
    pub(crate) hides_number: bool,
    pub(crate) app_state: CollectionStore,
    /// Its preferences.
    pub(crate) preferences: AccountPreferences,
    /// Its trust settings.
    pub(crate) trust: TrustSettings,
    /// The passkey without which no device is linked, while WhatsApp asks for it.
    pub(crate) passkey: Option<Arc<Passkey>>,
    /// Accounts it has exchanged messages with: they keep a list of its devices.
    pub(crate) peers: BTreeSet<PhoneNumber>,
    /// The signed list of its valid devices, until the devices change.
    pub(crate) key_index_list: Option<Vec<u8>>,
}

impl Account {
    /// The account's address; with a device for a linked one, bare for the phone.
    pub(crate) fn jid(&self, addressing: Addressing, device: u16) -> Jid {
        match addressing {
            Addressing::PhoneNumber => Jid::pn_device(&*self.number, device),
            Addressing::Lid => Jid::lid_device(&*self.lid, device),
        }
    }

    /// The name under which phones keep their Signal sessions with it: one for each of its
    /// addresses, as a client that uses both may have two.
    pub(crate) fn session_user(&self, addressing: Addressing) -> &str {
        match addressing {
            Addressing::PhoneNumber => &self.number,
            Addressing::Lid => &self.lid,
        }
    }

    /// Whether WhatsApp has moved its chats of two to LIDs.
    pub(crate) fn is_moved_to_lids(&self) -> bool {
        self.addressing == Addressing::Lid
    }

    /// Whether it has blocked another account.
    pub(crate) fn has_blocked(&self, other: &PhoneNumber) -> bool {
        self.blocked.contains(other)
    }

    /// The devices linked to it.
    pub(crate) fn linked_devices(&self) -> impl Iterator<Item = DeviceId> {
        self.devices.keys().map(|&device| DeviceId {
            number: self.number.clone(),
            device,
        })
    }

    /// Its phone and the devices linked to it.
    pub(crate) fn all_devices(&self) -> impl Iterator<Item = DeviceId> {
        std::iter::once(DeviceId {
            number: self.number.clone(),
            device: 0,
        })
        .chain(self.linked_devices())
    }

    /// The linked devices except this one.
    pub(crate) fn other_devices(&self, than: u16) -> Vec<DeviceId> {
        self.linked_devices()
            .filter(|id| id.device != than)
            .collect()
    }
}

/// The registration data of a client that wants to be linked.
#[derive(Clone)]
pub(crate) struct ClientRegistration {
    pub(crate) noise_key: [u8; 32],
    pub(crate) push_name: Option<String>,
    pub(crate) registration_id: u32,
    pub(crate) identity_key: Vec<u8>,
    pub(crate) signed_prekey: SignedPreKey,
    /// Whether the first history-sync chunk may come inline in the message that announces it.
    pub(crate) takes_inline_history: bool,
}

/// A pair-success that a client has not answered yet.
pub(crate) struct PendingPairing {
    pub(crate) request_id: String,
    pub(crate) number: PhoneNumber,
    pub(crate) device: u16,
    pub(crate) key_index: u32,
    pub(crate) done: oneshot::Sender<Result<DeviceId, PairingError>>,
}

/// One of the references a client shows in its QR, one after the other.
pub(crate) struct QrReference {
    pub(crate) text: String,
    pub(crate) expires: Instant,
}

/// A client that waits to be linked.
pub(crate) struct PairingCandidate {
    pub(crate) connection: ConnectionHandle,
    pub(crate) registration: ClientRegistration,
    pub(crate) references: Vec<QrReference>,
    pub(crate) link_code: Option<LinkCode>,
    /// The passkey that WhatsApp asked it for, and the handshake that follows.
    pub(crate) passkey: Option<PasskeyLink>,
    pub(crate) pending: Option<PendingPairing>,
}

/// A request the simulator does not know; it was answered with an error at once.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct UnknownRequest {
    /// Its shape, e.g. `iq get w:xyz <query>`.
    pub request: String,
    /// How often it came.
    pub count: u64,
}

/// The whole state.
#[derive(Default)]
pub(crate) struct World {
    accounts: BTreeMap<PhoneNumber, Account>,
    numbers_by_lid: HashMap<Arc<str>, PhoneNumber>,
    /// Other numbers that WhatsApp resolves to an account in queries: with Brazil's ninth digit and
    /// without it. Messages to them reach nobody.
    aliases: HashMap<String, PhoneNumber>,
    devices_by_noise_key: HashMap<[u8; 32], DeviceId>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) group_pictures: BTreeMap<GroupId, ProfilePicture>,
    /// Codes of former invite links.
    pub(crate) revoked_codes: BTreeSet<String>,
    pub(crate) newsletters: BTreeMap<NewsletterId, Newsletter>,
    pub(crate) call_links: Vec<CallLink>,
    pub(crate) presences: PresenceRegistry,
    pub(crate) shops: ShopData,
    pub(crate) tokens: TokenRegistry,
    /// Clients that wait to be linked, by connection.
    pub(crate) candidates: HashMap<u64, PairingCandidate>,
    pub(crate) switches: FaultSwitches,
    /// Stored GraphQL queries that exist no longer, by id.
    pub(crate) withdrawn_queries: BTreeSet<String>,
    /// WebSockets that were refused by a fault.
    pub(crate) refused: u64,
    unknown: BTreeMap<String, u64>,
    last_stanza: u64,
}

impl World {
    pub(crate) fn add_account(&mut self, account: Account) {
        self.numbers_by_lid
            .insert(account.lid.clone(), account.number.clone());
        self.accounts.insert(account.number.clone(), account);
    }

    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(crate) fn add_alias(&mut self, alias: &str, number: &PhoneNumber) {
        self.aliases.insert(alias.to_owned(), number.clone());
    }

    /// The number that another number is an alias of.
    pub(crate) fn number_by_alias(&self, number: &str) -> Option<&PhoneNumber> {
        self.aliases.get(number)
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

    /// Whether an account has blocked another.
    pub(crate) fn has_blocked(&self, number: &PhoneNumber, other: &PhoneNumber) -> bool {
        self.account(number)
            .is_some_and(|account| account.has_blocked(other))
    }

    /// The account behind a phone-number or LID address.
    pub(crate) fn account_of(&self, jid: &Jid) -> Option<&Account> {
        self.account(self.number_of(jid)?)
    }

    /// The group behind an address.
    pub(crate) fn group_of(&self, jid: &Jid) -> Option<&Group> {
        (jid.server == JidServer::Group).then(|| self.groups.get(jid.user.as_str()))?
    }

    /// The devices of a group's members, phones included.
    pub(crate) fn group_devices(&self, group: &Group) -> Vec<DeviceId> {
        group
            .members
            .keys()
            .filter_map(|number| self.account(number))
            .flat_map(Account::all_devices)
            .collect()
    }

    /// The accounts that share a group with an account: they keep a list of its devices, too.
    pub(crate) fn group_peers(&self, number: &PhoneNumber) -> BTreeSet<PhoneNumber> {
        let theirs = self
            .groups
            .values()
            .filter(|group| group.members.contains_key(number));
        theirs
            .flat_map(|group| group.members.keys())
            .filter(|member| *member != number)
            .cloned()
            .collect()
    }

    fn number_of<'a>(&'a self, jid: &'a Jid) -> Option<&'a str> {
        match jid.server {
            JidServer::Pn | JidServer::Legacy => Some(jid.user.as_str()),
            JidServer::Lid => self
                .numbers_by_lid
                .get(jid.user.as_str())
                .map(|number| &**number),
            _ => None,
        }
    }

    /// Records that two accounts have exchanged a message.
    pub(crate) fn add_peers(&mut self, one: &PhoneNumber, other: &PhoneNumber) {
        for (account, peer) in [(one, other), (other, one)] {
            if let Some(account) = self.account_mut(account) {
                account.peers.insert(peer.clone());
            }
        }
    }

    pub(crate) fn device_by_noise_key(&self, key: &[u8; 32]) -> Option<&DeviceId> {
        self.devices_by_noise_key.get(key)
    }

    pub(crate) fn link_device(&mut self, number: &PhoneNumber, device: Device) {
        let id = DeviceId {
            number: number.clone(),
            device: device.id,
        };
        self.devices_by_noise_key.insert(device.noise_key, id);
        if let Some(account) = self.account_mut(number) {
            account.last_device = account.last_device.max(device.id);
            account.devices.insert(device.id, device);
            account.key_index_list = None;
        }
    }

    pub(crate) fn unlink_device(&mut self, id: &DeviceId) -> Option<Device> {
        let account = self.account_mut(&id.number)?;
        let device = account.devices.remove(&id.device)?;
        account.key_index_list = None;
        self.devices_by_noise_key.remove(&device.noise_key);
        Some(device)
    }

    /// The client that shows this reference, if it is still valid.
    pub(crate) fn candidate_with_reference(
        &mut self,
        reference: &str,
    ) -> Option<&mut PairingCandidate> {
        let now = Instant::now();
        let shows = |candidate: &&mut PairingCandidate| {
            candidate
                .references
                .iter()
                .any(|known| known.text == reference && known.expires > now)
        };
        self.candidates.values_mut().find(shows)
    }

    /// Cuts every connection without a final stanza.
    pub(crate) fn cut_connections(&self) {
        let devices = self
            .accounts
            .values()
            .flat_map(|account| account.devices.values());
        let linked = devices.filter_map(|device| device.connection.as_ref());
        let waiting = self
            .candidates
            .values()
            .map(|candidate| &candidate.connection);
        linked
            .chain(waiting)
            .for_each(|connection| connection.end_stream(StreamEnd::Cut));
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
        let row = |(request, count): (&String, &u64)| UnknownRequest {
            request: request.clone(),
            count: *count,
        };
        self.unknown.iter().map(row).collect()
    }

    /// A new stanza id of the server.
    pub(crate) fn next_stanza_id(&mut self) -> String {
        self.last_stanza += 1;
        format!(
            "{}-{}",
            3_141_592 + self.last_stanza / 1000,
            self.last_stanza
        )
    }
}
