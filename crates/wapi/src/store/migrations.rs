//! Schema migrations: numbered steps, one after the other.

use anyhow::{Result, bail};

use super::lives::splitting;
use crate::store::db::{self, Connection};

/// After this step, data stored by session name is split into lives.
pub(super) const LIVES: &str = include_str!("../../../../migrations/sqlite/0022_lives.sql");

/// The steps, oldest first. A released step is never changed; corrections are new steps.
pub(super) const STEPS: &[&str] = &[
    include_str!("../../../../migrations/sqlite/0001_start.sql"),
    include_str!("../../../../migrations/sqlite/0002_pending.sql"),
    include_str!("../../../../migrations/sqlite/0003_endpoints.sql"),
    include_str!("../../../../migrations/sqlite/0004_messages.sql"),
    include_str!("../../../../migrations/sqlite/0005_api_keys.sql"),
    include_str!("../../../../migrations/sqlite/0006_sessions.sql"),
    include_str!("../../../../migrations/sqlite/0007_payloads.sql"),
    include_str!("../../../../migrations/sqlite/0008_polls.sql"),
    include_str!("../../../../migrations/sqlite/0009_reads.sql"),
    include_str!("../../../../migrations/sqlite/0010_media.sql"),
    include_str!("../../../../migrations/sqlite/0011_identities.sql"),
    include_str!("../../../../migrations/sqlite/0013_timers.sql"),
    include_str!("../../../../migrations/sqlite/0014_selections.sql"),
    include_str!("../../../../migrations/sqlite/0015_documents.sql"),
    include_str!("../../../../migrations/sqlite/0016_past.sql"),
    include_str!("../../../../migrations/sqlite/0017_newsletters.sql"),
    include_str!("../../../../migrations/sqlite/0018_poll_chats.sql"),
    include_str!("../../../../migrations/sqlite/0019_changed.sql"),
    include_str!("../../../../migrations/sqlite/0020_addresses.sql"),
    include_str!("../../../../migrations/sqlite/0021_scopes.sql"),
    LIVES,
    include_str!("../../../../migrations/sqlite/0023_by_life.sql"),
    include_str!("../../../../migrations/sqlite/0024_told.sql"),
    include_str!("../../../../migrations/sqlite/0025_ids.sql"),
    include_str!("../../../../migrations/sqlite/0026_labels.sql"),
    include_str!("../../../../migrations/sqlite/0027_limits.sql"),
    include_str!("../../../../migrations/sqlite/0028_connect_links.sql"),
    include_str!("../../../../migrations/sqlite/0030_logins.sql"),
    include_str!("../../../../migrations/sqlite/0032_proxies.sql"),
    include_str!("../../../../migrations/sqlite/0033_activity_and_logins.sql"),
    include_str!("../../../../migrations/sqlite/0037_media_by_session.sql"),
    include_str!("../../../../migrations/sqlite/0038_attempts.sql"),
    include_str!("../../../../migrations/sqlite/0039_label_actions.sql"),
    include_str!("../../../../migrations/sqlite/0040_changes_of_messages.sql"),
    include_str!("../../../../migrations/sqlite/0041_missing_history.sql"),
    include_str!("../../../../migrations/sqlite/0044_session_changes.sql"),
    include_str!("../../../../migrations/sqlite/0045_cookie_mark.sql"),
    include_str!("../../../../migrations/sqlite/0046_linked_sessions.sql"),
    include_str!("../../../../migrations/sqlite/0047_eventless.sql"),
    include_str!("../../../../migrations/sqlite/0048_open_deliveries.sql"),
    include_str!("../../../../migrations/sqlite/0049_engine.sql"),
    include_str!("../../../../migrations/sqlite/0050_data_keys.sql"),
    include_str!("../../../../migrations/sqlite/0051_history.sql"),
    include_str!("../../../../migrations/sqlite/0052_history_word_parts.sql"),
];

/// Runs the steps that this database lacks. Each is one transaction together with its number.
pub(super) async fn run_migrations(connection: &mut Connection) -> Result<()> {
    run_steps(connection, STEPS).await
}

/// Runs the missing steps of this list.
pub(super) async fn run_steps(connection: &mut Connection, steps: &[&'static str]) -> Result<()> {
    let done: i64 = db::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let done = usize::try_from(done)?;
    if done > steps.len() {
        bail!(
            "a newer wapi wrote it (migration {done}, and this program has {}); use that program, or another data \
             folder",
            steps.len()
        );
    }
    for (number, step) in (1..).zip(steps.iter().copied()).skip(done) {
        let mut transaction = connection.begin().await?;
        transaction.execute(step).await?;
        if step == LIVES {
            splitting::split_lives(&mut transaction).await?;
        }
        // A pragma takes no parameters; the number is not user input.
        transaction
            .execute(format!("PRAGMA user_version = {number}"))
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::LiteFile;

    async fn memory() -> Connection {
        LiteFile::in_memory().connect().await.unwrap()
    }

    #[tokio::test]
    async fn running_again_changes_nothing() {
        let mut connection = memory().await;
        run_migrations(&mut connection).await.unwrap();
        let sql = "INSERT INTO endpoints (id, url, created_at) VALUES ('a', 'b', 1)";
        connection.execute(sql).await.unwrap();
        run_migrations(&mut connection).await.unwrap();
        let kept: i64 = db::query_scalar("SELECT count(*) FROM endpoints")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(kept, 1);
    }

    /// Runs the first `count` steps only, as an older program did.
    async fn run_until(connection: &mut Connection, count: usize) {
        for (number, step) in (1..).zip(&STEPS[..count]) {
            connection.execute(*step).await.unwrap();
            let sql = format!("PRAGMA user_version = {number}");
            connection.execute(sql).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_the_first_program_saved_is_recognised_when_it_comes_again() {
        let mut connection = memory().await;
        run_until(&mut connection, 1).await;
        let sql = "INSERT INTO events (id, session, chat, sender, message_id, type, body, created_at) \
                   VALUES ('evt_1', 'shop', 'ann', 'ann', '3EB0', 'message.received', '{}', 1)";
        connection.execute(sql).await.unwrap();
        run_migrations(&mut connection).await.unwrap();
        let again = "INSERT INTO events (id, session, name, chat, message_chat, sender, message_id, type, body, created_at) \
                     VALUES ('evt_2', 1, 'shop', 'bob', 'ann', 'ann', '3EB0', 'message.received', '{}', 2) ON CONFLICT DO NOTHING";
        assert_eq!(connection.execute(again).await.unwrap().rows_affected(), 0);
    }

    #[tokio::test]
    async fn what_waited_for_the_original_webhook_waits_at_its_sessions_gate() {
        let mut connection = memory().await;
        run_until(&mut connection, 2).await;
        connection.execute(
            "INSERT INTO endpoints (id, url, created_at) VALUES ('original', 'http://a/', 1), ('hook', 'http://b/', 1);
             INSERT INTO events (id, session, chat, type, body, created_at) VALUES ('evt_1', 'shop', 'ann', 'x', '{}', 1);
             INSERT INTO deliveries (event, endpoint, session, chat, attempts, created_at) VALUES (1, 'original', 'shop', 'ann', 2, 1);
             INSERT INTO attempts (delivery, number, error, at) VALUES (1, 1, 'x', 5), (1, 2, 'x', 7);
             INSERT INTO lanes (endpoint, session, chat, aside, head, due_at) VALUES ('original', 'shop', 'ann', 0, 1, 9);
             INSERT INTO lanes (endpoint, session, chat, aside, head, due_at) VALUES ('hook', 'shop', 'ann', 0, 2, 9);",
        ).await.unwrap();
        run_migrations(&mut connection).await.unwrap();
        let gates: Vec<String> = db::query_scalar("SELECT gate FROM lanes ORDER BY head")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(gates, ["original/shop", "hook"]);
        let times: (i64, i64) =
            db::query_as("SELECT first_failed_at, last_failed_at FROM deliveries")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(times, (5, 7));
        let sessions: i64 =
            db::query_scalar("SELECT per_session FROM endpoints WHERE id = 'original'")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(sessions, 1);
    }

    #[tokio::test]
    async fn what_was_there_before_keys_is_there_with_them() {
        let mut connection = memory().await;
        run_until(&mut connection, 4).await;
        let sql = "INSERT INTO endpoints (id, url, created_at) VALUES ('a', 'b', 1)";
        connection.execute(sql).await.unwrap();
        run_migrations(&mut connection).await.unwrap();
        let kept: (i64, i64) = db::query_as(
            "SELECT (SELECT count(*) FROM endpoints), (SELECT count(*) FROM api_keys)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(kept, (1, 0));
    }

    #[tokio::test]
    async fn the_index_of_the_words_becomes_the_part_of_the_places_that_it_has() {
        let mut connection = memory().await;
        run_until(&mut connection, 43).await;
        let sql = "INSERT INTO history_messages (place, chat, id, sender, at) VALUES (-300, 1, 'A', '', 1), (200, 1, 'B', '', 1); \
                   INSERT INTO history_words (rowid, scope, said) VALUES (-300, 's c1', 'former'), (200, 's c1', 'words')";
        connection.execute(sql).await.unwrap();
        run_migrations(&mut connection).await.unwrap();
        let part: (i64, i64, i64) =
            db::query_as("SELECT number, first, last FROM history_word_parts")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(part, (1, -300, 200));
        let found: Vec<i64> = db::query_scalar(
            "SELECT rowid FROM history_words_1 WHERE history_words_1 MATCH 'form*'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert_eq!(found, [-300]);
    }

    #[tokio::test]
    async fn what_sessions_received_before_they_were_noted_is_still_known() {
        let mut connection = memory().await;
        run_until(&mut connection, 5).await;
        let sql = "INSERT INTO events (id, session, chat, message_chat, sender, message_id, type, body, created_at) \
                   VALUES ('evt_1', 'shop', 'ann', 'ann', 'ann', '3EB0', 'message.received', '{}', 7)";
        connection.execute(sql).await.unwrap();
        run_migrations(&mut connection).await.unwrap();
        let noted: i64 = db::query_scalar("SELECT last_at FROM received WHERE session = 1")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(noted, 7);
    }

    #[tokio::test]
    async fn secrets_of_an_earlier_version_begin_with_the_number_of_no_key() {
        let mut connection = memory().await;
        run_until(&mut connection, 41).await;
        connection
            .execute(
                "INSERT INTO pending (session, chat, sender, message_id, message, created_at) VALUES (1, 'a', 'a', '1', x'00ff000a', 1);
                 INSERT INTO payloads (session, chat, id, payload, created_at) VALUES (1, 'a', '1', x'c328', 1), (1, 'a', '2', x'', 1);
                 INSERT INTO polls (session, id, creator, secret, question, options, created_at) VALUES (1, 'p', 'a', x'0001', '?', '[]', 1);",
            )
            .await
            .unwrap();
        run_migrations(&mut connection).await.unwrap();
        let sql = "SELECT message FROM pending UNION ALL SELECT payload FROM payloads UNION ALL SELECT secret FROM polls";
        let values: Vec<Vec<u8>> = db::query_scalar(sql)
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let expected: [&[u8]; 4] = [&[0, 0, 0xff, 0, 0x0a], &[0, 0xc3, 0x28], &[0], &[0, 0, 1]];
        assert_eq!(values, expected);
    }

    #[tokio::test]
    async fn a_database_of_a_newer_program_is_refused() {
        let mut connection = memory().await;
        connection
            .execute("PRAGMA user_version = 99")
            .await
            .unwrap();
        let refusal = run_migrations(&mut connection)
            .await
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("a newer wapi wrote it"), "{refusal}");
    }
}
