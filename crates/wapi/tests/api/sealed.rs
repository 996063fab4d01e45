//! A data folder whose keys are sealed with a master key.

use std::path::Path;

use crate::harness::{PATIENCE, Setup, Wapi};

const KEY: &str = "0e2d9a84c7563f1b8ad04e6972c5b13d5f0c6a1e94d7b2388c41e0a95d73f61b";
const NEXT_KEY: &str = "d40f7e163b9c82d5e60a17f4b8293c5ea3d51b7f08c2e6944f1d3b60c58e92a7";
/// In each session file that is plain.
const PLAIN: &str = "\"registration_id\"";

fn is_sealed(root: &Path) -> bool {
    let content = std::fs::read(root.join("sessions/shop.session")).unwrap();
    !content
        .windows(PLAIN.len())
        .any(|part| part == PLAIN.as_bytes())
}

#[tokio::test]
async fn a_session_goes_on_while_its_master_key_is_given_changed_and_taken_away() {
    Setup::new()
        .shop(async |app, alice, bob| {
            if app.has_master_key() {
                app.change_settings(&[("WAPI_ENCRYPT", Some("none"))]).await;
                let without = [("WAPI_MASTER_KEY", None), ("WAPI_ENCRYPT", None)];
                app.change_settings(&without).await;
            }
            assert!(!is_sealed(app.root()));
            for (settings, sealed) in [
                (vec![("WAPI_MASTER_KEY", Some(KEY))], true),
                (
                    vec![
                        ("WAPI_MASTER_KEY", Some(NEXT_KEY)),
                        ("WAPI_MASTER_KEY_OLD", Some(KEY)),
                    ],
                    true,
                ),
                (vec![("WAPI_MASTER_KEY_OLD", None)], true),
                (vec![("WAPI_ENCRYPT", Some("none"))], false),
                (
                    vec![("WAPI_MASTER_KEY", None), ("WAPI_ENCRYPT", None)],
                    false,
                ),
            ] {
                app.change_settings(&settings).await;
                app.until("shop", "online").await;
                assert_eq!(is_sealed(app.root()), sealed, "{settings:?}");
                bob.sends_text(alice.number(), "ask").await.unwrap();
                let post = app.webhook.next().await;
                assert_eq!(post.body["data"]["text"]["body"], "ask");
                app.send("shop", bob.number(), "answer").await.expect(200);
                let message = bob.next_message(PATIENCE).await.unwrap();
                assert_eq!(message.text.as_deref(), Some("answer"));
            }
            assert_eq!(alice.linked_devices().len(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_sealed_folder_is_refused_without_its_key_and_a_command_may_give_it() {
    let address = crate::harness::free_address();
    let wapi = Wapi::new().set("WAPI_INTERNAL_HOST", address);
    let file = wapi.folder().join("key");
    std::fs::write(&file, KEY).unwrap();
    let command = format!("/bin/cat '{}'", file.display());
    let wapi = wapi.set("WAPI_MASTER_KEY_COMMAND", &command);
    let (running, client) = wapi.serves(address).await;
    client.get("/health/live").await.expect(200);
    assert!(running.terminate().await.success);
    let wapi = wapi.unset("WAPI_MASTER_KEY_COMMAND");
    let told = wapi.refusal().await;
    assert!(told.contains("WAPI_MASTER_KEY is not set"), "{told}");
    let wapi = wapi.set("WAPI_MASTER_KEY", NEXT_KEY);
    let told = wapi.refusal().await;
    assert!(told.contains("WAPI_MASTER_KEY is not the master"), "{told}");
    assert!(!told.contains(NEXT_KEY), "{told}");
    let wapi = wapi.unset("WAPI_MASTER_KEY");
    let wapi = wapi.set("WAPI_MASTER_KEY_COMMAND", "/bin/false");
    let told = wapi.refusal().await;
    let problem = "WAPI_MASTER_KEY_COMMAND is a command that has given no key";
    assert!(told.contains(problem), "{told}");
}

#[tokio::test]
async fn the_database_of_an_earlier_version_does_not_stay_beside_its_sealed_session() {
    Setup::new()
        .set("WAPI_MASTER_KEY", KEY)
        .shop(async |app, alice, bob| {
            app.stop_as_earlier("shop").await.start().await;
            app.until("shop", "online").await;
            bob.sends_text(alice.number(), "after").await.unwrap();
            let post = app.webhook.next().await;
            assert_eq!(post.body["data"]["text"]["body"], "after");
            let left = std::fs::read_dir(app.root().join("sessions")).unwrap();
            let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["shop.session"]);
            assert!(is_sealed(app.root()));
        })
        .await;
}

#[tokio::test]
async fn a_key_in_the_setting_of_its_place_is_not_shown() {
    for setting in ["WAPI_MASTER_KEY_FILE", "WAPI_MASTER_KEY_COMMAND"] {
        let wapi = Wapi::new().set(setting, KEY);
        let told = wapi.refusal().await;
        let problem = format!("{setting} is a key itself");
        assert!(told.contains(&problem), "{told}");
        assert!(!told.contains(KEY), "{told}");
    }
}
