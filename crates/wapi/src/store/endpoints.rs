//! Who is told.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::writer::Change;
use super::{Store, StoreError};

impl Store {
    /// Sets where an endpoint is and which types of events it wants (none named: all); makes it if it is new.
    pub async fn put_endpoint(&self, id: &str, url: &str, types: &[&str]) -> Result<(), StoreError> {
        self.writer.change(PutEndpoint { id: id.to_owned(), url: url.to_owned(), types: types.join(",") }).await
    }
}

struct PutEndpoint {
    id: String,
    url: String,
    types: String,
}

impl Change for PutEndpoint {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection, now: Timestamp) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO endpoints (id, url, types, created_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (id) DO UPDATE SET url = excluded.url, types = excluded.types";
        let query = sqlx::query(sql).bind(&self.id).bind(&self.url).bind(&self.types).bind(now.as_millisecond());
        query.execute(connection).await?;
        Ok(())
    }
}

/// Who may want to be told of an event.
pub(super) struct Subscriber {
    pub id: String,
    /// Empty: of all sessions.
    session: String,
    /// Separated by commas. Empty: all.
    types: String,
}

impl Subscriber {
    pub fn wants(&self, session: &str, kind: &str) -> bool {
        (self.session.is_empty() || self.session == session)
            && (self.types.is_empty() || self.types.split(',').any(|wanted| wanted == kind))
    }
}

pub(super) async fn subscribers(connection: &mut SqliteConnection) -> Result<Vec<Subscriber>, sqlx::Error> {
    let rows = sqlx::query("SELECT id, session, types FROM endpoints").fetch_all(connection).await?;
    let subscriber =
        |row: &SqliteRow| Subscriber { id: row.get("id"), session: row.get("session"), types: row.get("types") };
    Ok(rows.iter().map(subscriber).collect())
}

/// Writes without changing anything.
pub(super) struct Touch;

impl Change for Touch {
    type Answer = ();

    async fn write(&self, connection: &mut SqliteConnection, _: Timestamp) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE endpoints SET url = url").execute(connection).await?;
        Ok(())
    }
}
