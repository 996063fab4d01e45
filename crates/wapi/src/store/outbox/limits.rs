//! The limits of accounts, as WhatsApp last reported them, and the people who have written to an
//! account.

use jiff::Timestamp;

use crate::model::event::AccountLimits;
use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::writer::StoreChange;
use crate::store::{Life, OutboxStore, StoreError};

impl OutboxStore<'_> {
    /// Saves the limits of an account.
    pub async fn save_limits(
        self,
        session: &Life,
        limits: &AccountLimits,
    ) -> Result<(), StoreError> {
        let change = SaveLimits {
            session: session.clone(),
            limits: serde_json::to_string(limits).expect("limits are always JSON"),
        };
        self.store.writer.apply_change(change).await
    }

    /// Returns the limits that were saved last. It is an error if they cannot be read, such as those
    /// of a newer version.
    pub async fn load_limits(self, session: &Life) -> Result<Option<AccountLimits>, StoreError> {
        let sql = db::query_scalar("SELECT limits FROM account_limits WHERE session = $1");
        let saved: Option<String> = sql
            .bind(session)
            .fetch_optional(&self.store.readers)
            .await?;
        let read = |saved: String| serde_json::from_str(&saved);
        saved
            .map(read)
            .transpose()
            .map_err(|error| StoreError::new(format!("the limits cannot be read back: {error}")))
    }

    /// Whether a message from one of these addresses, which are one person's, is stored.
    pub async fn has_written(
        self,
        session: &Life,
        addresses: &[String],
    ) -> Result<bool, StoreError> {
        let mut sql = QueryBuilder::new("SELECT EXISTS (SELECT 1 FROM events WHERE session = ");
        sql.push_bind(session).push(" AND message_chat IN (");
        let mut list = sql.separated(", ");
        for address in addresses {
            list.push_bind(address);
        }
        // The condition of the index, literally.
        sql.push(") AND message_id IS NOT NULL AND type = 'message.received')");
        let found = sql.build_query_scalar::<bool>();
        Ok(found.fetch_one(&self.store.readers).await?)
    }
}

struct SaveLimits {
    session: Life,
    limits: String,
}

impl StoreChange for SaveLimits {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "INSERT INTO account_limits (session, limits) VALUES ($1, $2) \
                   ON CONFLICT (session) DO UPDATE SET limits = excluded.limits";
        let query = db::query(sql).bind(&self.session).bind(&self.limits);
        query.execute(connection).await.map(drop)
    }
}
