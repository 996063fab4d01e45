//! Guarantees of the device store: what is saved together, what a start finds, and the answers that
//! the engine expects.

mod calls;
mod conformance;
mod converting;
mod deferred;
mod sealed;

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use whatsapp_rust::wacore::store::traits::{DeviceStore, ProtocolStore, SignalStore};

use crate::store::tests::refuse_engine_rows;
use crate::store::{KeyRange, Life, PendingPlace};
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::device_store::*;

struct StoreFixture {
    backend: EngineStore,
    opened: Arc<DecryptedBuffer>,
    store: Store,
    _folder: TempDir,
}

/// Opens the session's device, as a start of the program would.
async fn open(folder: &Path, store: &Store) -> EngineStore {
    try_open("shop", folder, store).await.unwrap()
}

async fn try_open(name: &str, folder: &Path, store: &Store) -> Result<EngineStore> {
    let life = store.device_life(name);
    let opened = Arc::new(DecryptedBuffer::new(life.clone(), store.clone()));
    let file = folder.join(name).with_extension("session");
    let (time, tasks) = (Clock::system(), Lifecycle::new());
    EngineStore::open(life, &file, opened, store.clone(), time, &tasks).await
}

async fn open_store(folder: &Path) -> Store {
    Store::open(&folder.join("wapi.db"), Clock::system())
        .await
        .unwrap()
}

async fn open_fixture() -> StoreFixture {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    link_fixture(store, folder).await
}

async fn link_fixture(store: Store, folder: TempDir) -> StoreFixture {
    let backend = open(folder.path(), &store).await;
    let opened = Arc::clone(&backend.decrypted);
    backend.save_device(&linked_device()).await.unwrap();
    StoreFixture {
        backend,
        opened,
        store,
        _folder: folder,
    }
}

fn linked_device() -> Device {
    let mut device = Device::new();
    device.pn = Some("375447034810:5@s.whatsapp.net".parse().unwrap());
    device
}

const BOB: &str = "1:2@lid";
/// Time for what nothing holds up.
const PATIENCE: Duration = Duration::from_secs(20);

fn message_key(id: &str) -> MessageKey {
    MessageKey {
        chat: BOB.to_owned(),
        sender: BOB.to_owned(),
        id: id.to_owned(),
    }
}

impl StoreFixture {
    fn life(&self) -> Life {
        self.store.device_life("shop").current_life()
    }

    async fn opens(&self, id: &str) {
        self.backend
            .store_pending_inbound(BOB, BOB, id, id.as_bytes())
            .await
            .unwrap();
    }

    async fn moves_the_key_on(&self) -> Result<()> {
        self.backend.put_session("bob.0", b"key").await?;
        self.backend.save_keys().await
    }

    async fn on_disk(&self) -> Vec<String> {
        let pending = self
            .store
            .inbound()
            .find_pending_before(jiff::Timestamp::MAX, PendingPlace::START, 10)
            .await
            .unwrap();
        let pending = pending.messages.into_iter();
        pending.map(|pending| pending.key.id).collect()
    }
}

#[tokio::test]
async fn a_key_is_not_written_before_what_it_opened_is_safe() {
    let session = open_fixture().await;
    session.opens("1").await;
    assert_eq!(
        session.on_disk().await,
        [""; 0],
        "nobody needs it there yet"
    );
    session.moves_the_key_on().await.unwrap();
    assert_eq!(session.on_disk().await, ["1"]);
    session
        .opened
        .hand_over(vec![message_key("1")])
        .confirm_saved();
    session
        .backend
        .delete_pending_inbound(BOB, BOB, "1")
        .await
        .unwrap();
    assert_eq!(session.on_disk().await, [""; 0]);
}

#[tokio::test]
async fn a_message_that_became_an_event_was_never_written_twice() {
    let session = open_fixture().await;
    session.opens("1").await;
    session
        .opened
        .hand_over(vec![message_key("1")])
        .confirm_saved();
    session.moves_the_key_on().await.unwrap();
    session
        .backend
        .delete_pending_inbound(BOB, BOB, "1")
        .await
        .unwrap();
    assert_eq!(session.on_disk().await, [""; 0]);
    assert_eq!(
        session
            .backend
            .get_pending_inbound(BOB, BOB, "1")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_key_waits_for_the_inbox_and_saves_what_the_inbox_refuses() {
    let session = open_fixture().await;
    session.opens("1").await;
    let handover = session.opened.hand_over(vec![message_key("1")]);
    let moving = session.moves_the_key_on();
    tokio::pin!(moving);
    assert!(futures_util::poll!(&mut moving).is_pending());
    drop(handover);
    moving.await.unwrap();
    assert_eq!(session.on_disk().await, ["1"]);
    assert_eq!(
        session
            .backend
            .get_pending_inbound(BOB, BOB, "1")
            .await
            .unwrap(),
        Some(b"1".to_vec())
    );
}

#[tokio::test]
async fn a_message_that_the_engine_is_done_with_while_it_is_saved_does_not_stay() {
    let session = open_fixture().await;
    session.opens("1").await;
    let unsaved = session.opened.collect_unsaved().await;
    let done = session.backend.delete_pending_inbound(BOB, BOB, "1");
    done.await.unwrap();
    session
        .backend
        .rows
        .write_keys(Vec::new(), unsaved, None)
        .await
        .unwrap();
    assert_eq!(session.on_disk().await, ["1"]);
    session.opened.confirm_pending(vec![message_key("1")]).await;
    assert_eq!(session.on_disk().await, [""; 0]);
    // Or a moment later.
    session.opens("2").await;
    session.moves_the_key_on().await.unwrap();
    let done = session.backend.delete_pending_inbound(BOB, BOB, "2");
    done.await.unwrap();
    assert_eq!(session.on_disk().await, [""; 0]);
}

#[tokio::test]
async fn keys_wait_for_what_they_have_opened_and_not_for_what_comes_after() {
    let session = open_fixture().await;
    session.opens("1").await;
    let first = session.opened.hand_over(vec![message_key("1")]);
    let moving = session.moves_the_key_on();
    tokio::pin!(moving);
    assert!(futures_util::poll!(&mut moving).is_pending());
    session.opens("2").await;
    let _second = session.opened.hand_over(vec![message_key("2")]);
    first.confirm_saved();
    let moved = Clock::system().timeout(PATIENCE, moving).await;
    moved.expect("it waits for the second").unwrap();
    assert_eq!(session.on_disk().await, [""; 0]);
}

#[tokio::test]
async fn a_deleted_key_is_gone_at_once_and_after_a_failure_nothing_is_promised() {
    let session = open_fixture().await;
    session.moves_the_key_on().await.unwrap();
    session.backend.delete_session("bob.0").await.unwrap();
    let rows = &session.backend.rows;
    assert_eq!(rows.find(RowKind::Session, "bob.0").await.unwrap(), None);
    refuse_engine_rows(session._folder.path()).await;
    session.moves_the_key_on().await.unwrap_err();
    let putting = session.backend.put_session("bob.0", b"key").await;
    putting.unwrap_err();
    crate::store::tests::accept_engine_rows(session._folder.path()).await;
    session.backend.put_session("bob.0", b"key").await.unwrap();
}

#[tokio::test]
async fn a_copy_of_a_session_under_another_name_is_refused() {
    let session = open_fixture().await;
    let folder = session._folder.path();
    let copy = folder.join("copy.session");
    std::fs::copy(folder.join("shop.session"), &copy).unwrap();
    let opened = try_open("copy", folder, &session.store).await;
    let refused = opened.err().expect("it is refused").to_string();
    assert!(
        refused.contains("a copy of that of session shop"),
        "{refused}"
    );
    // A file that was only renamed is the session's.
    std::fs::remove_file(folder.join("shop.session")).unwrap();
    let renamed = try_open("copy", folder, &session.store).await.unwrap();
    assert!(renamed.exists().await.unwrap());
}

#[tokio::test]
async fn what_the_file_has_and_the_row_has_not_is_kept() {
    let session = open_fixture().await;
    let folder = session._folder.path();
    let mut device = session.backend.load().await.unwrap().unwrap();
    device.next_pre_key_id = 77;
    session.backend.save_device(&device).await.unwrap();
    device.signed_pre_key_id += 7;
    refuse_engine_rows(folder).await;
    session.backend.save_device(&device).await.unwrap_err();
    crate::store::tests::accept_engine_rows(folder).await;
    let again = open(folder, &session.store).await;
    let saved = again.load().await.unwrap().unwrap();
    assert_eq!(saved.signed_pre_key_id, device.signed_pre_key_id);
    assert_eq!(saved.next_pre_key_id, 77);
}

#[tokio::test]
async fn a_key_stays_where_it_was_while_nothing_can_be_saved() {
    let session = open_fixture().await;
    refuse_engine_rows(session._folder.path()).await;
    session.opens("1").await;
    session.moves_the_key_on().await.unwrap_err();
    let written = session.backend.rows.find(RowKind::Session, "bob.0").await;
    assert_eq!(written.unwrap(), None);
    session.backend.secure_keys().await.unwrap_err();
    assert_eq!(
        session
            .backend
            .get_pending_inbound(BOB, BOB, "1")
            .await
            .unwrap(),
        Some(b"1".to_vec())
    );
}

#[tokio::test]
async fn a_device_that_no_phone_has_linked_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path()).await;
    let backend = open(folder.path(), &store).await;
    backend.create().await.unwrap();
    backend.put_session("bob.0", b"key").await.unwrap();
    let session = backend.get_session("bob.0").await.unwrap();
    assert_eq!(session.as_deref(), Some(&b"key"[..]));
    assert!(!folder.path().join("shop.session").exists());
    let again = open(folder.path(), &store).await;
    assert!(!again.exists().await.unwrap());
    assert_eq!(again.get_session("bob.0").await.unwrap(), None);
}

#[tokio::test]
async fn file_and_rows_are_one_device() {
    let session = open_fixture().await;
    session.moves_the_key_on().await.unwrap();
    let device = session.backend.load().await.unwrap().unwrap();
    let again = open(session._folder.path(), &session.store).await;
    assert!(again.get_session("bob.0").await.unwrap().is_some());
    let same = again.load().await.unwrap().unwrap();
    assert!(credentials::is_same_device(&device, &same));
    assert_eq!(same.next_pre_key_id, device.next_pre_key_id);
}

#[tokio::test]
async fn without_its_file_a_device_is_gone_and_so_are_its_rows() {
    let session = open_fixture().await;
    session.moves_the_key_on().await.unwrap();
    let folder = session._folder.path();
    std::fs::remove_file(folder.join("shop.session")).unwrap();
    let again = open(folder, &session.store).await;
    assert!(!again.exists().await.unwrap());
    assert_eq!(again.get_session("bob.0").await.unwrap(), None);
    // Nor do they come back with the next phone.
    let life = session.backend.session.linked_life().unwrap();
    let rows = session.store.engine_rows();
    let device = rows.find(&life, RowKind::Device, DEVICE_KEY).await;
    assert_eq!(device.unwrap(), None);
}

#[tokio::test]
async fn a_file_without_its_rows_logs_in_with_new_keys() {
    let session = open_fixture().await;
    session.moves_the_key_on().await.unwrap();
    let former = session.backend.load().await.unwrap().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("shop.session");
    std::fs::copy(session._folder.path().join("shop.session"), &copy).unwrap();
    // The first id that the lost rows may have given to a key.
    let mut lost = former.next_pre_key_id;
    for _ in 0..2 {
        let store = open_store(elsewhere.path()).await;
        // Somebody else has the life of that number here, and rows.
        let other = store.lives().ensure_life("other");
        let changes = vec![values::put(RowKind::Session, "bob.0", *b"\0other")];
        let rows = store.engine_rows();
        rows.write(&other, changes, Vec::new()).await.unwrap();
        let backend = open(elsewhere.path(), &store).await;
        let device = backend.load().await.unwrap().unwrap();
        assert!(credentials::is_same_device(&device, &former));
        assert_eq!(backend.get_session("bob.0").await.unwrap(), None);
        let next = device.next_pre_key_id;
        assert!(
            !(lost..lost + 1_000_000).contains(&next),
            "{next} after {lost}"
        );
        assert!((1..=0xff_ffff - 1_000_000).contains(&next), "{next}");
        assert_eq!(device.first_unupload_pre_key_id, device.next_pre_key_id);
        assert!(!device.server_has_prekeys);
        assert!(
            rows.find(&other, RowKind::Session, "bob.0")
                .await
                .unwrap()
                .is_some()
        );
        lost = next;
        backend.put_session("bob.0", b"new").await.unwrap();
        backend.save_keys().await.unwrap();
        let again = open(elsewhere.path(), &store).await;
        assert!(
            again.get_session("bob.0").await.unwrap().is_some(),
            "they are its own"
        );
        store.close().await;
        for part in ["wapi.db", "wapi.db-wal", "wapi.db-shm"] {
            let _ = std::fs::remove_file(elsewhere.path().join(part));
        }
    }
}

#[tokio::test]
async fn the_file_of_another_device_of_the_account_does_not_get_the_rows() {
    let session = open_fixture().await;
    let folder = session._folder.path();
    let kept = folder.join("kept");
    std::fs::copy(folder.join("shop.session"), &kept).unwrap();
    let mut other = Device::new();
    other.pn = Some("375447034810:6@s.whatsapp.net".parse().unwrap());
    session.backend.save_device(&other).await.unwrap();
    session.moves_the_key_on().await.unwrap();
    std::fs::copy(&kept, folder.join("shop.session")).unwrap();
    let again = open(folder, &session.store).await;
    let device = again.load().await.unwrap().unwrap();
    assert!(!credentials::is_same_device(&device, &other));
    assert_eq!(again.get_session("bob.0").await.unwrap(), None);
}

#[tokio::test]
async fn the_file_is_written_when_credentials_change_and_not_for_less() {
    let session = open_fixture().await;
    let file = session._folder.path().join("shop.session");
    let mut device = session.backend.load().await.unwrap().unwrap();
    let first = std::fs::read(&file).unwrap();
    device.push_name = "Ann".to_owned();
    (device.login_counter, device.next_pre_key_id) = (7, 700);
    session.backend.save_device(&device).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), first);
    device.signed_pre_key_id += 1;
    session.backend.save_device(&device).await.unwrap();
    assert_ne!(std::fs::read(&file).unwrap(), first);
    let again = open(session._folder.path(), &session.store).await;
    let saved = again.load().await.unwrap().unwrap();
    assert_eq!((saved.push_name.as_str(), saved.login_counter), ("Ann", 7));
}

#[tokio::test]
async fn what_the_engine_does_after_the_end_of_its_link_is_not_saved() {
    let session = open_fixture().await;
    let folder = session._folder.path();
    let mut device = session.backend.load().await.unwrap().unwrap();
    session.backend.close().await;
    std::fs::remove_file(folder.join("shop.session")).unwrap();
    device.signed_pre_key_id += 1;
    session.backend.save_device(&device).await.unwrap_err();
    session.moves_the_key_on().await.unwrap_err();
    let again = open(folder, &session.store).await;
    assert!(!again.exists().await.unwrap(), "it is back");
}

#[tokio::test]
async fn what_is_being_saved_at_the_end_of_a_link_does_not_come_after_it() {
    for _ in 0..20 {
        let session = open_fixture().await;
        let (backend, folder) = (&session.backend, session._folder.path());
        let mut device = backend.load().await.unwrap().unwrap();
        device.signed_pre_key_id += 1;
        let ending = async {
            backend.close().await;
            std::fs::remove_file(folder.join("shop.session")).unwrap();
        };
        let (_, ()) = tokio::join!(backend.save_device(&device), ending);
        let left = std::fs::read_dir(folder).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = left.filter(|name| name.starts_with("shop")).collect();
        assert_eq!(left, [""; 0], "it is back");
    }
}

#[tokio::test]
async fn the_note_of_a_proxy_outlives_the_database() {
    let session = open_fixture().await;
    session.backend.note_own_proxy(true).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("shop.session");
    std::fs::copy(session._folder.path().join("shop.session"), &copy).unwrap();
    let store = open_store(elsewhere.path()).await;
    assert!(open(elsewhere.path(), &store).await.has_own_proxy());
    let backend = open(elsewhere.path(), &store).await;
    backend.note_own_proxy(false).await.unwrap();
    assert!(!open(elsewhere.path(), &store).await.has_own_proxy());
}
