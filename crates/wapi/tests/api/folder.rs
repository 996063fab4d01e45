//! The data folder: for one program at a time, and for nobody else's eyes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::harness::{Running, Wapi, eventually, free_address, open_to_others, skipped};

/// All that is in a folder, and what it holds.
fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        match entry.is_dir() {
            true => found.extend(contents(&entry)),
            // SQLite writes into its index whenever somebody reads.
            false => found.push((
                entry.clone(),
                fs::read(&entry)
                    .ok()
                    .filter(|_| !entry.ends_with("wapi.db-shm")),
            )),
        }
    }
    found.sort();
    found
}

/// Ends it once it listens for being told so.
async fn ends(mut running: Running) {
    running.logs("listening").await;
    assert!(running.terminate().await.success);
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_second_program_on_one_data_folder_is_refused_before_it_touches_anything() {
    let address = free_address();
    let first = Wapi::new().set("WAPI_INTERNAL_HOST", address);
    let (mut running, client) = first.serves(address).await;
    running.logs("listening").await;
    // Answered once the saved sessions are listed.
    client.get("/v1/sessions").await.expect(200);
    let process = fs::read_to_string(first.data().join("wapi.lock")).unwrap();
    let (process, since) = process.split_once(' ').unwrap();
    // Would be thrown away by whoever starts in this folder.
    for path in ["qr-codes/shop.png", "media/incoming/half"] {
        fs::write(first.data().join(path), "of the first").unwrap();
        fs::set_permissions(first.data().join(path), Permissions::from_mode(0o600)).unwrap();
    }
    let before = contents(&first.data());
    let second = Wapi::new().set(
        "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH",
        first.data().display(),
    );
    let told = second.refusal().await;
    for words in [
        format!("process {process}, since {since}"),
        "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH".to_owned(),
    ] {
        assert!(told.contains(&words), "{words} is not in {told}");
    }
    assert_eq!(contents(&first.data()), before);
    // By another way to the same folder, too.
    let link = second.folder().join("link");
    symlink(first.data(), &link).unwrap();
    let second = second.set("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", link.display());
    assert!(second.refusal().await.contains(process));
    client.get("/health/ready").await.expect(200);
    running.kill().await;

    // Whoever was killed holds nothing.
    let address = free_address();
    let second = second.set("WAPI_INTERNAL_HOST", address);
    let (running, client) = second.serves(address).await;
    client.get("/health/live").await.expect(200);
    ends(running).await;
}

#[tokio::test]
async fn what_others_of_the_machine_could_read_is_made_private_and_named() {
    let address = free_address();
    let wapi = Wapi::new().set("WAPI_INTERNAL_HOST", address);
    let (running, _) = wapi.serves(address).await;
    ends(running).await;
    let data = wapi.data();
    assert!(data.join("wapi.db").exists() && open_to_others(&data).is_empty());
    let (device, copy) = (
        data.join("sessions/removed/20260101T000000.000Z/shop.session"),
        data.join("sessions/shop.txt"),
    );
    fs::create_dir_all(device.parent().unwrap()).unwrap();
    fs::write(&device, "keys of a device").unwrap();
    fs::write(&copy, "keys of a device").unwrap();
    for (path, open) in [
        ("wapi.db", 0o644),
        ("sessions", 0o755),
        ("media/incoming", 0o777),
        ("qr-codes", 0o711),
        ("", 0o755),
    ] {
        fs::set_permissions(data.join(path), Permissions::from_mode(open)).unwrap();
    }
    fs::set_permissions(&device, Permissions::from_mode(0o666)).unwrap();
    let (mut running, _) = wapi.serves(address).await;
    for name in [
        "media",
        "qr-codes",
        "sessions",
        "wapi.db",
        "look into the data folder; now they cannot",
    ] {
        running.logs(name).await;
    }
    assert_eq!(open_to_others(&data), Vec::<std::path::PathBuf>::new());
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&device), 0o600);
    ends(running).await;

    // What is not the gateway's is left as it is, and with it the folder they share.
    let stranger = data.join("notes.txt");
    fs::write(&stranger, "somebody else's").unwrap();
    fs::set_permissions(&stranger, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let (mut running, _) = wapi.serves(address).await;
    running.logs("which has other files too").await;
    assert_eq!(open_to_others(&data), vec![stranger.clone()]);
    assert_eq!(mode(&data), 0o755);
    ends(running).await;
    fs::remove_file(stranger).unwrap();
}

#[tokio::test]
async fn links_and_what_belongs_to_others_are_refused_by_name() {
    let address = free_address();
    let wapi = Wapi::new().set("WAPI_INTERNAL_HOST", address);
    let (running, _) = wapi.serves(address).await;
    ends(running).await;
    let (data, away) = (wapi.data(), wapi.folder().join("away"));
    for path in [
        "wapi.lock",
        "wapi.db",
        "sessions",
        "qr-codes",
        "media",
        "media/incoming",
    ] {
        let path = data.join(path);
        fs::rename(&path, &away).unwrap();
        symlink(&away, &path).unwrap();
        let told = wapi.refusal().await;
        assert!(
            told.contains(&path.display().to_string()),
            "{path:?} is not in {told}"
        );
        fs::remove_file(&path).unwrap();
        fs::rename(&away, &path).unwrap();
    }
    for file in ["sessions/shop.session", "sessions/shop.db"] {
        let link = data.join(file);
        symlink("/etc/hostname", &link).unwrap();
        let refusal = wapi.refusal().await;
        assert!(refusal.contains(&format!("{file} is a link")), "{refusal}");
        fs::remove_file(link).unwrap();
    }
    for path in ["wapi.db", "sessions", "media/incoming"] {
        let path = data.join(path);
        if chown(&path, Some(4_321), None).is_err() {
            return skipped("only root can give files away").unwrap_or_default();
        }
        let told = wapi.refusal().await;
        assert!(
            told.contains(path.to_str().unwrap()) && told.contains("4321"),
            "{path:?}: {told}"
        );
        chown(&path, Some(0), None).unwrap();
    }
    // As a container's root meets a folder of the host.
    chown(&data, Some(4_321), None).unwrap();
    let (mut running, _) = wapi.serves(address).await;
    running
        .logs("the data folder belongs to another user")
        .await;
    ends(running).await;
}

#[tokio::test]
async fn a_data_folder_that_goes_while_it_is_in_use_makes_the_gateway_unready() {
    let address = free_address();
    let wapi = Wapi::new().set("WAPI_INTERNAL_HOST", address);
    let (running, client) = wapi.serves(address).await;
    let answers = async |status: u16| {
        let look = async || {
            Some(client.get("/health/ready").await).filter(|answer| answer.status == status)
        };
        eventually(look, async || format!("it is not {status}")).await
    };
    answers(200).await;
    let away = wapi.folder().join("away");
    fs::rename(wapi.data(), &away).unwrap();
    assert!(
        answers(503).await.json()["detail"]
            .as_str()
            .unwrap()
            .contains("data folder was moved")
    );
    fs::rename(&away, wapi.data()).unwrap();
    answers(200).await;
    ends(running).await;
}
