//! Queries for contacts.

use std::collections::HashMap;

use crate::model::event::{Person, PersonNames};
use crate::store::db::{self, Row};
use crate::store::{HistoryStore, Life, StoreError};

impl HistoryStore<'_> {
    /// Returns up to `limit` contacts of a session in order of their ids, after the id `after`.
    pub async fn list_contacts(
        self,
        session: &Life,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        let sql = "SELECT id, phone, lid, saved_name, verified_name, push_name, username FROM history_contacts WHERE session = $1 AND id > $2 ORDER BY id LIMIT $3";
        let mut question = self.store.history_readers.acquire().await?;
        let rows = db::query(sql)
            .bind(session)
            .bind(after)
            .bind(limit)
            .fetch_all(&mut *question)
            .await?;
        Ok(rows.iter().map(person).collect())
    }

    /// Returns one contact.
    pub async fn find_contact(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<Person>, StoreError> {
        let sql = "SELECT id, phone, lid, saved_name, verified_name, push_name, username FROM history_contacts WHERE session = $1 AND id = $2";
        let mut question = self.store.history_readers.acquire().await?;
        let row = db::query(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(&mut *question)
            .await?;
        Ok(row.as_ref().map(person))
    }

    /// Returns the names of those of these people who are contacts, by id.
    pub async fn find_names_of(
        self,
        session: &Life,
        ids: &[&str],
    ) -> Result<HashMap<String, PersonNames>, StoreError> {
        let ids = serde_json::to_string(ids).expect("texts are always JSON");
        let sql = "SELECT id, saved_name, verified_name, push_name, username FROM history_contacts \
                   WHERE session = $1 AND id IN (SELECT value FROM json_each($2))";
        let mut question = self.store.history_readers.acquire().await?;
        let query = db::query(sql).bind(session).bind(ids);
        let rows = query.fetch_all(&mut *question).await?;
        let named = rows.iter().map(|row| (row.get("id"), names(row)));
        Ok(named.collect())
    }

    /// Returns the names of a contact, for the gateway itself.
    pub async fn find_names(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<PersonNames>, StoreError> {
        let sql = "SELECT saved_name, verified_name, push_name, username FROM history_contacts WHERE session = $1 AND id = $2";
        let row = db::query(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(&self.store.background)
            .await?;
        Ok(row.as_ref().map(names))
    }
}

fn person(row: &Row) -> Person {
    let person = Person {
        id: row.get("id"),
        phone: row.get("phone"),
        lid: row.get("lid"),
        ..Person::default()
    };
    person.with_names(names(row))
}

/// Reads the names from the row of a contact.
pub(super) fn names(row: &Row) -> PersonNames {
    PersonNames {
        saved: row.get("saved_name"),
        verified: row.get("verified_name"),
        push: row.get("push_name"),
        username: row.get("username"),
    }
}
