//! What a start does with a key that was given, changed, or taken away.

use super::*;
use crate::store::DisabledReason;
use crate::store::db::{self, LiteFile};
use crate::store::migrations::{STEPS, run_steps};

const IS_COMPLETE: &str = "SELECT is_complete FROM master_key";

#[tokio::test]
async fn a_master_key_seals_what_was_saved_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    save_secrets(&store).await;
    store.close().await;
    let store = open(&folder, Some(&keys(1, None))).await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0], "at once");
    find_secrets(&store).await;
    store.close().await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0]);
}

#[tokio::test]
async fn sealing_that_was_interrupted_goes_on_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    save_secrets(&store).await;
    let changes = (0..1_201).map(|at| put(&at.to_string())).collect();
    let rows = store.engine_rows();
    rows.write(&shop(), changes, Vec::new()).await.unwrap();
    store.close().await;
    // In the last of three transactions.
    let obstacle = "CREATE TRIGGER obstacle BEFORE UPDATE ON engine WHEN new.key = '999' \
                    BEGIN SELECT raise(ABORT, 'interrupted'); END";
    execute(&folder, obstacle).await;
    let told = refusal(&folder, Some(&keys(1, None))).await;
    assert!(told.contains("interrupted"), "{told}");
    let plain = "SELECT count(*) FROM engine WHERE substr(value, 1, 1) = x'00'";
    assert_eq!(count(&folder, plain).await, 203);
    assert_eq!(count(&folder, IS_COMPLETE).await, 0);
    let told = refusal(&folder, None).await;
    assert!(told.contains("WAPI_MASTER_KEY is not set"), "{told}");
    execute(&folder, "DROP TRIGGER obstacle").await;
    let store = open(&folder, Some(&keys(1, None))).await;
    let rows = store.engine_rows();
    let all = rows.list(&shop(), RowKind::Session, &KeyRange::ALL).await;
    assert_eq!(all.unwrap().len(), 1_203);
    let fewer = KeyRange {
        from: String::new(),
        to: Some("a".to_owned()),
    };
    let fewer = vec![RowChange::DeleteRange(RowKind::Session, fewer)];
    rows.write(&shop(), fewer, Vec::new()).await.unwrap();
    find_secrets(&store).await;
    store.close().await;
    assert_eq!(count(&folder, plain).await, 0);
    assert_eq!(count(&folder, IS_COMPLETE).await, 1);
    // So many rows divide pages, whose gaps keep traces until then.
    execute(&folder, "VACUUM").await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0]);
}

#[tokio::test]
async fn many_free_pages_are_given_back() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder, None).await.close().await;
    let many = "CREATE TABLE many AS WITH RECURSIVE n(n) AS \
                (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 700) SELECT zeroblob(4000) FROM n";
    execute(&folder, many).await;
    execute(&folder, "DROP TABLE many").await;
    let free = "PRAGMA freelist_count";
    assert!(count(&folder, free).await >= 700);
    open(&folder, Some(&keys(1, None))).await.close().await;
    assert_eq!(count(&folder, free).await, 0);
    assert_eq!(count(&folder, IS_COMPLETE).await, 1);
}

#[tokio::test]
async fn more_rows_than_fit_into_one_transaction_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    store.lives().ensure_life("shop");
    let changes = (0..1_201).map(|at| put(&at.to_string())).collect();
    let rows = store.engine_rows();
    rows.write(&shop(), changes, Vec::new()).await.unwrap();
    store.close().await;
    let store = open(&folder, Some(&keys(1, None))).await;
    let rows = store.engine_rows();
    let all = rows.list(&shop(), RowKind::Session, &KeyRange::ALL).await;
    assert_eq!(all.unwrap().len(), 1_201);
    store.close().await;
    let plain = "SELECT count(*) FROM engine WHERE substr(value, 1, 1) = x'00'";
    assert_eq!(count(&folder, plain).await, 0);
}

#[tokio::test]
async fn a_sealed_database_without_its_key_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.close().await;
    // A refusal comes before steps of a newer version.
    execute(&folder, "PRAGMA user_version = 1").await;
    let content = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        // A refused connection may still be closing: its log is empty, and its index says nothing.
        let files = files.filter(|path| path.extension().is_some_and(|end| end != "db-shm"));
        let content = |path: std::path::PathBuf| (std::fs::read(&path).unwrap_or_default(), path);
        let written = files
            .map(content)
            .filter(|(content, _)| !content.is_empty());
        let mut all: Vec<_> = written.collect();
        all.sort();
        all
    };
    let before = content();
    for (keys, problem) in [
        (None, "WAPI_MASTER_KEY is not set"),
        (Some(keys(2, None)), "WAPI_MASTER_KEY is not the master key"),
        (
            Some(keys(2, Some(3))),
            "neither WAPI_MASTER_KEY nor WAPI_MASTER_KEY_OLD",
        ),
        (Some(unsealing(2)), "WAPI_MASTER_KEY is not the master key"),
    ] {
        let told = refusal(&folder, keys.as_ref()).await;
        assert!(told.contains(problem), "{told}");
        assert!(content() == before, "it was written to: {problem}");
    }
    // The steps of the newer version would have been taken.
    let told = refusal(&folder, Some(&keys(1, None))).await;
    assert!(!told.contains("WAPI_MASTER_KEY"), "{told}");
}

#[tokio::test]
async fn another_master_key_takes_the_place_of_the_former_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.close().await;
    // Twice, as the setting may stay for a while.
    for _ in 0..2 {
        let store = open(&folder, Some(&keys(2, Some(1)))).await;
        find_secrets(&store).await;
        store.close().await;
    }
    let told = refusal(&folder, Some(&keys(1, None))).await;
    assert!(told.contains("WAPI_MASTER_KEY is not"), "{told}");
    let store = open(&folder, Some(&keys(2, None))).await;
    find_secrets(&store).await;
    store.close().await;
}

#[tokio::test]
async fn the_seal_is_taken_off_and_the_key_is_needed_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.close().await;
    // The keys stay while a file of a session may need them.
    let store = open(&folder, Some(&unsealing(1))).await;
    store.finish_sealing(1).await.unwrap();
    store.close().await;
    let told = refusal(&folder, None).await;
    assert!(told.contains("WAPI_MASTER_KEY is not set"), "{told}");
    for _ in 0..2 {
        let store = open(&folder, Some(&unsealing(1))).await;
        find_secrets(&store).await;
        store.finish_sealing(0).await.unwrap();
        find_secrets(&store).await;
        store.close().await;
        assert_eq!(count(&folder, DATA_KEYS).await, 0);
    }
    let store = open(&folder, None).await;
    find_secrets(&store).await;
    store.close().await;
    // And any key seals it again.
    let store = open(&folder, Some(&keys(2, None))).await;
    find_secrets(&store).await;
    store.close().await;
}

/// The statements of the documentation for a key that is lost.
#[tokio::test]
async fn without_its_master_key_a_database_begins_anew_and_keeps_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.close().await;
    let page = include_str!("../../../../../../docs/operations/encryption.md");
    let (_, page) = page.split_once("```sql").unwrap();
    let (statements, _) = page.split_once("```").unwrap();
    let mut connection = connect(&folder).await;
    connection.execute(statements).await.unwrap();
    connection.close().await.unwrap();
    let store = open(&folder, None).await;
    let endpoint = store.webhooks().find_endpoint("whk_1").await.unwrap();
    let endpoint = endpoint.unwrap();
    assert_eq!(endpoint.headers, BTreeMap::new());
    // Nothing is posted without a signature.
    let disabled = endpoint.disabled.unwrap();
    assert_eq!(disabled.reason, DisabledReason::Requested);
    let age = Clock::system().now().duration_since(disabled.since);
    assert!(age.as_secs() < 600, "{age:?}");
    let file = store.media().find_media("med_event").await.unwrap();
    assert_eq!(file.unwrap().source, None);
    store.close().await;
    assert_eq!(count(&folder, "SELECT count(*) FROM events").await, 1);
    let sealed = "SELECT count(*) FROM engine WHERE substr(value, 1, 1) <> x'00'";
    assert_eq!(count(&folder, sealed).await, 0);
}

/// Makes a database of before the step that adds the tables of keys, when values had no number, with so
/// many messages.
async fn make_earlier(folder: &TempDir, messages: u32) {
    let options = LiteFile::new(folder.path().join("wapi.db"))
        .create()
        .with("auto_vacuum", "INCREMENTAL");
    let mut connection = options.connect().await.unwrap();
    let step = STEPS
        .iter()
        .position(|step| step.contains("TABLE data_keys"));
    run_steps(&mut connection, &STEPS[..step.unwrap()])
        .await
        .unwrap();
    let rows = format!(
        "INSERT INTO lives (life, session, from_at, tenure) VALUES (1, 'shop', 0, 1); \
         WITH RECURSIVE ids(id) AS (SELECT 0x3EB0 UNION ALL SELECT id + 1 FROM ids LIMIT {messages}) \
         INSERT INTO pending (session, chat, sender, message_id, message, created_at) \
         SELECT 1, '1@lid', '1:2@lid', printf('%X', id), CAST('{SECRET}' AS BLOB), 0 FROM ids; \
         INSERT INTO payloads (session, chat, id, payload, created_at) \
         VALUES (1, '1@lid', '3EB1', CAST('{SECRET}' AS BLOB), 0); \
         INSERT INTO polls (session, id, creator, secret, question, options, created_at) \
         VALUES (1, 'poll', 'ann', CAST('{SECRET}' AS BLOB), 'What?', '[]', 0);"
    );
    connection.execute(rows).await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(files_with(folder.path(), SECRET), ["wapi.db"]);
}

/// So many messages that the step, which makes each a byte longer, would leave the former ones in free
/// parts of pages.
#[tokio::test]
async fn the_steps_of_the_schema_leave_nothing_plain() {
    let folder = tempfile::tempdir().unwrap();
    make_earlier(&folder, 72).await;
    let store = open(&folder, Some(&keys(1, None))).await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0]);
    let pending = store.inbound().find_pending(&shop(), &message()).await;
    assert_eq!(pending.unwrap().as_deref(), Some(SECRET.as_bytes()));
    store.close().await;
}

/// As the documentation says: SQLite itself leaves parts of pages that it divides.
#[tokio::test]
async fn traces_in_gaps_of_pages_go_with_vacuum() {
    let folder = tempfile::tempdir().unwrap();
    make_earlier(&folder, 200).await;
    let store = open(&folder, Some(&keys(1, None))).await;
    store.close().await;
    execute(&folder, "VACUUM").await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0]);
    let store = open(&folder, Some(&keys(1, None))).await;
    let pending = store.inbound().find_pending(&shop(), &message()).await;
    assert_eq!(pending.unwrap().as_deref(), Some(SECRET.as_bytes()));
    store.close().await;
}

#[tokio::test]
async fn sealing_is_complete_once_its_log_is_empty_and_free_pages_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    store.lives().ensure_life("shop");
    let changes = (0..1_201).map(|at| put(&at.to_string())).collect();
    let rows = store.engine_rows();
    rows.write(&shop(), changes, Vec::new()).await.unwrap();
    let range = KeyRange::starting_with("1");
    let fewer = vec![RowChange::DeleteRange(RowKind::Session, range)];
    rows.write(&shop(), fewer, Vec::new()).await.unwrap();
    store.close().await;
    let free = "PRAGMA freelist_count";
    assert!(count(&folder, free).await > 0);
    let mut reader = connect(&folder).await;
    let mut reading = reader.begin_reading().await.unwrap();
    let seen = db::query_scalar("SELECT count(*) FROM engine");
    let seen: i64 = seen.fetch_one(&mut *reading).await.unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    assert_eq!(count(&folder, IS_COMPLETE).await, 0);
    let all = store.engine_rows();
    let all = all.list(&shop(), RowKind::Session, &KeyRange::ALL).await;
    assert_eq!(all.unwrap().len() as i64, seen, "it serves all the same");
    reading.commit().await.unwrap();
    reader.close().await.unwrap();
    store.close().await;
    let store = open(&folder, Some(&keys(1, None))).await;
    assert_eq!(count(&folder, IS_COMPLETE).await, 1);
    assert_eq!(count(&folder, free).await, 0);
    store.close().await;
}

#[tokio::test]
async fn another_master_key_reads_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.close().await;
    execute(
        &folder,
        "UPDATE engine SET value = x'0007' WHERE key = 'bob'",
    )
    .await;
    let store = open(&folder, Some(&keys(2, Some(1)))).await;
    store.close().await;
    let plain = "SELECT count(*) FROM engine WHERE value = x'0007'";
    assert_eq!(count(&folder, plain).await, 1);
    // Unless the former one had not sealed them all.
    execute(&folder, "UPDATE master_key SET is_complete = 0").await;
    let store = open(&folder, Some(&keys(3, Some(2)))).await;
    store.close().await;
    assert_eq!(count(&folder, plain).await, 0);
}

#[tokio::test]
async fn data_keys_of_another_master_key_are_refused_before_anything_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.close().await;
    execute(&folder, "DELETE FROM master_key").await;
    for _ in 0..2 {
        let told = refusal(&folder, Some(&keys(2, None))).await;
        assert!(told.contains("its data keys were changed"), "{told}");
    }
    let store = open(&folder, Some(&keys(1, None))).await;
    find_secrets(&store).await;
    store.close().await;
}

#[tokio::test]
async fn a_data_key_that_is_deleted_is_in_no_free_part_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    let mut connection = connect(&folder).await;
    let sealed = "SELECT sealed FROM data_keys WHERE session = 1 AND scope = 1";
    let sealed: Vec<u8> = db::query_scalar(sealed)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let has_it = || {
        let content = std::fs::read(folder.path().join("wapi.db")).unwrap();
        content.windows(sealed.len()).any(|part| part == sealed)
    };
    store.close().await;
    assert!(has_it());
    let store = open(&folder, Some(&keys(1, None))).await;
    store.engine_rows().close(&shop()).await.unwrap();
    store.close().await;
    assert!(!has_it());
}
