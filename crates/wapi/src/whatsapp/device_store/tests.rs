use std::sync::Arc;

use tempfile::TempDir;

use crate::whatsapp::device_store::*;

struct StoreFixture {
    backend: EngineStore,
    opened: Arc<DecryptedBuffer>,
    store: Store,
    _folder: TempDir,
}

async fn open_fixture() -> StoreFixture {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let store = Store::open(&path("wapi.db"), Clock::system())
        .await
        .unwrap();
    let opened = Arc::new(DecryptedBuffer::new(
        store.device_life("shop"),
        store.clone(),
    ));
    let (file, time) = (path("shop.db"), Clock::system());
    let backend = EngineStore::open(
        store.device_life("shop"),
        &file,
        Arc::clone(&opened),
        store.clone(),
        time,
    );
    let backend = backend.await.unwrap();
    StoreFixture {
        backend,
        opened,
        store,
        _folder: folder,
    }
}

const BOB: &str = "1:2@lid";

fn message_key(id: &str) -> MessageKey {
    MessageKey {
        chat: BOB.to_owned(),
        sender: BOB.to_owned(),
        id: id.to_owned(),
    }
}

impl StoreFixture {
    async fn opens(&self, id: &str) {
        self.backend
            .store_pending_inbound(BOB, BOB, id, id.as_bytes())
            .await
            .unwrap();
    }

    async fn moves_the_key_on(&self) -> Result<()> {
        self.backend.put_session("bob.0", b"key").await
    }

    async fn on_disk(&self) -> Vec<String> {
        let pending = self
            .store
            .inbound()
            .find_pending_before(jiff::Timestamp::MAX, 10)
            .await
            .unwrap();
        pending.into_iter().map(|pending| pending.key.id).collect()
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
async fn a_key_stays_where_it_was_while_nothing_can_be_saved() {
    let session = open_fixture().await;
    session.store.close().await;
    session.opens("1").await;
    session.moves_the_key_on().await.unwrap_err();
    assert_eq!(session.backend.get_session("bob.0").await.unwrap(), None);
    assert_eq!(
        session
            .backend
            .get_pending_inbound(BOB, BOB, "1")
            .await
            .unwrap(),
        Some(b"1".to_vec())
    );
}
