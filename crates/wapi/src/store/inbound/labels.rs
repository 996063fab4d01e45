//! Labels of an account and the chats that have them, as its devices have agreed on them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::event::Label;
use crate::store::db::{self, Connection, Row};
use crate::store::writer::StoreChange;
use crate::store::{InboundStore, Life, StoreError};

/// A change of labels, by one of the account's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelChange {
    Saved {
        label: Label,
        /// WhatsApp's action with all its fields, encoded.
        action: Vec<u8>,
    },
    /// The id stays known, since it must not be used again: entries of chats with it may be left.
    Deleted { id: String },
    Chat {
        label: String,
        /// The chat's address in the entry, by number or by LID.
        chat: String,
        labeled: bool,
        /// When it was written, in milliseconds since 1970.
        at: i64,
    },
}

/// Whether a chat has a label, as written under one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatLabelEntry {
    pub chat: String,
    pub label: String,
    pub labeled: bool,
    pub at: i64,
}

impl ChatLabelEntry {
    /// Returns the labels of a chat from the entries under its addresses, sorted by id: for each
    /// label, the latest entry counts. Entries of two addresses have no order but their times.
    pub fn current_labels<'a>(entries: impl IntoIterator<Item = &'a Self>) -> Vec<String> {
        let mut latest: BTreeMap<(usize, &str), &Self> = BTreeMap::new();
        for entry in entries {
            let known = latest
                .entry((entry.label.len(), &entry.label))
                .or_insert(entry);
            if known.at < entry.at {
                *known = entry;
            }
        }
        let current = latest.values().filter(|entry| entry.labeled);
        current.map(|entry| entry.label.clone()).collect()
    }
}

impl InboundStore<'_> {
    /// Returns the labels of an account, sorted by id.
    pub async fn list_labels(self, session: &Life) -> Result<Vec<Label>, StoreError> {
        let sql = "SELECT id, name, color FROM labels WHERE session = $1 AND NOT deleted \
                   ORDER BY length(id), id";
        let rows = db::query(sql)
            .bind(session)
            .fetch_all(&self.store.readers)
            .await?;
        Ok(rows.iter().map(read_label).collect())
    }

    /// Returns a label that is not deleted.
    pub async fn find_label(self, session: &Life, id: &str) -> Result<Option<Label>, StoreError> {
        let sql =
            "SELECT id, name, color FROM labels WHERE session = $1 AND id = $2 AND NOT deleted";
        let row = db::query(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(&self.store.readers)
            .await?;
        Ok(row.as_ref().map(read_label))
    }

    /// Returns the action with which a label was saved last, encoded.
    pub async fn find_label_action(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT action FROM labels WHERE session = $1 AND id = $2";
        let action = db::query_scalar(sql).bind(session).bind(id);
        let found: Option<Option<Vec<u8>>> = action.fetch_optional(&self.store.readers).await?;
        Ok(found.flatten())
    }

    /// Returns the numbers that were ever ids of labels.
    pub async fn used_label_ids(self, session: &Life) -> Result<Vec<u32>, StoreError> {
        let sql = "SELECT id FROM labels WHERE session = $1 UNION SELECT label FROM chat_labels \
                   WHERE session = $1";
        let ids: Vec<String> = db::query_scalar(sql)
            .bind(session)
            .fetch_all(&self.store.readers)
            .await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Returns the labels of chats. A chat may occur under both of its addresses.
    pub async fn list_chat_labels(self, session: &Life) -> Result<Vec<ChatLabelEntry>, StoreError> {
        let sql = "SELECT c.chat, c.label, c.labeled, c.at FROM chat_labels c \
                   JOIN labels l ON l.session = c.session AND l.id = c.label AND NOT l.deleted \
                   WHERE c.session = $1";
        let rows = db::query(sql)
            .bind(session)
            .fetch_all(&self.store.readers)
            .await?;
        Ok(rows
            .iter()
            .map(|row| ChatLabelEntry {
                chat: row.get("chat"),
                label: row.get("label"),
                labeled: row.get("labeled"),
                at: row.get("at"),
            })
            .collect())
    }

    /// Saves changes, the earliest first. Returns those that changed something.
    pub async fn save_labels(
        self,
        session: &Life,
        changes: Vec<LabelChange>,
    ) -> Result<Vec<LabelChange>, StoreError> {
        self.store
            .writer
            .apply_change(SaveLabels {
                session: session.clone(),
                changes,
            })
            .await
    }

    /// Returns whether all labels of the account were read once.
    pub async fn knows_all_labels(self, session: &Life) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM labels_read WHERE session = $1)";
        Ok(db::query_scalar(sql)
            .bind(session)
            .fetch_one(&self.store.readers)
            .await?)
    }

    /// Forgets the labels of an account: a device that was just linked reads all of them again,
    /// without those that are gone.
    pub async fn forget_labels(self, session: &Life) -> Result<(), StoreError> {
        let session = session.clone();
        let writer = &self.store.writer;
        writer.apply_change(ForgetLabels { session }).await
    }

    /// Records that all labels of the account were read.
    pub async fn mark_all_labels_known(self, session: &Life) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(MarkLabelsRead {
                session: session.clone(),
            })
            .await
    }
}

fn read_label(row: &Row) -> Label {
    Label {
        id: row.get("id"),
        name: row.get("name"),
        color: row.get("color"),
    }
}

struct SaveLabels {
    session: Life,
    changes: Vec<LabelChange>,
}

impl StoreChange for SaveLabels {
    type Answer = Vec<LabelChange>;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut Connection,
        _now: Timestamp,
    ) -> Result<Self::Answer, db::Error> {
        let mut changed = Vec::new();
        for change in &self.changes {
            if write_change(connection, &self.session, change).await? {
                changed.push(change.clone());
            }
        }
        Ok(changed)
    }
}

async fn write_change(
    connection: &mut Connection,
    session: &Life,
    change: &LabelChange,
) -> Result<bool, db::Error> {
    let done = match change {
        LabelChange::Saved { label, action } => {
            let Label { id, name, color } = label;
            let sql = "INSERT INTO labels (session, id, name, color, deleted) VALUES ($1, $2, $3, $4, 0) \
                       ON CONFLICT (session, id) DO UPDATE SET name = excluded.name, color = excluded.color, deleted = 0 \
                       WHERE deleted OR name <> excluded.name OR color <> excluded.color";
            let query = db::query(sql).bind(session).bind(id).bind(name);
            let shown = query.bind(color).execute(&mut *connection).await?;
            db::query("UPDATE labels SET action = $3 WHERE session = $1 AND id = $2")
                .bind(session)
                .bind(id)
                .bind(action)
                .execute(connection)
                .await?;
            shown
        }
        LabelChange::Deleted { id } => {
            db::query("DELETE FROM chat_labels WHERE session = $1 AND label = $2")
                .bind(session)
                .bind(id)
                .execute(&mut *connection)
                .await?;
            let sql = "INSERT INTO labels (session, id, name, color, deleted) VALUES ($1, $2, '', 0, 1) \
                       ON CONFLICT (session, id) DO UPDATE SET deleted = 1 WHERE NOT deleted";
            db::query(sql)
                .bind(session)
                .bind(id)
                .execute(connection)
                .await?
        }
        LabelChange::Chat {
            label,
            chat,
            labeled,
            at,
        } => {
            // Entries of one address come in their order, which counts: a device's clock may be slow.
            let sql = "INSERT INTO chat_labels (session, label, chat, labeled, at) VALUES ($1, $2, $3, $4, $5) \
                       ON CONFLICT (session, label, chat) DO UPDATE SET labeled = excluded.labeled, at = excluded.at \
                       WHERE excluded.labeled <> chat_labels.labeled OR excluded.at <> chat_labels.at";
            let query = db::query(sql).bind(session).bind(label).bind(chat);
            query.bind(labeled).bind(at).execute(connection).await?
        }
    };
    Ok(done.rows_affected() > 0)
}

struct ForgetLabels {
    session: Life,
}

impl StoreChange for ForgetLabels {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _now: Timestamp) -> Result<(), db::Error> {
        for sql in [
            "DELETE FROM labels_read WHERE session = $1",
            "DELETE FROM chat_labels WHERE session = $1",
            "DELETE FROM labels WHERE session = $1",
        ] {
            let query = db::query(sql).bind(&self.session);
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

struct MarkLabelsRead {
    session: Life,
}

impl StoreChange for MarkLabelsRead {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _now: Timestamp) -> Result<(), db::Error> {
        db::query("INSERT INTO labels_read (session) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(&self.session)
            .execute(connection)
            .await
            .map(drop)
    }
}
