//! Cache of sent messages for resending: a phone that could not decrypt a message asks for it
//! again.

use jiff::Timestamp;

use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::events::log::MAX_ROWS;
use crate::store::sealing::{SealedPlace, UnreadableRows};
use crate::store::writer::StoreChange;
use crate::store::{Life, OutboxStore, StoreError};

const TABLE: &str = "payloads";

/// A message as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPayload {
    pub session: Life,
    /// The address that the engine uses.
    pub chat: String,
    pub id: String,
    /// WhatsApp's protobuf.
    pub message: Vec<u8>,
}

impl OutboxStore<'_> {
    /// Saves a message as it is sent. Returns before it is on the disk; any write requested after
    /// this is committed after it or with it, so no message is reported as sent that could not be
    /// sent again.
    pub async fn save_payload(self, mut payload: SentPayload) -> Result<(), StoreError> {
        let key = [&*payload.chat, &*payload.id];
        let place = SealedPlace::of_life(TABLE, payload.session.id(), &key);
        payload.message = self.store.sealer.seal(&place, &payload.message)?;
        self.store.writer.save_payload(payload).await
    }

    /// Returns a message as it was sent, if it is still saved and should arrive: not one that was
    /// reported as failed, or deleted in the meantime.
    pub async fn find_payload(
        self,
        session: &Life,
        chat: &str,
        id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = [chat, id];
        let place = SealedPlace::of_life(TABLE, session.id(), &key);
        let (session, chat, id) = (session.clone(), chat.to_owned(), id.to_owned());
        let finding = FindPayload { session, chat, id };
        let stored = self.store.writer.apply_change(finding).await?;
        let mut unreadable = UnreadableRows::new(TABLE);
        let opened = stored.and_then(|stored| {
            let owner = format_args!("life {}", place.life);
            unreadable.keep(owner, self.store.sealer.open(&place, stored))
        });
        unreadable.report();
        Ok(opened)
    }

    /// Deletes a session's messages from before a time; returns the number deleted.
    pub async fn delete_payloads(
        self,
        session: &Life,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        self.store
            .writer
            .apply_change(DeletePayloads {
                session: session.clone(),
                before,
            })
            .await
    }
}

/// Saves messages, which are sealed. One sent again under the same id replaces the earlier one.
pub(in crate::store) async fn insert_payloads(
    connection: &mut Connection,
    payloads: &[&SentPayload],
    now: Timestamp,
) -> Result<(), db::Error> {
    for payloads in payloads.chunks(MAX_ROWS) {
        let sql = "INSERT OR REPLACE INTO payloads (session, chat, id, payload, created_at) ";
        let mut sql = QueryBuilder::new(sql);
        sql.push_values(payloads, |mut row, payload| {
            row.push_bind(payload.session.id())
                .push_bind(&payload.chat)
                .push_bind(&payload.id);
            row.push_bind(&payload.message)
                .push_bind(now.as_millisecond());
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// A query in the order of the writes: its message may not be on the disk yet.
struct FindPayload {
    session: Life,
    chat: String,
    id: String,
}

impl StoreChange for FindPayload {
    /// The message as it is stored.
    type Answer = Option<Vec<u8>>;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut Connection,
        _: Timestamp,
    ) -> Result<Self::Answer, db::Error> {
        // The second condition is that of an index, literally.
        let sql = "SELECT payload FROM payloads WHERE session = $1 AND chat = $2 AND id = $3 \
                   AND NOT EXISTS (SELECT 1 FROM messages WHERE session = $1 AND id = $3 AND status IN ('failed', 'cancelled')) \
                   AND NOT EXISTS (SELECT 1 FROM messages \
                     WHERE session = $1 AND coalesce(json_extract(content, '$.edit.message_id'), \
                                                     json_extract(content, '$.deletion.message_id')) = $3 \
                       AND type IN ('edit', 'deletion') AND type = 'deletion' AND status NOT IN ('failed', 'cancelled'))";
        let query = db::query_scalar(sql)
            .bind(&self.session)
            .bind(&self.chat)
            .bind(&self.id);
        query.fetch_optional(connection).await
    }
}

struct DeletePayloads {
    session: Life,
    before: Timestamp,
}

impl StoreChange for DeletePayloads {
    type Answer = u64;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let sql = "DELETE FROM payloads WHERE session = $1 AND created_at < $2";
        let query = db::query(sql)
            .bind(&self.session)
            .bind(self.before.as_millisecond());
        Ok(query.execute(connection).await?.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use crate::store::outbox::resend_cache::*;
    use crate::store::tests::new_store;

    fn payload(session: &str, id: &str, message: &[u8]) -> SentPayload {
        let session = if session == "shop" {
            Life::for_test(1, "shop")
        } else {
            Life::for_test(2, "bar")
        };
        SentPayload {
            session,
            chat: "1@lid".to_owned(),
            id: id.to_owned(),
            message: message.to_vec(),
        }
    }

    #[tokio::test]
    async fn what_left_is_found_until_it_is_old() {
        let (store, _folder) = new_store().await;
        store
            .outbox()
            .save_payload(payload("shop", "1", b"one"))
            .await
            .unwrap();
        assert_eq!(
            store
                .outbox()
                .find_payload(&Life::for_test(1, "shop"), "1@lid", "1")
                .await
                .unwrap(),
            Some(b"one".to_vec()),
            "at once"
        );
        assert_eq!(
            store
                .outbox()
                .find_payload(&Life::for_test(1, "shop"), "2@lid", "1")
                .await
                .unwrap(),
            None
        );
        store
            .outbox()
            .save_payload(payload("shop", "1", b"again"))
            .await
            .unwrap();
        store
            .outbox()
            .save_payload(payload("bar", "1", b"other"))
            .await
            .unwrap();
        assert_eq!(
            store
                .outbox()
                .find_payload(&Life::for_test(1, "shop"), "1@lid", "1")
                .await
                .unwrap(),
            Some(b"again".to_vec()),
            "the newer one"
        );
        assert_eq!(
            store
                .outbox()
                .delete_payloads(&Life::for_test(1, "shop"), Timestamp::UNIX_EPOCH)
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            store
                .outbox()
                .delete_payloads(&Life::for_test(1, "shop"), Timestamp::MAX)
                .await
                .unwrap(),
            1
        );
        assert_eq!(
            store
                .outbox()
                .find_payload(&Life::for_test(1, "shop"), "1@lid", "1")
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            store
                .outbox()
                .find_payload(&Life::for_test(2, "bar"), "1@lid", "1")
                .await
                .unwrap(),
            Some(b"other".to_vec()),
            "another session's"
        );
    }
}
