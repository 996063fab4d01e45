//! Data recorded by session names, until each name is assigned to one of its lives.

use jiff::Timestamp;
use sqlx::FromRow;
use sqlx::sqlite::SqliteConnection;

use super::mutation::HistoryMutation;
use super::{HistoryDb, StoreError, batch};
use crate::store::Life;
use crate::store::columns::OptionalTimeColumn;

/// The data recorded under one session name.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UnassignedName {
    #[sqlx(rename = "session")]
    pub name: String,
    /// The time of the oldest message that came as an event; a history sync may contain older ones.
    #[sqlx(try_from = "OptionalTimeColumn")]
    pub oldest: Option<Timestamp>,
}

/// The assignment of a name's data to a life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAssignment {
    pub name: String,
    pub life: Life,
    /// A life whose events have to be read again, since its data cannot be separated from the rest.
    pub read_again: Option<Life>,
}

impl HistoryDb {
    /// Returns the names with unassigned data.
    pub async fn unassigned_names(&self) -> Result<Vec<UnassignedName>, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'former_chats')";
        if !sqlx::query_scalar::<_, bool>(sql)
            .fetch_one(&self.readers)
            .await?
        {
            return Ok(Vec::new());
        }
        let sql = "SELECT session, min((SELECT min(at) FROM messages WHERE chat = c.place AND place > 0)) AS oldest \
                   FROM (SELECT session, place FROM former_chats UNION SELECT session, NULL FROM former_contacts \
                         UNION SELECT session, NULL FROM former_forgotten) c GROUP BY session";
        Ok(sqlx::query_as(sql).fetch_all(&self.readers).await?)
    }

    /// Assigns the data to lives, in one transaction. Data of other names is deleted.
    pub async fn assign_names(&self, settled: &[NameAssignment]) -> Result<(), StoreError> {
        let mut open = self.begin().await?;
        let connection = open.connection();
        for NameAssignment {
            name,
            life,
            read_again,
        } in settled
        {
            settle(connection, name, life).await?;
            if let Some(life) = read_again {
                let sql =
                    sqlx::query("INSERT INTO unread (session) VALUES ($1) ON CONFLICT DO NOTHING")
                        .bind(life);
                sql.execute(&mut *connection).await?;
            }
        }
        for sql in [
            "INSERT INTO chats SELECT place, -1, place, NULL, 0, 0, 0, 0, 0, NULL FROM former_chats \
             WHERE place NOT IN (SELECT place FROM chats)",
            "DROP TABLE former_chats",
            "DROP TABLE former_contacts",
            "DROP TABLE former_forgotten",
        ] {
            sqlx::query(sql).execute(&mut *connection).await?;
        }
        Ok(open.commit().await?)
    }

    /// Returns the ids of lives whose events have to be read again.
    pub async fn lives_to_reread(&self) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar("SELECT session FROM unread")
            .fetch_all(&self.readers)
            .await?)
    }

    /// Writes steps of events that were processed before; existing data stays as it is.
    pub async fn write_reread(&self, steps: &[HistoryMutation]) -> Result<(), StoreError> {
        let mut open = self.begin().await?;
        batch::write_all(open.connection(), &steps.iter().collect::<Vec<_>>()).await?;
        Ok(open.commit().await?)
    }

    /// Records that all events of a life were read again.
    pub async fn finish_reread(&self, life: i64) -> Result<(), StoreError> {
        let mut open = self.begin().await?;
        sqlx::query("DELETE FROM unread WHERE session = $1")
            .bind(life)
            .execute(open.connection())
            .await?;
        Ok(open.commit().await?)
    }
}

async fn settle(
    connection: &mut SqliteConnection,
    name: &str,
    life: &Life,
) -> Result<(), sqlx::Error> {
    for sql in [
        "INSERT INTO chats SELECT place, $2, id, name, active_at, unread, marked_unread, archived, pinned, muted_until \
         FROM former_chats WHERE session = $1",
        "INSERT INTO contacts (session, id, phone, lid, push_name) SELECT $2, id, phone, lid, name FROM former_contacts WHERE session = $1",
        "INSERT INTO forgotten SELECT $2, seq FROM former_forgotten WHERE session = $1",
    ] {
        sqlx::query(sql)
            .bind(name)
            .bind(life)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection, Executor};

    use crate::store::history::migration_to_lives::*;
    use crate::store::history::{PageAnchor, STEPS};
    use crate::store::migrations;

    #[tokio::test]
    async fn what_was_kept_by_names_is_found_in_the_lives_it_is_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.db");
        let mut old = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap();
        migrations::run_steps(&mut old, &STEPS[..1]).await.unwrap();
        old.execute(
            "INSERT INTO chats (place, session, id, unread) VALUES (1, 'shop', 'ann', 2), (2, 'two', 'ann', 0), (3, '', '3', 0);
             INSERT INTO contacts (session, id, name) VALUES ('shop', 'ann', 'Ann');
             INSERT INTO messages (place, chat, id, sender, at, content) VALUES (-1, 1, 'A', 'ann', 4, '{}'), (1, 1, 'B', 'ann', 5, '{}'), \
               (2, 2, 'C', 'ann', 6, '{}'), (3, 3, 'D', 'ann', 7, '{}');",
        )
        .await
        .unwrap();
        old.close().await.unwrap();

        let kept = HistoryDb::open(&file).await.unwrap();
        let former = kept.unassigned_names().await.unwrap();
        let oldest = |name: &str| {
            former
                .iter()
                .find(|it| it.name == name)
                .unwrap()
                .oldest
                .map(Timestamp::as_millisecond)
        };
        assert_eq!(
            (oldest("shop"), oldest("two")),
            (Some(5), Some(6)),
            "what a phone told does not count"
        );
        let [shop, over, now] = [1, 2, 3].map(|id| Life::for_test(id, "x"));
        let settled = [
            NameAssignment {
                name: "shop".to_owned(),
                life: shop.clone(),
                read_again: None,
            },
            NameAssignment {
                name: "two".to_owned(),
                life: over.clone(),
                read_again: Some(now.clone()),
            },
        ];
        kept.assign_names(&settled).await.unwrap();
        assert_eq!(kept.unassigned_names().await.unwrap(), []);
        assert_eq!(
            kept.find_chat(&shop, "ann").await.unwrap().unwrap().unread,
            2
        );
        assert_eq!(
            kept.find_contact(&shop, "ann")
                .await
                .unwrap()
                .unwrap()
                .name
                .as_deref(),
            Some("Ann")
        );
        assert_eq!(
            kept.list_messages(&shop, "ann", PageAnchor::Newest, 9)
                .await
                .unwrap()
                .0
                .len(),
            2
        );
        assert_eq!(kept.find_chat(&now, "ann").await.unwrap(), None);
        assert_eq!(kept.list_chats(&over, None, 9).await.unwrap().len(), 1);
        assert_eq!(kept.lives_to_reread().await.unwrap(), [3]);
        kept.finish_reread(3).await.unwrap();
        assert_eq!(
            kept.remove_forgotten(9).await.unwrap(),
            1,
            "what was to go goes"
        );
        kept.close().await;
    }
}
