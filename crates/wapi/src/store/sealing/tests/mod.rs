//! Guarantees of sealed databases: nothing of it is plain, it opens with its key alone, and each way
//! between plain, sealed, and sealed otherwise loses nothing.

mod starts;
mod unreadable;

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::model::event::MessageKey;
use crate::store::db::{self, Connection, LiteFile};
use crate::store::tests::{accept_engine_rows, new_event, refuse_engine_rows};
use crate::store::{
    EngineRow, EventFact, KeyRange, Life, MediaFacts, MediaState, NewEndpoint, NewEvent, NewMedia,
    PendingPlace, RowChange, RowKind, SentPayload, Store, StoredPoll,
};
use crate::system::clock::Clock;
use crate::system::master_key::MasterKey;

/// In every value that is to be sealed.
const SECRET: &str = "0the-secret-of-the-aubergine0";

fn key(seed: u8) -> MasterKey {
    MasterKey::from_bytes([seed; 32])
}

/// The settings with a master key, and perhaps a former one.
fn keys(seed: u8, old: Option<u8>) -> MasterKeys {
    MasterKeys {
        current: key(seed),
        old: old.map(key),
        policy: SealPolicy::Keys,
    }
}

fn unsealing(seed: u8) -> MasterKeys {
    MasterKeys {
        policy: SealPolicy::Unseal,
        ..keys(seed, None)
    }
}

async fn try_open(folder: &TempDir, keys: Option<&MasterKeys>) -> anyhow::Result<Store> {
    Store::open_sealed(&folder.path().join("wapi.db"), keys, Clock::system()).await
}

async fn open(folder: &TempDir, keys: Option<&MasterKeys>) -> Store {
    try_open(folder, keys).await.unwrap()
}

async fn refusal(folder: &TempDir, keys: Option<&MasterKeys>) -> String {
    match try_open(folder, keys).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => format!("{error:#}"),
    }
}

fn shop() -> Life {
    Life::for_test(1, "shop")
}

fn message() -> MessageKey {
    MessageKey {
        chat: "1@lid".to_owned(),
        sender: "1:2@lid".to_owned(),
        id: "3EB0".to_owned(),
    }
}

fn put(key: &str) -> RowChange {
    RowChange::Put(EngineRow {
        kind: RowKind::Session,
        key: key.to_owned(),
        extra: 7,
        value: format!("{key} {SECRET}").into_bytes(),
    })
}

fn poll() -> StoredPoll {
    StoredPoll {
        chat: None,
        creator: "ann".to_owned(),
        secret: SECRET.as_bytes().to_vec(),
        question: "What?".to_owned(),
        options: Vec::new(),
        max_selections: 1,
    }
}

fn media(id: &str) -> NewMedia {
    NewMedia {
        id: id.to_owned(),
        session: shop(),
        message: None,
        kind: None,
        facts: MediaFacts::default(),
        source: Some(format!("{{\"key\": \"{SECRET}\"}}")),
        state: MediaState::Waiting,
    }
}

/// Saves a secret in each of the ways that there are.
async fn save_secrets(store: &Store) {
    store.lives().ensure_life("shop");
    let decrypted = vec![(message(), SECRET.as_bytes().to_vec())];
    let changes = vec![put("bob"), put("carol")];
    let rows = store.engine_rows();
    rows.write(&shop(), changes, decrypted).await.unwrap();
    let other = MessageKey {
        id: "other".to_owned(),
        ..message()
    };
    let pending = vec![(other, SECRET.as_bytes().to_vec())];
    let inbound = store.inbound();
    inbound.save_pending(&shop(), pending).await.unwrap();
    let payload = SentPayload {
        session: shop(),
        chat: "1@lid".to_owned(),
        id: "3EB1".to_owned(),
        message: SECRET.as_bytes().to_vec(),
    };
    store.outbox().save_payload(payload).await.unwrap();
    let saved = inbound.save_poll(&shop(), "poll", poll()).await.unwrap();
    assert_eq!(saved, SECRET.as_bytes());
    let reported = NewEvent {
        session: shop(),
        facts: vec![
            EventFact::Media(media("med_event")),
            EventFact::Poll {
                id: "of-event".to_owned(),
                poll: poll(),
            },
        ],
        ..new_event("a", "1")
    };
    store.events().append_events(vec![reported]).await.unwrap();
    let facts = vec![EventFact::Media(media("med_fact"))];
    store.events().save_facts(&shop(), facts).await.unwrap();
    let files = store.media();
    files.add_media(vec![media("med_moved")]).await.unwrap();
    let source = format!("moved {SECRET}");
    files.set_media_source("med_moved", source).await.unwrap();
    let endpoint = NewEndpoint {
        id: "whk_1".to_owned(),
        url: "https://example.com/".to_owned(),
        session: None,
        types: Vec::new(),
        headers: BTreeMap::from([("authorization".to_owned(), SECRET.to_owned())]),
        secret: SECRET.to_owned(),
    };
    let webhooks = store.webhooks();
    webhooks.create_endpoint(endpoint, None).await.unwrap();
    let rotated = webhooks.rotate_secret("whk_1", SECRET, jiff::Timestamp::MAX, None);
    assert!(rotated.await.unwrap());
}

/// Reads all of them back.
async fn find_secrets(store: &Store) {
    let rows = store.engine_rows();
    let found = rows.list(&shop(), RowKind::Session, &KeyRange::ALL).await;
    let found: Vec<_> = found.unwrap().into_iter().map(RowChange::Put).collect();
    assert_eq!(found, [put("bob"), put("carol")]);
    let inbound = store.inbound();
    let pending = inbound.find_pending(&shop(), &message()).await.unwrap();
    assert_eq!(pending.as_deref(), Some(SECRET.as_bytes()));
    let all = inbound.find_pending_before(jiff::Timestamp::MAX, PendingPlace::START, 10);
    let all = all.await.unwrap().messages;
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|one| one.message == SECRET.as_bytes()));
    let payload = store.outbox().find_payload(&shop(), "1@lid", "3EB1").await;
    assert_eq!(payload.unwrap().as_deref(), Some(SECRET.as_bytes()));
    for id in ["poll", "of-event"] {
        let found = inbound.find_poll(&shop(), id).await.unwrap();
        assert_eq!(found, Some(poll()), "{id}");
        let again = StoredPoll {
            secret: b"another".to_vec(),
            ..poll()
        };
        let kept = inbound.save_poll(&shop(), id, again).await.unwrap();
        assert_eq!(kept, SECRET.as_bytes(), "the first one stays");
    }
    for id in ["med_event", "med_fact", "med_moved"] {
        let found = store.media().find_media(id).await.unwrap().unwrap();
        assert!(found.source.unwrap().contains(SECRET), "{id}");
    }
    let endpoint = store.webhooks().find_endpoint("whk_1").await.unwrap();
    assert_eq!(endpoint.unwrap().headers["authorization"], SECRET);
    let secrets = store.webhooks().list_signing_keys("whk_1").await.unwrap();
    assert_eq!(secrets, [(SECRET.to_owned(), None)], "there is one");
}

/// Returns the files of the folder that have a text in them.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let has = |path: &Path| {
        // The log of a connection that is closing may be gone meanwhile.
        let content = std::fs::read(path).unwrap_or_default();
        content
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    let found = files.filter(|file| has(&file.path()));
    found
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

async fn connect(folder: &TempDir) -> Connection {
    let options = LiteFile::new(folder.path().join("wapi.db"));
    options.connect().await.unwrap()
}

async fn execute(folder: &TempDir, sql: &'static str) {
    let mut connection = connect(folder).await;
    db::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn count(folder: &TempDir, sql: &'static str) -> i64 {
    let mut connection = connect(folder).await;
    let query = db::query_scalar(sql);
    query.fetch_one(&mut connection).await.unwrap()
}

/// Returns the data key of the device, as it is stored.
async fn sealed_key(folder: &TempDir) -> Vec<u8> {
    let sql = "SELECT sealed FROM data_keys WHERE session = 1 AND scope = 1";
    let mut connection = connect(folder).await;
    let query = db::query_scalar(sql);
    query.fetch_one(&mut connection).await.unwrap()
}

const DATA_KEYS: &str = "SELECT count(*) FROM data_keys";

#[tokio::test]
async fn secrets_are_read_back_and_are_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0], "while it runs");
    find_secrets(&store).await;
    store.close().await;
    assert_eq!(files_with(folder.path(), SECRET), [""; 0]);
    let store = open(&folder, Some(&keys(1, None))).await;
    find_secrets(&store).await;
    store.close().await;
    // Those of the device and of the rest of its life, and one of the webhooks.
    assert_eq!(count(&folder, DATA_KEYS).await, 3);
}

#[tokio::test]
async fn without_a_master_key_all_is_plain() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, None).await;
    save_secrets(&store).await;
    find_secrets(&store).await;
    store.close().await;
    assert_eq!(files_with(folder.path(), SECRET), ["wapi.db"]);
    assert_eq!(count(&folder, DATA_KEYS).await, 0);
}

#[tokio::test]
async fn a_value_in_the_place_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    let other = store.lives().ensure_life("other");
    let rows = store.engine_rows();
    rows.write(&other, vec![put("bob")], Vec::new())
        .await
        .unwrap();
    for sql in [
        "UPDATE engine SET value = (SELECT value FROM engine WHERE session = 1 AND key = 'carol') \
         WHERE session = 1 AND key = 'bob'",
        "UPDATE engine SET value = (SELECT value FROM engine WHERE session = 2 AND key = 'bob') \
         WHERE session = 1 AND key = 'bob'",
        "UPDATE engine SET value = (SELECT message FROM pending LIMIT 1) WHERE session = 1 AND key = 'bob'",
        "UPDATE engine SET value = substr(value, 1, length(value) - 1) WHERE session = 1 AND key = 'bob'",
        "UPDATE engine SET value = x'07' WHERE session = 1 AND key = 'bob'",
        "UPDATE engine SET value = x'' WHERE session = 1 AND key = 'bob'",
    ] {
        execute(&folder, sql).await;
        let told = rows.find(&shop(), RowKind::Session, "bob").await;
        let told = told.unwrap_err().to_string();
        assert!(told.contains("the table engine cannot be opened"), "{told}");
    }
    let carol = rows.find(&shop(), RowKind::Session, "carol").await;
    assert!(carol.unwrap().is_some(), "the others are as they were");
    store.close().await;
    // Nor may a data key be put in the place of another. The master key is the right one, so all else
    // goes on.
    let swapped = "UPDATE data_keys SET sealed = (SELECT sealed FROM data_keys WHERE session = 2) \
                   WHERE session = 1 AND scope = 1";
    execute(&folder, swapped).await;
    for keys in [keys(1, None), keys(1, None), keys(2, Some(1))] {
        let store = open(&folder, Some(&keys)).await;
        let rows = store.engine_rows();
        let told = rows.find(&shop(), RowKind::Session, "carol").await;
        let told = told.unwrap_err().to_string();
        assert!(told.contains("its data key is gone, or damaged"), "{told}");
        let others = rows.find(&other, RowKind::Session, "bob").await;
        assert!(others.unwrap().is_some());
        let pending = store.inbound().find_pending(&shop(), &message()).await;
        assert!(pending.unwrap().is_some());
        // What is written has another key.
        let again = vec![put("bob")];
        rows.write(&shop(), again, Vec::new()).await.unwrap();
        let bob = rows.find(&shop(), RowKind::Session, "bob").await;
        assert!(bob.unwrap().is_some());
        store.close().await;
        let of_device = "SELECT count(*) FROM data_keys WHERE session = 1 AND scope = 1";
        assert_eq!(count(&folder, of_device).await, 2);
    }
    // Until the device is gone.
    let store = open(&folder, Some(&keys(2, None))).await;
    store.engine_rows().close(&shop()).await.unwrap();
    store.close().await;
    assert_eq!(count(&folder, DATA_KEYS).await, 3);
}

#[tokio::test]
async fn the_keys_of_a_device_go_with_it_and_what_else_its_life_has_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    let first = sealed_key(&folder).await;
    let rows = store.engine_rows();
    rows.close(&shop()).await.unwrap();
    assert_eq!(count(&folder, DATA_KEYS).await, 2);
    // The next device of the account has another one, which a change that fails does not save.
    refuse_engine_rows(folder.path()).await;
    let failing = rows.write(&shop(), vec![put("bob")], Vec::new()).await;
    failing.unwrap_err();
    assert_eq!(count(&folder, DATA_KEYS).await, 2);
    accept_engine_rows(folder.path()).await;
    let changes = vec![put("bob"), put("carol")];
    rows.write(&shop(), changes, Vec::new()).await.unwrap();
    find_secrets(&store).await;
    store.close().await;
    let store = open(&folder, Some(&keys(1, None))).await;
    find_secrets(&store).await;
    // In one transaction, too.
    let rows = store.engine_rows();
    let (life, changes) = (shop(), vec![put("bob"), put("carol")]);
    let writing = rows.write(&life, changes, Vec::new());
    let (closed, written) = tokio::join!(rows.close(&life), writing);
    closed.and(written.map(drop)).unwrap();
    find_secrets(&store).await;
    store.close().await;
    let store = open(&folder, Some(&keys(1, None))).await;
    find_secrets(&store).await;
    store.close().await;
    // The number says nothing: each time it was another key.
    let last: Vec<u8> = sealed_key(&folder).await;
    assert_ne!(first, last);
    assert_eq!(count(&folder, DATA_KEYS).await, 3);
}

#[tokio::test]
async fn a_life_that_is_purged_leaves_no_data_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, Some(&keys(1, None))).await;
    save_secrets(&store).await;
    store.lives().end_life("shop");
    let life = store.lives().find_life(1).unwrap();
    store
        .schedule_purge(std::slice::from_ref(&life))
        .await
        .unwrap();
    store.purge_lives(&[life]).await.unwrap();
    store.close().await;
    let left = "SELECT count(*) FROM data_keys WHERE session = 1";
    assert_eq!(count(&folder, left).await, 0);
}
