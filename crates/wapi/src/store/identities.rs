//! Which addresses are one person, and what they are called for ever.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::writer::Change;
use super::{Life, NewEvent, Store, StoreError, events};
use crate::event::{ContactUpdated, Event, EventData, Person};

/// Addresses whose ids are remembered; when there are more, all are forgotten and looked up again.
const REMEMBERED: usize = 20_000;

/// Ids that were looked up, by life and address.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<(i64, String), String>>);

impl Remembered {
    fn lock(&self) -> MutexGuard<'_, HashMap<(i64, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of these addresses, if each has it.
    fn find(&self, session: &Life, addresses: &[&str]) -> Option<String> {
        let remembered = self.lock();
        let mut ids = addresses
            .iter()
            .map(|it| remembered.get(&(session.id(), (*it).to_owned())));
        let first = ids.next()??;
        ids.all(|id| id == Some(first)).then(|| first.clone())
    }

    fn keep(&self, session: &Life, addresses: &[&str], id: &str) {
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        for address in addresses {
            remembered.insert((session.id(), (*address).to_owned()), id.to_owned());
        }
    }

    fn clear(&self) {
        self.lock().clear();
    }
}

impl Store {
    /// What somebody with these addresses is called, the number's first; remembered from now on. It is the number's if nothing of them was
    /// told before. When another address of somebody becomes known, `contact.updated` tells it.
    pub async fn identify(
        &self,
        session: &Life,
        number: Option<&str>,
        lid: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let addresses: Vec<&str> = [number, lid].into_iter().flatten().collect();
        let Some(first) = addresses.first() else {
            return Ok(None);
        };
        if let Some(id) = self.remembered.find(session, &addresses) {
            return Ok(Some(id));
        }
        let known = self.identities(session, &addresses).await?;
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
            let learnt = Learn {
                session: session.clone(),
                addresses,
                was_known: !known.is_empty(),
                id: id.clone(),
            };
            if known.is_empty() && number.is_some() {
                // Whoever comes next reads the same from the address itself, so nobody waits for this.
                let store = self.clone();
                self.tasks.spawn(async move {
                    if let Err(error) = store.writer.change(learnt).await {
                        tracing::warn!(%error, "who somebody is could not be noted; it is tried again at the next message");
                        store.remembered.clear();
                    }
                });
            } else {
                self.writer.change(learnt).await?;
                if !known.is_empty() {
                    // Others may have had another name until now.
                    self.remembered.clear();
                }
            }
            self.mentioned.clear();
        }
        self.remembered.keep(session, &addresses, &id);
        Ok(Some(id))
    }

    /// What somebody is called who is only mentioned: as a member of a group, or because their phone has got a message. Remembered of those
    /// without a number only, since the name of others follows from it.
    pub async fn mention(
        &self,
        session: &Life,
        number: Option<&str>,
        lid: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let addresses: Vec<&str> = [number, lid].into_iter().flatten().collect();
        let Some(number) = number else {
            return self.identify(session, None, lid).await;
        };
        let found = self
            .remembered
            .find(session, &addresses)
            .or_else(|| self.mentioned.find(session, &addresses));
        if let Some(id) = found {
            return Ok(Some(id));
        }
        let id = self
            .known_id(session, &addresses)
            .await?
            .unwrap_or_else(|| number.to_owned());
        self.mentioned.keep(session, &addresses, &id);
        Ok(Some(id))
    }

    /// What is remembered is read anew.
    pub(super) fn forget_identities(&self) {
        self.remembered.clear();
        self.mentioned.clear();
    }

    /// These are a number and a LID of one person. Of use only if they were told of, by either.
    pub async fn unite(&self, session: &Life, number: &str, lid: &str) -> Result<(), StoreError> {
        if !self.identities(session, &[number, lid]).await?.is_empty() {
            self.identify(session, Some(number), Some(lid)).await?;
        }
        Ok(())
    }

    /// What somebody with one of these addresses is called, if they were told of before.
    pub async fn known_id(
        &self,
        session: &Life,
        addresses: &[&str],
    ) -> Result<Option<String>, StoreError> {
        if let Some(id) = self.remembered.find(session, addresses) {
            return Ok(Some(id));
        }
        Ok(self
            .identities(session, addresses)
            .await?
            .into_iter()
            .next()
            .map(|known| known.id))
    }

    /// All addresses of whoever has this one, with what they are called, if they were told of before.
    pub async fn known_addresses(
        &self,
        session: &Life,
        address: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT address FROM identities WHERE session = $1 AND id = $2 UNION SELECT $2";
        let Some(id) = self.known_id(session, &[address]).await? else {
            return Ok(Vec::new());
        };
        Ok(sqlx::query_scalar(sql)
            .bind(session)
            .bind(id)
            .fetch_all(&self.readers)
            .await?)
    }

    /// What is known of these addresses, in the order it became known.
    async fn identities(
        &self,
        session: &Life,
        addresses: &[&str],
    ) -> Result<Vec<Known>, StoreError> {
        let sql = "SELECT address, id FROM identities WHERE session = $1 AND address IN ($2, $3) ORDER BY place";
        let [one, other] =
            [addresses.first(), addresses.last()].map(|it| it.copied().unwrap_or_default());
        let rows = sqlx::query(sql)
            .bind(session)
            .bind(one)
            .bind(other)
            .fetch_all(&self.readers)
            .await?;
        Ok(rows
            .iter()
            .map(|row: &SqliteRow| Known {
                address: row.get("address"),
                id: row.get("id"),
            })
            .collect())
    }
}

struct Known {
    address: String,
    id: String,
}

/// These addresses are those of somebody.
struct Learn {
    session: Life,
    addresses: Vec<String>,
    /// Something of them was told before.
    was_known: bool,
    id: String,
}

impl Change for Learn {
    /// Whether somebody is told.
    type Answer = bool;

    fn moves_lanes(is_told: &bool) -> bool {
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
                    // They were taken for two. The one who was told of first stays.
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
            ..NewEvent::of_session(&self.session, &event)
        };
        events::record(connection, &[&event], now).await
    }
}
