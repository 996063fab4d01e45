//! Cleanup of settled messages and old idempotency keys, a few at a time.

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;
use crate::store::{OutboxStore, StoreError};

impl OutboxStore<'_> {
    /// Removes up to `window` idempotency keys older than `keys`, and as many messages settled
    /// before `messages`, with their receipts; returns the number removed. Unsettled messages are
    /// never removed.
    pub async fn remove_old_messages(
        self,
        keys: Timestamp,
        messages: Timestamp,
        window: u16,
    ) -> Result<u64, StoreError> {
        let messages = self.store.events().removable_time(messages).await?;
        self.store
            .writer
            .apply_change(RemoveOldMessages {
                keys,
                messages,
                window,
            })
            .await
    }
}

struct RemoveOldMessages {
    keys: Timestamp,
    messages: Timestamp,
    window: u16,
}

impl StoreChange for RemoveOldMessages {
    type Answer = u64;

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let mut removed = 0;
        for (sql, before) in [
            (
                "DELETE FROM idempotency WHERE rowid IN \
                 (SELECT rowid FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
                self.keys,
            ),
            (
                "DELETE FROM messages WHERE place IN (SELECT place FROM messages \
                 WHERE settled_at IS NOT NULL AND settled_at < $1 ORDER BY settled_at LIMIT $2)",
                self.messages,
            ),
        ] {
            let query = db::query(sql)
                .bind(before.as_millisecond())
                .bind(i64::from(self.window));
            removed += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use jiff::Timestamp;
    use parking_lot::Mutex;

    use crate::model::event::Person;
    use crate::model::message::{ChatId, Message};
    use crate::store::Store;
    use crate::store::db::{self, LiteFile};
    use crate::store::{
        AcceptOutcome, IdempotencyKey, KEY_LIFETIME, Life, MessageOutcome, OutcomeBatch,
        QueuedMessage, Receipt, ReceiptKind, SendIntent, SendOutcome, SendRequest,
    };
    use crate::system::clock::{Clock, TimeSource};

    async fn accept_in(store: &Store, session: Life, key: &str) -> AcceptOutcome {
        let key = IdempotencyKey {
            caller: String::new(),
            session: session.clone(),
            route: "/".to_owned(),
            key: key.to_owned(),
            request: "hash".to_owned(),
        };
        let request = SendRequest {
            session,
            to: ChatId::Phone("375440000001".to_owned()),
            message: Message::from_text("hi".to_owned()),
            send_at: None,
            expires_at: None,
            key: Some(key),
        };
        store
            .outbox()
            .accept_message(Arc::new(request), SendIntent::Recorded)
            .await
            .unwrap()
    }

    async fn accept(store: &Store, key: &str) -> Arc<QueuedMessage> {
        match accept_in(store, Life::for_test(1, "shop"), key).await {
            AcceptOutcome::New(accepted) => accepted,
            outcome => panic!("it is new: {outcome:?}"),
        }
    }

    /// A clock that shows the time it is set to.
    #[derive(Clone)]
    struct SetClock(Arc<Mutex<Timestamp>>);

    impl TimeSource for SetClock {
        fn now(&self) -> Timestamp {
            *self.0.lock()
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            ready(()).boxed()
        }
    }

    #[tokio::test]
    async fn a_key_of_a_former_life_takes_no_younger_key_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let time = SetClock(Arc::new(Mutex::new(
            "2026-01-01T00:00:00Z".parse().unwrap(),
        )));
        let store = Store::open(&folder.path().join("wapi.db"), Clock::new(time.clone()))
            .await
            .unwrap();
        let lives = [1, 2].map(|life| Life::for_test(life, "shop"));
        for (life, at) in [
            (&lives[0], "2026-01-01T00:00:00Z"),
            (&lives[1], "2026-01-01T02:00:00Z"),
        ] {
            *time.0.lock() = at.parse().unwrap();
            let outcome = accept_in(&store, life.clone(), "once").await;
            assert!(matches!(outcome, AcceptOutcome::New(_)));
        }
        *time.0.lock() = "2026-01-02T01:00:00Z".parse().unwrap();
        let keys = *time.0.lock() - KEY_LIFETIME;
        let removed = store.outbox().remove_old_messages(keys, keys, 100).await;
        assert_eq!(removed.unwrap(), 1);
        let [former, current] = lives;
        let again = accept_in(&store, current, "once").await;
        assert!(matches!(again, AcceptOutcome::Repeated(_)), "{again:?}");
        let expired = accept_in(&store, former, "once").await;
        assert!(matches!(expired, AcceptOutcome::New(_)), "{expired:?}");
    }

    #[tokio::test]
    async fn what_is_settled_goes_with_its_receipts_and_what_is_open_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        let (sent, open) = (accept(&store, "1").await, accept(&store, "2").await);
        let now = Clock::system().now();
        let outcome = MessageOutcome {
            message: Arc::clone(&sent),
            outcome: SendOutcome::Sent { at: now },
            voter: None,
        };
        let receipt = Receipt {
            session: Life::for_test(1, "shop"),
            id: sent.id.clone(),
            from: Person::default(),
            is_one_of_many: false,
            kind: ReceiptKind::Read,
            at: now,
        };
        let outcomes = OutcomeBatch {
            outcomes: vec![outcome],
            receipts: vec![receipt],
        };
        // Recording it twice makes no difference.
        for _ in 0..2 {
            store
                .outbox()
                .record_outcomes(outcomes.clone())
                .await
                .unwrap();
        }
        let found = store
            .outbox()
            .find_sent_message(&Life::for_test(1, "shop"), &sent.id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.status.as_str(), found.recipients.len()), ("sent", 1));
        assert_eq!(
            store
                .outbox()
                .remove_old_messages(Timestamp::MIN, now, 100)
                .await
                .unwrap(),
            0,
            "it is too young"
        );
        let later = now + jiff::SignedDuration::from_hours(1);
        let removed = store
            .outbox()
            .remove_old_messages(Timestamp::MIN, later, 100)
            .await;
        assert_eq!(removed.unwrap(), 1);
        assert_eq!(
            store
                .outbox()
                .find_sent_message(&Life::for_test(1, "shop"), &sent.id)
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            store
                .outbox()
                .unsettled_messages(&Life::for_test(1, "shop"))
                .await
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            store
                .outbox()
                .find_sent_message(&Life::for_test(1, "shop"), &open.id)
                .await
                .unwrap()
                .unwrap()
                .status,
            "queued"
        );
        store.outbox().mark_unconfirmed().await.unwrap();
        assert_eq!(
            store
                .outbox()
                .find_sent_message(&Life::for_test(1, "shop"), &open.id)
                .await
                .unwrap()
                .unwrap()
                .status,
            "unknown"
        );
    }

    #[tokio::test]
    async fn settled_messages_and_old_keys_go_and_what_is_to_be_sent_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wapi.db");
        let store = Store::open(&file, Clock::system()).await.unwrap();
        let mut connection = LiteFile::new(&file).connect().await.unwrap();
        for sql in [
            "INSERT INTO messages (session, id, chat, type, content, accepted_at, settled_at) \
             VALUES (1, 'old', 'ann', 'text', '{}', 1, 1), (1, 'young', 'ann', 'text', '{}', 1, 1000), \
                    (1, 'waits', 'ann', 'text', '{}', 1, NULL)",
            "INSERT INTO idempotency (caller, session, route, key, request, message, created_at) \
             VALUES ('', 1, '', 'of an old one', '', 1, 1000), ('', 1, '', 'old', '', 2, 1), ('', 1, '', 'young', '', 2, 1000)",
        ] {
            db::query(sql).execute(&mut connection).await.unwrap();
        }
        let middle = Timestamp::from_millisecond(500).unwrap();
        assert_eq!(
            store
                .outbox()
                .remove_old_messages(middle, middle, 10)
                .await
                .unwrap(),
            2
        );
        assert_eq!(
            store
                .outbox()
                .remove_old_messages(middle, middle, 10)
                .await
                .unwrap(),
            0
        );
        let left = async |sql| {
            db::query_scalar::<String>(sql)
                .fetch_all(&store.background)
                .await
                .unwrap()
        };
        assert_eq!(
            left("SELECT id FROM messages ORDER BY place").await,
            ["young", "waits"]
        );
        assert_eq!(left("SELECT key FROM idempotency").await, ["young"]);
    }
}
