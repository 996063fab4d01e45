//! Settings of sessions that their owners change: the pace of messages and the proxy.

use jiff::Timestamp;

use crate::model::send_hold::Pacing;
use crate::net::proxy::ProxyAddress;
use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{SessionStore, StoreError};

/// Settings to change; `None` leaves one as it is.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    pub pacing: Option<Pacing>,
    /// Within: `None` removes the session's own proxy.
    pub proxy: Option<Option<ProxyAddress>>,
}

impl SessionStore<'_> {
    /// Saves changed settings of a session, all or none.
    pub async fn save_settings(
        self,
        name: &str,
        change: &SettingsChange,
    ) -> Result<(), StoreError> {
        let pacing = change
            .pacing
            .map(|pacing| serde_json::to_string(&pacing).expect("a pace is always JSON"));
        let proxy = change.proxy.as_ref();
        let change = SaveSettings {
            name: name.to_owned(),
            pacing,
            proxy: proxy.map(|proxy| proxy.as_ref().map(ProxyAddress::to_secret_url)),
        };
        self.store.writer.apply_change(change).await
    }

    /// Returns the saved proxy of each session that has its own, or `None` for one that cannot be
    /// read.
    pub async fn load_proxies(self) -> Result<Vec<(String, Option<ProxyAddress>)>, StoreError> {
        let rows: Vec<(String, String)> =
            db::query_as("SELECT name, proxy FROM sessions WHERE proxy IS NOT NULL")
                .fetch_all(&self.store.readers)
                .await?;
        let parse = |(name, proxy): (String, String)| (name, ProxyAddress::parse(&proxy).ok());
        Ok(rows.into_iter().map(parse).collect())
    }
}

struct SaveSettings {
    name: String,
    pacing: Option<String>,
    proxy: Option<Option<String>>,
}

impl StoreChange for SaveSettings {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        if let Some(pacing) = &self.pacing {
            let sql = "INSERT INTO sessions (name, pacing, created_at) VALUES ($1, $2, $3) \
                       ON CONFLICT (name) DO UPDATE SET pacing = excluded.pacing";
            let query = db::query(sql).bind(&self.name).bind(pacing);
            query
                .bind(now.as_millisecond())
                .execute(&mut *connection)
                .await?;
        }
        if let Some(proxy) = &self.proxy {
            let sql = "INSERT INTO sessions (name, proxy, created_at) VALUES ($1, $2, $3) \
                       ON CONFLICT (name) DO UPDATE SET proxy = excluded.proxy";
            let query = db::query(sql).bind(&self.name).bind(proxy);
            query.bind(now.as_millisecond()).execute(connection).await?;
        }
        Ok(())
    }
}
