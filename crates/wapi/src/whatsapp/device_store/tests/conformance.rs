//! The same calls to the engine's two stores and to ours, in memory and in the table: their answers
//! must be the same, but for what the engine's stores disagree about.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use whatsapp_rust::store::SqliteStore;
use whatsapp_rust::wacore::store::traits::{Backend, DeviceStore, SignalStore};
use whatsapp_rust::wacore::store::{Device, InMemoryBackend};

use super::calls::Call;
use super::sealed::master_keys;
use crate::store::Store;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::system::master_key::MasterKeys;
use crate::whatsapp::device_store::conversion::convert_database;
use crate::whatsapp::device_store::{DecryptedBuffer, EngineStore};

/// The stores that are compared.
struct Stores {
    engine: InMemoryBackend,
    files: SqliteStore,
    unlinked: EngineStore,
    linked: EngineStore,
    store: Store,
    folder: TempDir,
}

impl Stores {
    async fn open() -> Self {
        Self::open_with(None).await
    }

    async fn open_with(keys: Option<&MasterKeys>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wapi.db");
        let store = Store::open_sealed(&path, keys, Clock::system())
            .await
            .unwrap();
        let files = folder.path().join("engine.db");
        let stores = Self {
            engine: InMemoryBackend::new(),
            files: SqliteStore::new(files.to_str().unwrap()).await.unwrap(),
            unlinked: open(&store, &folder, "unlinked").await,
            linked: open(&store, &folder, "linked").await,
            store,
            folder,
        };
        // The engine's files refuse some rows without a device.
        let engines: [&dyn Backend; 3] = [&stores.engine, &stores.files, &stores.unlinked];
        for store in engines {
            store.create().await.unwrap();
        }
        stores.linked.save_device(&linked_device()).await.unwrap();
        stores
    }

    /// Makes calls to all stores, and returns the first whose answers differ.
    async fn compare(&self, calls: &[Call]) -> Result<(), String> {
        for (call, time) in calls.iter().zip(1..) {
            let expected = call.make(&self.files, time).await;
            let unlinked = call.make(&self.unlinked, time).await;
            let linked = call.make(&self.linked, time).await;
            let engine = call.make(&self.engine, time).await;
            let is_right = unlinked == expected
                && linked == expected
                && (engine == expected || call.is_disputed());
            if !is_right {
                return Err(format!(
                    "{call:?}\n  files: {expected}\n  table: {linked}\n  memory: {unlinked}\n  engine: {engine}"
                ));
            }
        }
        Ok(())
    }
}

async fn open(store: &Store, folder: &TempDir, name: &str) -> EngineStore {
    let life = store.device_life(name);
    let decrypted = Arc::new(DecryptedBuffer::new(life.clone(), store.clone()));
    let file = folder.path().join(name).with_extension("session");
    let (clock, tasks) = (Clock::system(), Lifecycle::new());
    EngineStore::open(life, &file, decrypted, store.clone(), clock, &tasks)
        .await
        .unwrap()
}

fn linked_device() -> Device {
    let mut device = Device::new();
    device.pn = Some("375447034810:5@s.whatsapp.net".parse().unwrap());
    device
}

/// The reads at the beginning of the script.
const READS: usize = 29;

/// Every call at least once, with its reads before, between, and after its writes.
fn script() -> Vec<Call> {
    use Call::*;
    let reads = [
        LoadIdentity(0),
        LoadIdentity(1),
        GetSession(0),
        GetSession(1),
        HasStateForUser(0),
        HasStateForUser(2),
        LoadPreKeys(1),
        MaxPreKey,
        LoadSignedPreKeys(1),
        GetSenderKey(0),
        GetSenderKey(1),
        GetSyncKey(1),
        LatestSyncKey,
        GetVersion(0),
        GetVersion(1),
        GetMacs(0, 1),
        GetMacs(1, 1),
        GetSenderKeyDevices(0),
        GetSenderKeyDevices(1),
        GetLidMapping(0),
        GetPnMapping(3),
        GetPnMapping(1),
        AllLidMappings,
        HasSameBaseKey(0, 1, 5),
        GetDevices(0),
        GetGroup(0),
        GetToken(0),
        TokenNames,
        GetSecret(0, 1),
    ];
    let writes: [&[Call]; 7] = [
        &[
            PutIdentity(0, 1),
            PutSession(0, 2),
            StorePreKey(1, 3, false),
            StoreSignedPreKey(1, 4),
            PutSenderKey(0, 5),
            SetSyncKey(1, 6),
            SetVersion(0, 7),
            PutMacs(0, 1, 8),
        ],
        &[
            SetSenderKeyStatus(0, 1, true),
            PutLidMapping(0, 3),
            SaveBaseKey(0, 1, 5),
            UpdateDevices(0, 2),
            PutGroup(0, 3),
            PutToken(0, 4, 5),
            PutSecrets(0, 1, 9, 20),
        ],
        &[
            PutIdentities(0, 1, 9),
            PutSessions(0, 1, 9),
            StorePreKeys(1, 9),
            MarkUploaded(1),
            PutSenderKeys(0, 1, 9),
            SetSyncKey(2, 9),
            SetVersion(1, 9),
            PutMacs(1, 1, 9),
        ],
        &[
            SetSenderKeyStatus(1, 1, false),
            PutLidMapping(0, 1),
            PutLidMapping(4, 1),
            SaveBaseKey(0, 1, 6),
            UpdateDevices(0, 3),
            PutGroup(0, 0),
            ReceiveToken(0, 3),
            TouchToken(0, 2),
            PutSecrets(0, 1, 8, 0),
        ],
        &[
            DeleteIdentity(0),
            DeleteSession(0),
            RemovePreKey(2),
            MarkUploaded(2),
            RemoveSignedPreKey(1),
            DeleteSenderKey(0),
            DeleteMacs(0, 1),
            DeleteSenderKeyDevices(1),
            DeleteBaseKey(0, 1),
        ],
        &[
            ClearMacs(1),
            ClearSenderKeyDevices(0),
            DeleteDevices(0),
            DeleteGroup(0),
            ReceiveToken(0, 200),
            TouchToken(1, 9),
            ExpireTokens(9, 9),
            PutSecrets(1, 1, 1, 4),
            ExpireSecrets(4),
        ],
        &[
            ClearAllSenderKeyDevices,
            DeleteToken(0),
            ExpireTokens(255, 255),
            ExpireSecrets(255),
        ],
    ];
    let mut calls = reads.to_vec();
    for writes in writes {
        calls.extend(writes);
        calls.extend(reads);
    }
    calls
}

#[tokio::test]
async fn a_script_of_all_calls_has_the_same_answers() {
    for keys in [None, Some(master_keys(1, None))] {
        let stores = Stores::open_with(keys.as_ref()).await;
        stores.compare(&script()).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_known_before_linking_is_known_after_it_and_after_a_restart() {
    let stores = Stores::open().await;
    let calls: Vec<_> = script().into_iter().take(50).collect();
    stores.compare(&calls).await.unwrap();
    let mut device = linked_device();
    device.push_name = "Ann".to_owned();
    stores.unlinked.save_device(&device).await.unwrap();
    let reads = script();
    let reads = &reads[..READS];
    stores.compare(reads).await.unwrap();
    stores.unlinked.save_keys().await.unwrap();
    stores.linked.save_keys().await.unwrap();
    let unlinked = open(&stores.store, &stores.folder, "unlinked").await;
    let linked = open(&stores.store, &stores.folder, "linked").await;
    let again = Stores {
        unlinked,
        linked,
        ..stores
    };
    again.compare(reads).await.unwrap();
}

#[tokio::test]
async fn what_an_earlier_version_kept_is_converted_once() {
    let mut stores = Stores::open().await;
    let calls: Vec<_> = script().into_iter().take(100).collect();
    stores.compare(&calls).await.unwrap();
    stores.files.save(&linked_device()).await.unwrap();
    // A name in place of the database of which the comparison knows.
    let life = stores.store.device_life("engine");
    let file = stores.folder.path().join("engine.session");
    for _ in 0..2 {
        let converting = convert_database(&life, &file, &stores.store);
        assert!(converting.await.unwrap());
    }
    stores.linked = open(&stores.store, &stores.folder, "engine").await;
    let reads = script();
    stores.compare(&reads[..READS]).await.unwrap();
    let device = stores.linked.load().await.unwrap().unwrap();
    assert_eq!(device.pn, linked_device().pn);
    assert!(stores.folder.path().join("engine.session").exists());
    stores.linked.put_session("new", b"new").await.unwrap();
    stores.linked.save_keys().await.unwrap();
    let again = open(&stores.store, &stores.folder, "engine").await;
    let session = again.get_session("new").await.unwrap();
    assert_eq!(session.as_deref(), Some(&b"new"[..]));
}

fn any_call() -> impl Strategy<Value = Call> {
    use Call::*;
    let (a, b, id, v, w) = (0..5usize, 0..5usize, 1..5u32, 0..12u8, 0..12u8);
    (0..59u8, a, b, id, v, w).prop_map(|(which, a, b, id, v, w)| match which {
        0 => PutIdentity(a, v),
        1 => PutIdentities(a, b, v),
        2 => LoadIdentity(a),
        3 => DeleteIdentity(a),
        4 => PutSession(a, v),
        5 => PutSessions(a, b, v),
        6 => GetSession(a),
        7 => DeleteSession(a),
        8 => HasStateForUser(a),
        9 => StorePreKey(id, v, w % 2 == 0),
        10 => StorePreKeys(id, v),
        11 => LoadPreKeys(id),
        12 => MarkUploaded(id),
        13 => RemovePreKey(id),
        14 => MaxPreKey,
        15 => StoreSignedPreKey(id, v),
        16 => LoadSignedPreKeys(id),
        17 => RemoveSignedPreKey(id),
        18 => PutSenderKey(a, v),
        19 => PutSenderKeys(a, b, v),
        20 => GetSenderKey(a),
        21 => DeleteSenderKey(a),
        22 => SetSyncKey(v, w),
        23 => GetSyncKey(v),
        24 => LatestSyncKey,
        25 => SetVersion(a, v),
        26 => GetVersion(a),
        27 => PutMacs(a, v % 4, w),
        28 => GetMacs(a, v % 4),
        29 => DeleteMacs(a, v % 4),
        30 => ClearMacs(a),
        31 => SetSenderKeyStatus(a, b, v % 2 == 0),
        32 => GetSenderKeyDevices(a),
        33 => ClearSenderKeyDevices(a),
        34 => DeleteSenderKeyDevices(a),
        35 => ClearAllSenderKeyDevices,
        36 => PutLidMapping(a, b),
        37 => GetLidMapping(a),
        38 => GetPnMapping(a),
        39 => AllLidMappings,
        40 => SaveBaseKey(a, b, v),
        41 => HasSameBaseKey(a, b, v),
        42 => DeleteBaseKey(a, b),
        43 => UpdateDevices(a, v),
        44 => GetDevices(a),
        45 => DeleteDevices(a),
        46 => PutGroup(a, v),
        47 => GetGroup(a),
        48 => DeleteGroup(a),
        49 => PutToken(a, v, w),
        50 => ReceiveToken(a, v),
        51 => TouchToken(a, v),
        52 => GetToken(a),
        53 => DeleteToken(a),
        54 => TokenNames,
        55 => ExpireTokens(v, w),
        56 => PutSecrets(a, b, v, w),
        57 => GetSecret(a, b),
        _ => ExpireSecrets(v),
    })
}

#[test]
fn random_calls_have_the_same_answers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config {
        cases: 8,
        failure_persistence: None,
        ..Config::default()
    };
    let seed = [49; 32];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let calls = proptest::collection::vec(any_call(), 150);
    let outcome = runner.run(&calls, |calls| {
        let compared = runtime.block_on(async { Stores::open().await.compare(&calls).await });
        compared.map_err(TestCaseError::fail)
    });
    outcome.unwrap();
}
