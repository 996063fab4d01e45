//! A device whose rows and file are sealed.

use super::*;
use crate::store::session_file::{SessionFile, inspect_file, reseal_file};
use crate::system::master_key::{MasterKey, MasterKeys, SealPolicy};

/// A key of the device.
const SECRET: &str = "0the-key-of-bob0";
/// What a device has in the session's file.
const FIELD: &str = "\"registration_id\"";

pub(super) fn master_keys(seed: u8, old: Option<u8>) -> MasterKeys {
    MasterKeys {
        current: MasterKey::from_bytes([seed; 32]),
        old: old.map(|seed| MasterKey::from_bytes([seed; 32])),
        policy: SealPolicy::Keys,
    }
}

async fn open_sealed(folder: &Path, keys: Option<&MasterKeys>) -> Store {
    let file = folder.join("wapi.db");
    Store::open_sealed(&file, keys, Clock::system())
        .await
        .unwrap()
}

/// Links a device, and uses it.
async fn link(folder: &Path, store: &Store) -> Device {
    let backend = open(folder, store).await;
    let mut device = Device::new();
    device.pn = Some("375447034810:5@s.whatsapp.net".parse().unwrap());
    backend.save_device(&device).await.unwrap();
    backend
        .put_session("bob.0", SECRET.as_bytes())
        .await
        .unwrap();
    backend.save_keys().await.unwrap();
    device
}

/// Returns the files of the folder that have something of the device in them.
fn plain_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let has = |text: &str| {
            let mut parts = content.windows(text.len());
            parts.any(|part| part == text.as_bytes())
        };
        if has(SECRET) || has(FIELD) {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn nothing_of_a_device_is_plain_in_any_file() {
    for (keys, plain) in [
        (None, &["shop.session", "wapi.db"][..]),
        (Some(master_keys(1, None)), &[]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open_sealed(folder.path(), keys.as_ref()).await;
        let device = link(folder.path(), &store).await;
        let again = open(folder.path(), &store).await;
        let same = again.load().await.unwrap().unwrap();
        assert!(credentials::is_same_device(&device, &same));
        let session = again.get_session("bob.0").await.unwrap();
        assert_eq!(session.as_deref(), Some(SECRET.as_bytes()));
        store.close().await;
        assert_eq!(plain_files(folder.path()), plain);
    }
}

#[tokio::test]
async fn a_sealed_file_logs_in_elsewhere_with_its_master_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let keys = master_keys(1, None);
    let store = open_sealed(folder.path(), Some(&keys)).await;
    let device = link(folder.path(), &store).await;
    for (other, problem) in [
        (Some(keys), None),
        (Some(master_keys(2, Some(1))), None),
        (
            Some(master_keys(2, None)),
            Some("sealed with another master key; set WAPI_MASTER_KEY_OLD"),
        ),
        (None, Some("there is none; set WAPI_MASTER_KEY")),
    ] {
        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join("shop.session");
        std::fs::copy(folder.path().join("shop.session"), &copy).unwrap();
        let store = open_sealed(elsewhere.path(), other.as_ref()).await;
        let found = inspect_file(&copy, store.sealer()).await;
        match problem {
            None => {
                assert_eq!(found, SessionFile::Paired);
                let backend = open(elsewhere.path(), &store).await;
                let same = backend.load().await.unwrap().unwrap();
                assert!(credentials::is_same_device(&device, &same));
            }
            Some(problem) => {
                let SessionFile::Unusable(told) = found else {
                    panic!("{found:?}");
                };
                assert!(told.contains(problem), "{told}");
                let left = std::fs::read(&copy).unwrap();
                assert_eq!(
                    left,
                    std::fs::read(folder.path().join("shop.session")).unwrap()
                );
            }
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_file_follows_the_master_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.session");
    let store = open_sealed(folder.path(), None).await;
    let device = link(folder.path(), &store).await;
    store.close().await;
    let unsealing = MasterKeys {
        policy: SealPolicy::Unseal,
        ..master_keys(2, None)
    };
    let all = &["shop.session", "wapi.db"][..];
    for (keys, plain) in [
        (Some(master_keys(1, None)), &[][..]),
        (Some(master_keys(2, Some(1))), &[]),
        (Some(master_keys(2, None)), &[]),
        (Some(unsealing), all),
        (None, all),
    ] {
        let store = open_sealed(folder.path(), keys.as_ref()).await;
        reseal_file(&file, store.sealer()).await.unwrap();
        let again = reseal_file(&file, store.sealer()).await;
        assert_eq!(again, Ok(false), "once is enough");
        store.finish_sealing(0).await.unwrap();
        let backend = open(folder.path(), &store).await;
        let same = backend.load().await.unwrap().unwrap();
        assert!(credentials::is_same_device(&device, &same));
        let session = backend.get_session("bob.0").await.unwrap();
        assert_eq!(session.as_deref(), Some(SECRET.as_bytes()));
        store.close().await;
        assert_eq!(plain_files(folder.path()), plain);
    }
}

#[tokio::test]
async fn a_sealed_file_with_another_head_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.session");
    let store = open_sealed(folder.path(), Some(&master_keys(1, None))).await;
    link(folder.path(), &store).await;
    let content = std::fs::read(&file).unwrap();
    let old = b"\"own_proxy\":false";
    let at = content
        .windows(old.len())
        .position(|part| part == old)
        .unwrap();
    let mut changed = content[..at].to_vec();
    changed.extend(b"\"own_proxy\":true");
    changed.extend(&content[at + old.len()..]);
    std::fs::write(&file, changed).unwrap();
    let found = inspect_file(&file, store.sealer()).await;
    assert!(matches!(found, SessionFile::Unusable(_)), "{found:?}");
}
