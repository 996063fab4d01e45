//! Cleanup of abandoned lives: a life that nobody can come back to is dropped once nothing stored
//! belongs to it, so that sessions created and removed over and over leave no trace.

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::history;
use crate::store::sealing::{SealScope, Sealer};
use crate::store::writer::StoreChange;
use crate::store::{Life, Store, StoreError};

/// Lives checked in one transaction.
const BATCH_LIVES: usize = 100;

/// Returns whether any stored row belongs to a life. Each part is answered from an index.
const HAS_DATA: &str = "SELECT EXISTS (SELECT 1 FROM events WHERE session = $1 AND body <> '') \
    OR EXISTS (SELECT 1 FROM events WHERE session = $1 AND message_id IS NOT NULL) \
    OR EXISTS (SELECT 1 FROM messages WHERE session = $1) OR EXISTS (SELECT 1 FROM payloads WHERE session = $1) \
    OR EXISTS (SELECT 1 FROM pending WHERE session = $1) OR EXISTS (SELECT 1 FROM polls WHERE session = $1) \
    OR EXISTS (SELECT 1 FROM identities WHERE session = $1) OR EXISTS (SELECT 1 FROM reads WHERE session = $1) \
    OR EXISTS (SELECT 1 FROM timers WHERE session = $1) OR EXISTS (SELECT 1 FROM newsletters WHERE session = $1) \
    OR EXISTS (SELECT 1 FROM labels WHERE session = $1) OR EXISTS (SELECT 1 FROM chat_labels WHERE session = $1) \
    OR EXISTS (SELECT 1 FROM engine WHERE session = $1)";

/// Returns whether an API key was created for the name before this life began and waits for it:
/// without the life, the key would grant access to the one that came next.
const IS_AWAITED: &str = "SELECT EXISTS (SELECT 1 FROM api_keys k, json_each(k.lives) j \
    WHERE j.key = $2 AND j.value < 0 AND -1 - j.value < $1 \
      AND NOT EXISTS (SELECT 1 FROM lives l WHERE l.session = $2 AND l.life > -1 - j.value AND l.life < $1))";

impl Store {
    /// Drops the abandoned lives that have no stored data left, and returns their number.
    pub async fn drop_abandoned_lives(&self) -> Result<usize, StoreError> {
        let mut abandoned = self.lives.abandoned_lives(usize::MAX);
        // Media has no index by life, so one scan serves all lives.
        let of_files = "SELECT DISTINCT session FROM media";
        let with_files: Vec<i64> = db::query_scalar(of_files)
            .fetch_all(&self.background)
            .await?;
        abandoned.retain(|life| !with_files.contains(&life.id()));
        let mut dropped = 0;
        for lives in abandoned.chunks(BATCH_LIVES) {
            let gone = self
                .writer
                .apply_change(DropLives {
                    lives: lives.to_vec(),
                    sealer: self.sealer.clone(),
                })
                .await?;
            self.lives.forget_lives(&gone);
            dropped += gone.len();
        }
        Ok(dropped)
    }
}

struct DropLives {
    lives: Vec<Life>,
    sealer: Sealer,
}

impl StoreChange for DropLives {
    type Answer = Vec<Life>;

    fn concerns_deliveries(_: &Vec<Life>) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut Connection,
        _: Timestamp,
    ) -> Result<Vec<Life>, db::Error> {
        let mut gone = Vec::new();
        for life in &self.lives {
            let is_kept: bool = db::query_scalar(HAS_DATA)
                .bind(life)
                .fetch_one(&mut *connection)
                .await?;
            let awaited = db::query_scalar(IS_AWAITED).bind(life).bind(life.name());
            if is_kept || awaited.fetch_one(&mut *connection).await? {
                continue;
            }
            for sql in [
                "DELETE FROM lives WHERE life = $1",
                "DELETE FROM labels_read WHERE session = $1",
                "DELETE FROM received WHERE session = $1 AND last_at = 0",
            ] {
                db::query(sql).bind(life).execute(&mut *connection).await?;
            }
            for scope in SealScope::ALL {
                self.sealer.drop_key(connection, life, scope).await?;
            }
            gone.push(life.clone());
        }
        // Nobody can see it any more.
        history::hide_lives(connection, &gone).await?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::store::AccessSince;
    use crate::store::lives::abandoned::*;
    use crate::store::tests::new_store;

    /// Creates a session and removes it again.
    async fn passes(store: &Store, name: &str) -> Life {
        let life = store.lives().ensure_life(name);
        store.probe_disk().await.unwrap();
        store.clock.sleep(Duration::from_millis(2)).await;
        store.lives().end_life(name);
        store.probe_disk().await.unwrap();
        life
    }

    #[tokio::test]
    async fn what_comes_and_goes_leaves_no_lives_but_those_that_somebody_may_ask_for() {
        let (store, _folder) = new_store().await;
        let early = store.lives().access_since_now("shop");
        let key = crate::store::ApiKey {
            id: "key".to_owned(),
            hint: "abcd".to_owned(),
            name: "shop's".to_owned(),
            rights: crate::model::access::KeyAccess {
                scopes: Default::default(),
                sessions: Some(["shop".to_owned()].into()),
            },
            since: Some([("shop".to_owned(), early)].into()),
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
            last_used_at: None,
        };
        store
            .api_keys()
            .add_api_key(key, [0; 32], None)
            .await
            .unwrap();
        let first = passes(&store, "shop").await;
        let given = store.lives().ensure_life("given");
        store.lives().link_account("given", "375440000001");
        store.clock.sleep(Duration::from_millis(2)).await;
        store.lives().end_life("given");
        let polled = passes(&store, "shop").await;
        store
            .inbound()
            .set_newsletter_position(&polled, "n@newsletter", 1)
            .await
            .unwrap();
        for _ in 0..20 {
            passes(&store, "shop").await;
        }
        let now = store.lives().ensure_life("shop");
        store.probe_disk().await.unwrap();
        assert_eq!(store.drop_abandoned_lives().await.unwrap(), 20);
        assert_eq!(store.lives().lives_of("shop"), [first, polled, now]);
        assert_eq!(
            store.lives().lives_of("given"),
            [given],
            "an account may come back to it"
        );
        assert_eq!(
            store.lives().resolve_access("shop", early),
            None,
            "the first that came is over"
        );
        assert_eq!(
            store.lives().resolve_access("shop", AccessSince::Always),
            store.lives().current_life("shop")
        );
        let kept: i64 = db::query_scalar("SELECT count(*) FROM lives WHERE life > 0")
            .fetch_one(&store.readers)
            .await
            .unwrap();
        assert_eq!(kept, 4);
        assert_eq!(store.drop_abandoned_lives().await.unwrap(), 0);
    }
}
