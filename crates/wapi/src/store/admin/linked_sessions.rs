//! Names of sessions whose file has a linked device, as far as that was saved.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{SessionStore, StoreError};

impl SessionStore<'_> {
    /// Returns the sessions that were linked when the program last knew. Others may be linked, too.
    pub async fn linked_sessions(self) -> Result<BTreeSet<String>, StoreError> {
        let names: Vec<String> = db::query_scalar("SELECT name FROM linked_sessions")
            .fetch_all(&self.store.readers)
            .await?;
        Ok(names.into_iter().collect())
    }

    /// Saves whether a session's file has a linked device.
    pub async fn save_linked(self, name: &str, is_linked: bool) -> Result<(), StoreError> {
        let change = SaveLinked {
            name: name.to_owned(),
            is_linked,
        };
        self.store.writer.apply_change(change).await
    }
}

struct SaveLinked {
    name: String,
    is_linked: bool,
}

impl StoreChange for SaveLinked {
    type Answer = ();

    fn concerns_deliveries((): &()) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = match self.is_linked {
            true => "INSERT INTO linked_sessions (name) VALUES ($1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM linked_sessions WHERE name = $1",
        };
        let query = db::query(sql).bind(&self.name);
        query.execute(connection).await.map(drop)
    }
}
