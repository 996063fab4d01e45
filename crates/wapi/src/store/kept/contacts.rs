//! People as they are looked at.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Kept, StoreError};
use crate::event::Person;
use crate::store::Life;

impl Kept {
    /// Up to `limit` people a session knows, by id, after one of them.
    pub async fn contacts(&self, session: &Life, after: &str, limit: u32) -> Result<Vec<Person>, StoreError> {
        let sql = "SELECT id, phone, lid, name FROM contacts WHERE session = $1 AND id > $2 ORDER BY id LIMIT $3";
        let rows = sqlx::query(sql).bind(session).bind(after).bind(limit).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(person).collect())
    }

    /// One of them.
    pub async fn contact(&self, session: &Life, id: &str) -> Result<Option<Person>, StoreError> {
        let sql = "SELECT id, phone, lid, name FROM contacts WHERE session = $1 AND id = $2";
        let row = sqlx::query(sql).bind(session).bind(id).fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(person))
    }
}

fn person(row: &SqliteRow) -> Person {
    Person { id: row.get("id"), phone: row.get("phone"), lid: row.get("lid"), name: row.get("name") }
}
