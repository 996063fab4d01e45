//! Key changes that wait for a commit of others, while none comes: the store's clock stands still.

use super::*;
use crate::store::tests::writer::StandingClock;
use crate::whatsapp::device_store::key_buffer::KeyWeight;

/// A linked device with a change that nobody waits for.
async fn open_waiting() -> StoreFixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(StandingClock);
    let store = Store::open(&folder.path().join("wapi.db"), clock).await;
    let fixture = link_fixture(store.unwrap(), folder).await;
    fixture.changes("bob.0", KeyWeight::Lossy);
    while !fixture.backend.keys.is_saving() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        fixture.saved_sessions().await,
        [""; 0],
        "it waits for others"
    );
    fixture
}

impl StoreFixture {
    fn changes(&self, name: &str, weight: KeyWeight) {
        let row = values::row(RowKind::Session, name, 0, b"key");
        self.backend.keys.put(vec![row], weight);
    }

    async fn saved_sessions(&self) -> Vec<String> {
        let (rows, life, all) = (self.store.engine_rows(), self.life(), KeyRange::ALL);
        let saved = rows.list(&life, RowKind::Session, &all);
        saved
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.key)
            .collect()
    }
}

async fn at_once<T>(doing: impl Future<Output = T>) -> T {
    Clock::system().timeout(PATIENCE, doing).await.unwrap()
}

#[tokio::test]
async fn a_change_is_saved_with_what_others_save() {
    let fixture = open_waiting().await;
    fixture.store.probe_disk().await.unwrap();
    assert_eq!(fixture.saved_sessions().await, ["bob.0"]);
}

#[tokio::test]
async fn who_waits_for_all_changes_does_not_wait_for_others() {
    let fixture = open_waiting().await;
    at_once(fixture.backend.save_keys()).await.unwrap();
    assert_eq!(fixture.saved_sessions().await, ["bob.0"]);
}

#[tokio::test]
async fn a_frame_does_not_wait_for_others() {
    let fixture = open_waiting().await;
    fixture.changes("ann.0", KeyWeight::Essential);
    at_once(fixture.backend.secure_keys()).await.unwrap();
    assert_eq!(fixture.saved_sessions().await, ["ann.0", "bob.0"]);
}

#[tokio::test]
async fn a_key_that_a_frame_may_rest_on_is_saved_by_itself() {
    let fixture = open_waiting().await;
    fixture.changes("ann.0", KeyWeight::Essential);
    at_once(async {
        while fixture.saved_sessions().await != ["ann.0", "bob.0"] {
            fixture.store.wait_for_commit().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_device_is_saved_while_a_change_waits() {
    let fixture = open_waiting().await;
    at_once(fixture.backend.save_device(&linked_device()))
        .await
        .unwrap();
    assert_eq!(fixture.saved_sessions().await, ["bob.0"]);
}

#[tokio::test]
async fn a_link_ends_while_a_change_waits_and_leaves_nothing_that_comes_later() {
    let fixture = open_waiting().await;
    at_once(fixture.backend.close()).await;
    let (rows, life) = (fixture.store.engine_rows(), fixture.life());
    at_once(rows.close(&life)).await.unwrap();
    fixture.store.probe_disk().await.unwrap();
    assert_eq!(fixture.saved_sessions().await, [""; 0]);
}
