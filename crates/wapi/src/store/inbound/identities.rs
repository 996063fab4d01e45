//! Identities: the stable id of a person or chat, whichever address (phone number or LID) is used.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use sqlx::FromRow;
use sqlx::sqlite::SqliteConnection;

use crate::model::event::{ContactUpdated, Event, EventData, Person};
use crate::store::events::log;
use crate::store::writer::StoreChange;
use crate::store::{IdentityStore, Life, NewEvent, StoreError};

/// Addresses in the cache; if there are more, all are dropped and looked up again.
const CACHE_LIMIT: usize = 20_000;

/// A cache of ids, by life and address.
#[derive(Default)]
pub(in crate::store) struct IdentityCache(Mutex<HashMap<(i64, String), String>>);

impl IdentityCache {
    /// Returns the id of these addresses, if all of them share one.
    fn get(&self, session: &Life, addresses: &[&str]) -> Option<String> {
        let remembered = self.0.lock();
        let mut ids = addresses
            .iter()
            .map(|it| remembered.get(&(session.id(), (*it).to_owned())));
        let first = ids.next()??;
        ids.all(|id| id == Some(first)).then(|| first.clone())
    }

    fn insert(&self, session: &Life, addresses: &[&str], id: &str) {
        let mut remembered = self.0.lock();
        if remembered.len() >= CACHE_LIMIT {
            remembered.clear();
        }
        for address in addresses {
            remembered.insert((session.id(), (*address).to_owned()), id.to_owned());
        }
    }

    fn clear(&self) {
        self.0.lock().clear();
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
        let Some(first) = addresses.first() else {
            return Ok(None);
        };
        if let Some(id) = self.store.identity_cache.get(session, &addresses) {
            return Ok(Some(id));
        }
        let known = self.query_identities(session, &addresses).await?;
        let id = known
            .first()
            .map_or_else(|| (*first).to_owned(), |known| known.id.clone());
        if addresses.iter().any(|address| {
            !known
                .iter()
                .any(|it| it.address == **address && it.id == id)
        }) {
            let addresses = addresses
                .iter()
                .map(|address| (*address).to_owned())
                .collect();
            let learnt = SaveIdentity {
                session: session.clone(),
                addresses,
                was_known: !known.is_empty(),
                id: id.clone(),
            };
            if known.is_empty() && number.is_some() {
                // Not awaited: the next lookup derives the same id from the address itself.
                let store = self.store.clone();
                self.store.tasks.spawn(async move {
                    if let Err(error) = store.writer.apply_change(learnt).await {
                        tracing::warn!(%error, "failed to save the identity of a person; trying again with the next \
                         message");
                        store.identity_cache.clear();
                    }
                });
            } else {
                self.store.writer.apply_change(learnt).await?;
                if !known.is_empty() {
                    // Other cached addresses may have had another id until now.
                    self.store.identity_cache.clear();
                }
            }
            self.store.mention_cache.clear();
        }
        self.store.identity_cache.insert(session, &addresses, &id);
        Ok(Some(id))
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
        let id = self
            .find_identity(session, &addresses)
            .await?
            .unwrap_or_else(|| number.to_owned());
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
        Ok(sqlx::query_scalar(sql)
            .bind(session)
            .bind(id)
            .fetch_all(&self.store.readers)
            .await?)
    }

    /// Returns the stored ids of these addresses, oldest first.
    async fn query_identities(
        self,
        session: &Life,
        addresses: &[&str],
    ) -> Result<Vec<KnownAddress>, StoreError> {
        let sql = "SELECT address, id FROM identities WHERE session = $1 AND address IN ($2, $3) ORDER BY place";
        let [one, other] =
            [addresses.first(), addresses.last()].map(|it| it.copied().unwrap_or_default());
        Ok(sqlx::query_as(sql)
            .bind(session)
            .bind(one)
            .bind(other)
            .fetch_all(&self.store.readers)
            .await?)
    }
}

#[derive(FromRow)]
struct KnownAddress {
    address: String,
    id: String,
}

/// Saves the addresses of one person.
struct SaveIdentity {
    session: Life,
    addresses: Vec<String>,
    /// One of the addresses was known before.
    was_known: bool,
    id: String,
}

impl StoreChange for SaveIdentity {
    /// Whether the ready queue has changed.
    type Answer = bool;

    fn invalidates_ready_queue(is_told: &bool) -> bool {
        *is_told
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let mut learnt = 0;
        let mut merged = None;
        for address in &self.addresses {
            let sql = "SELECT id FROM identities WHERE session = $1 AND address = $2";
            let query = sqlx::query_scalar(sql).bind(&self.session).bind(address);
            let before: Option<String> = query.fetch_optional(&mut *connection).await?;
            match before {
                Some(before) if before == self.id => {}
                Some(before) => {
                    // The addresses counted as two persons until now. The id that became known
                    // first stays.
                    let sql = "UPDATE identities SET id = $3 WHERE session = $1 AND id = $2";
                    let query = sqlx::query(sql)
                        .bind(&self.session)
                        .bind(&before)
                        .bind(&self.id);
                    learnt += query.execute(&mut *connection).await?.rows_affected();
                    merged = Some(before);
                }
                None => {
                    let sql = "INSERT INTO identities (session, address, id) VALUES ($1, $2, $3)";
                    let query = sqlx::query(sql)
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
