//! Identities: the stable id of a person or chat, whichever address (phone number or LID) is used.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::model::event::{ContactUpdated, Event, EventData, Person};
use crate::store::db::{self, Connection};
use crate::store::events::log;
use crate::store::writer::StoreChange;
use crate::store::{IdentityStore, Life, NewEvent, Store, StoreError, stopping_error};

/// Addresses in the cache; if there are more, all are dropped and looked up again.
const CACHE_LIMIT: usize = 20_000;

/// A cache of ids, by life and address.
#[derive(Default)]
pub(in crate::store) struct IdentityCache {
    ids: Mutex<CachedIds>,
    /// Held while the id of somebody new is chosen, so that two addresses of one person that are
    /// seen at once do not become two ids.
    choosing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct CachedIds {
    saved: HashMap<(i64, String), String>,
    /// Chosen, and on their way to the disk: nothing else knows them yet, so they are never
    /// dropped.
    unsaved: HashMap<(i64, String), String>,
}

impl CachedIds {
    fn get(&self, session: &Life, address: &str) -> Option<&String> {
        let key = (session.id(), address.to_owned());
        self.unsaved.get(&key).or_else(|| self.saved.get(&key))
    }
}

impl IdentityCache {
    /// Returns the id of these addresses, if all of them share one.
    fn get(&self, session: &Life, addresses: &[&str]) -> Option<String> {
        let cached = self.ids.lock();
        let mut ids = addresses.iter().map(|it| cached.get(session, it));
        let first = ids.next()??;
        ids.all(|id| id == Some(first)).then(|| first.clone())
    }

    /// Returns what was chosen for these addresses and is not saved yet.
    fn unsaved(&self, session: &Life, addresses: &[&str]) -> Vec<KnownAddress> {
        let cached = self.ids.lock();
        let known = addresses.iter().filter_map(|address| {
            let key = (session.id(), (*address).to_owned());
            let id = cached.unsaved.get(&key)?.clone();
            Some(KnownAddress { address: key.1, id })
        });
        known.collect()
    }

    fn insert(&self, session: &Life, addresses: &[&str], id: &str) {
        let saved = &mut self.ids.lock().saved;
        if saved.len() >= CACHE_LIMIT {
            saved.clear();
        }
        for address in addresses {
            saved.insert((session.id(), (*address).to_owned()), id.to_owned());
        }
    }

    fn begin_save(&self, change: &SaveIdentity) {
        let unsaved = &mut self.ids.lock().unsaved;
        for address in &change.addresses {
            unsaved.insert((change.session.id(), address.clone()), change.id.clone());
        }
    }

    fn end_save(&self, change: &SaveIdentity) {
        let unsaved = &mut self.ids.lock().unsaved;
        for address in &change.addresses {
            let key = (change.session.id(), address.clone());
            if unsaved.get(&key) == Some(&change.id) {
                unsaved.remove(&key);
            }
        }
    }

    /// Drops what can be read again.
    fn clear(&self) {
        self.ids.lock().saved.clear();
    }
}

impl IdentityStore<'_> {
    /// Returns the id of the person with these addresses, and saves it. A new person gets the phone
    /// number as id, or else the LID. If a known person turns out to have another address,
    /// `contact.updated` reports it.
    pub async fn resolve_identity(
        self,
        session: &Life,
        number: Option<&str>,
        lid: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let addresses: Vec<&str> = [number, lid].into_iter().flatten().collect();
        if addresses.is_empty() {
            return Ok(None);
        }
        let cache = &self.store.identity_cache;
        if let Some(id) = cache.get(session, &addresses) {
            return Ok(Some(id));
        }
        let known = self.query_identities(session, &addresses).await?;
        let id = match common_id(&addresses, &known) {
            Some(id) => id.to_owned(),
            None => self.choose_identity(session, &addresses).await?,
        };
        cache.insert(session, &addresses, &id);
        Ok(Some(id))
    }

    /// Chooses the one id of addresses of which at least one is new, or which had several ids.
    async fn choose_identity(
        self,
        session: &Life,
        addresses: &[&str],
    ) -> Result<String, StoreError> {
        let cache = &self.store.identity_cache;
        let choosing = cache.choosing.lock().await;
        let known = self.query_identities(session, addresses).await?;
        if let Some(id) = common_id(addresses, &known) {
            return Ok(id.to_owned());
        }
        let first = known.first().map(|known| known.id.as_str());
        let id = first.unwrap_or(addresses[0]).to_owned();
        let change = SaveIdentity {
            session: session.clone(),
            addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
            was_known: !known.is_empty(),
            id: id.clone(),
        };
        cache.begin_save(&change);
        drop(choosing);
        // A task of its own, which a request that is given up does not end.
        let (done, saved) = oneshot::channel();
        let store = self.store.clone();
        self.store.tasks.spawn(async move {
            let result = store.save_identity(change).await;
            if let Err(Err(error)) = done.send(result) {
                tracing::warn!(%error, "failed to save the identity of a person; trying again with the next message");
            }
        });
        // Not awaited for somebody new with a number: after a crash, the id is chosen as it was.
        if !known.is_empty() || id.ends_with("@lid") {
            saved.await.map_err(|_| stopping_error())??;
        }
        Ok(id)
    }

    /// Returns the id of a person who is only mentioned: as a group member, or in a receipt. Saved
    /// only if there is no phone number, since otherwise the id follows from the number.
    pub async fn resolve_mention(
        self,
        session: &Life,
        number: Option<&str>,
        lid: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let addresses: Vec<&str> = [number, lid].into_iter().flatten().collect();
        let Some(number) = number else {
            return self.resolve_identity(session, None, lid).await;
        };
        let found = self
            .store
            .identity_cache
            .get(session, &addresses)
            .or_else(|| self.store.mention_cache.get(session, &addresses));
        if let Some(id) = found {
            return Ok(Some(id));
        }
        let id = self.find_identity(session, &addresses).await?;
        let id = id.unwrap_or_else(|| number.to_owned());
        self.store.mention_cache.insert(session, &addresses, &id);
        Ok(Some(id))
    }

    /// Clears the caches.
    pub(in crate::store) fn clear_identity_caches(self) {
        self.store.identity_cache.clear();
        self.store.mention_cache.clear();
    }

    /// Merges a phone number and a LID that belong to one person, if either is known already.
    pub async fn merge_identities(
        self,
        session: &Life,
        number: &str,
        lid: &str,
    ) -> Result<(), StoreError> {
        if !self
            .query_identities(session, &[number, lid])
            .await?
            .is_empty()
        {
            self.resolve_identity(session, Some(number), Some(lid))
                .await?;
        }
        Ok(())
    }

    /// Returns the id of the person with one of these addresses, if it is known.
    pub async fn find_identity(
        self,
        session: &Life,
        addresses: &[&str],
    ) -> Result<Option<String>, StoreError> {
        if let Some(id) = self.store.identity_cache.get(session, addresses) {
            return Ok(Some(id));
        }
        Ok(self
            .query_identities(session, addresses)
            .await?
            .into_iter()
            .next()
            .map(|known| known.id))
    }

    /// Returns the id and all addresses of the person with this address, if it is known; otherwise
    /// nothing.
    pub async fn find_addresses(
        self,
        session: &Life,
        address: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT address FROM identities WHERE session = $1 AND id = $2 UNION SELECT $2";
        let Some(id) = self.find_identity(session, &[address]).await? else {
            return Ok(Vec::new());
        };
        Ok(db::query_scalar(sql)
            .bind(session)
            .bind(id)
            .fetch_all(&self.store.readers)
            .await?)
    }

    /// Returns the ids of these addresses, oldest first.
    async fn query_identities(
        self,
        session: &Life,
        addresses: &[&str],
    ) -> Result<Vec<KnownAddress>, StoreError> {
        let sql = "SELECT address, id FROM identities WHERE session = $1 AND address IN ($2, $3) ORDER BY place";
        let [one, other] =
            [addresses.first(), addresses.last()].map(|it| it.copied().unwrap_or_default());
        // Before the table is read: what is saved meanwhile is in one of the two, or in both.
        let unsaved = self.store.identity_cache.unsaved(session, addresses);
        let mut known: Vec<KnownAddress> = db::query_as(sql)
            .bind(session)
            .bind(one)
            .bind(other)
            .fetch_all(&self.store.readers)
            .await?;
        for unsaved in unsaved {
            match known.iter_mut().find(|it| it.address == unsaved.address) {
                Some(saved) => saved.id = unsaved.id,
                None => known.push(unsaved),
            }
        }
        Ok(known)
    }
}

impl Store {
    /// Saves a chosen id. The caches are cleared where other addresses may have had another.
    async fn save_identity(&self, change: SaveIdentity) -> Result<(), StoreError> {
        let saved = self.writer.apply_change(change.clone()).await;
        self.identity_cache.end_save(&change);
        if saved.is_err() || change.was_known {
            self.identity_cache.clear();
        }
        self.mention_cache.clear();
        saved.map(drop)
    }
}

/// Returns the id of these addresses, if all of them are known by the same.
fn common_id<'a>(addresses: &[&str], known: &'a [KnownAddress]) -> Option<&'a str> {
    let id = known.first()?.id.as_str();
    let is_known = |address: &&str| {
        known
            .iter()
            .any(|it| it.address == **address && it.id == id)
    };
    addresses.iter().all(is_known).then_some(id)
}

struct KnownAddress {
    address: String,
    id: String,
}

db::from_row!(KnownAddress { address, id });

/// Saves the addresses of one person.
#[derive(Clone)]
struct SaveIdentity {
    session: Life,
    addresses: Vec<String>,
    /// One of the addresses was known before.
    was_known: bool,
    id: String,
}

impl StoreChange for SaveIdentity {
    /// Whether an event is new.
    type Answer = bool;

    fn concerns_deliveries(_: &bool) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let mut learnt = 0;
        let mut merged = None;
        for address in &self.addresses {
            let sql = "SELECT id FROM identities WHERE session = $1 AND address = $2";
            let query = db::query_scalar(sql).bind(&self.session).bind(address);
            let before: Option<String> = query.fetch_optional(&mut *connection).await?;
            match before {
                Some(before) if before == self.id => {}
                Some(before) => {
                    // The addresses counted as two persons until now. The id that became known
                    // first stays.
                    let sql = "UPDATE identities SET id = $3 WHERE session = $1 AND id = $2";
                    let query = db::query(sql)
                        .bind(&self.session)
                        .bind(&before)
                        .bind(&self.id);
                    learnt += query.execute(&mut *connection).await?.rows_affected();
                    merged = Some(before);
                }
                None => {
                    let sql = "INSERT INTO identities (session, address, id) VALUES ($1, $2, $3)";
                    let query = db::query(sql)
                        .bind(&self.session)
                        .bind(address)
                        .bind(&self.id);
                    learnt += query.execute(&mut *connection).await?.rows_affected();
                }
            }
        }
        if learnt == 0 || !self.was_known {
            return Ok(false);
        }
        let with = |end: &str| {
            self.addresses
                .iter()
                .find(|address| address.ends_with(end))
                .cloned()
        };
        let phone = with("@s.whatsapp.net")
            .map(|address| address.trim_end_matches("@s.whatsapp.net").to_owned());
        let lid = with("@lid");
        let contact = Person {
            id: self.id.clone(),
            phone: phone.clone(),
            lid: lid.clone(),
            ..Person::default()
        };
        let (phone, lid) = (
            phone.filter(|_| self.id.ends_with("@lid")),
            lid.filter(|lid| *lid != self.id),
        );
        let session = self.session.name().to_owned();
        let updated = ContactUpdated {
            session,
            contact,
            phone,
            lid,
            merged,
            ..ContactUpdated::default()
        };
        let event = Event::new(EventData::ContactUpdated(Box::new(updated)), now);
        let event = NewEvent {
            chat: self.id.clone(),
            ..NewEvent::for_session(&self.session, &event)
        };
        log::record_events(connection, &[&event], now).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::try_join_all;

    use crate::store::Store;
    use crate::system::clock::Clock;

    fn addresses(person: usize) -> (String, String) {
        (
            format!("{}@s.whatsapp.net", 375_440_000_000_usize + person),
            format!("{}@lid", 100_000_000_000_000_usize + person),
        )
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_person_has_one_id_also_before_it_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wapi.db");
        let store = Store::open(&path, Clock::system()).await.unwrap();
        let shop = store.lives().ensure_life("shop");
        let identities = store.identities();
        for person in 0..100 {
            let (number, lid) = addresses(person);
            let (number, lid) = (Some(number.as_str()), Some(lid.as_str()));
            let first = identities.resolve_identity(&shop, number, lid).await;
            assert_eq!(first.unwrap().as_deref(), number);
            // As somebody else's second address does it.
            store.identity_cache.clear();
            let mentioned = identities.resolve_mention(&shop, None, lid).await;
            assert_eq!(mentioned.unwrap().as_deref(), number);
            let again = identities.resolve_identity(&shop, None, lid).await;
            assert_eq!(again.unwrap().as_deref(), number);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_addresses_seen_at_once_become_one_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wapi.db");
        let store = Store::open(&path, Clock::system()).await.unwrap();
        let shop = store.lives().ensure_life("shop");
        for person in 0..100 {
            let (number, lid) = addresses(person);
            let seen = [
                (None, Some(lid.clone())),
                (Some(number.clone()), Some(lid.clone())),
                (None, Some(lid.clone())),
            ];
            let looks = seen.iter().map(|(number, lid)| {
                let identities = store.identities();
                identities.resolve_identity(&shop, number.as_deref(), lid.as_deref())
            });
            let mut ids = try_join_all(looks).await.unwrap();
            ids.dedup();
            assert_eq!(ids.len(), 1, "{ids:?}");
            store.identity_cache.clear();
            for address in [number, lid] {
                let id = store.identities().find_identity(&shop, &[&address]).await;
                assert_eq!(id.unwrap(), ids[0]);
            }
        }
    }
}
