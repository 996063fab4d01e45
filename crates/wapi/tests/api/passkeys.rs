//! Linking with a passkey, which WhatsApp asks some accounts for.

use serde_json::{Value, json};
use wapi::system::clock::Clock;
use wapi_simulator::{AssertionPlace, LinkedDevice, PairingError, Passkey, Phone};

use crate::harness::{Setup, TestClient, eventually, gateway};

const PASSKEY: &str = "/v1/sessions/shop/passkey";
const CONFIRM: &str = "/v1/sessions/shop/passkey/confirm";

/// Registers the session and lets a phone scan its code while `story` takes the steps of the
/// passkey.
async fn scan_during(
    app: &TestClient,
    alice: &Phone,
    story: impl AsyncFnOnce(),
) -> Result<LinkedDevice, PairingError> {
    app.register("shop").await.expect(202);
    let qr = app.qr("shop").await;
    tokio::join!(alice.scans_qr(&qr), story()).0
}

/// Waits for a step of the passkey, and returns what the gateway shows of it.
async fn until_step(app: &TestClient, step: &str) -> Value {
    let shown = async || Some(app.get(PASSKEY).await.json()).filter(|it| it["step"] == step);
    eventually(shown, async || {
        format!("not {step}: {}", app.get(PASSKEY).await.json())
    })
    .await
}

/// Answers with the passkey, and confirms the code that the phone shows.
async fn take_all_steps(app: &TestClient, alice: &Phone, passkey: &Passkey) {
    let asked = until_step(app, "assertion").await;
    let assertion = passkey.signs(&asked["options"]).unwrap();
    app.post(PASSKEY, json!({"assertion": assertion}))
        .await
        .expect(202);
    let code = alice.sees_passkey_code().await;
    let shown = until_step(app, "confirmation").await;
    assert_eq!(shown["code"], code);
    app.post(CONFIRM, json!({})).await.expect(202);
}

#[tokio::test]
async fn a_session_is_linked_by_qr_and_passkey() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        let device = scan_during(app, &alice, async || {
            take_all_steps(app, &alice, &passkey).await;
        });
        assert_eq!(device.await.unwrap().device, 1);
        app.until("shop", "online").await;
        assert_eq!(
            app.get(PASSKEY).await.expect(404).code(),
            "passkey_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_is_linked_by_code_and_passkey() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        let pairing = json!({"method": "code", "phone": alice.number()});
        let made = app
            .post("/v1/sessions", json!({"id": "shop", "pairing": pairing}))
            .await
            .expect(201)
            .json();
        let code = made["pairing_code"].as_str().unwrap();
        let (device, ()) = tokio::join!(
            alice.enters_code(code),
            take_all_steps(app, &alice, &passkey)
        );
        device.unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn each_step_of_a_passkey_is_an_event() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        scan_during(app, &alice, async || {
            take_all_steps(app, &alice, &passkey).await;
        })
        .await
        .unwrap();
        let told = app.events("session.passkey", 4).await;
        let told: Vec<_> = told.iter().map(|event| &event["data"]).collect();
        let steps: Vec<_> = told.iter().map(|data| &data["step"]).collect();
        assert_eq!(steps, ["assertion", "checking", "confirmation", "linking"]);
        assert_eq!(told[0]["options"]["rpId"], "whatsapp.com");
        assert_eq!(told[0]["code"], Value::Null);
        assert_eq!(told[2]["code"].as_str().unwrap().len(), 9);
        let status = app
            .told("the request", |event| event["status"] == "passkey")
            .await;
        assert_eq!(
            status.last().unwrap()["reason"],
            "WhatsApp asks for a passkey of the account"
        );
    })
    .await;
}

#[tokio::test]
async fn a_request_for_a_passkey_is_for_admins_only() {
    let key = "secret-key-of-the-shop-0001";
    let story = Setup::new().set("WAPI_API_KEY", key).gateway(async |app| {
        let owner = app.with_key(key);
        let made = json!({"name": "r", "scopes": ["read"]});
        let made = owner.post("/v1/api-keys", made).await.expect(201).json();
        let reader = app.with_key(made["key"].as_str().unwrap());
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        scan_during(&owner, &alice, async || {
            take_all_steps(&owner, &alice, &passkey).await;
        })
        .await
        .unwrap();
        assert_eq!(owner.events("session.passkey", 4).await.len(), 4);
        let hidden = reader.get("/v1/events?types=session.passkey").await;
        assert_eq!(hidden.expect(200).json()["events"], json!([]));
        assert_eq!(
            reader.get(PASSKEY).await.expect(403).code(),
            "scope_missing"
        );
    });
    story.await;
}

/// Posts an assertion that is wrong in one way; the field that is named.
async fn wrong_field(app: &TestClient, assertion: Value) -> String {
    let answer = app.post(PASSKEY, json!({"assertion": assertion})).await;
    assert_eq!(answer.code(), "invalid_fields");
    let fields = answer.expect(400).fields();
    assert_eq!(fields.len(), 1, "{fields:?}");
    fields[0].clone()
}

#[tokio::test]
async fn a_wrong_assertion_is_refused_with_its_field_and_the_right_one_still_links() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        scan_during(app, &alice, async || {
            let options = until_step(app, "assertion").await["options"].clone();
            let right = passkey.signs(&options).unwrap();
            let with = |pointer: &str, value: Value| {
                let mut assertion = right.clone();
                *assertion.pointer_mut(pointer).unwrap() = value;
                assertion
            };
            let in_place = |place| passkey.signs_in(&options, place).unwrap();
            let place = AssertionPlace::default;
            let mut other_options = options.clone();
            other_options["challenge"] = json!("AAAA");
            let stranger = {
                let bob = app.phone("Bob");
                bob.creates_passkey().unwrap().signs(&options).unwrap()
            };
            for (assertion, field) in [
                (json!(null), "assertion"),
                (json!("text"), "assertion"),
                (with("/type", json!("password")), "assertion.type"),
                (with("/rawId", json!("AAAA")), "assertion.rawId"),
                (with("/response", json!(null)), "assertion.response"),
                (
                    with("/response/signature", json!("not base64url")),
                    "assertion.response.signature",
                ),
                (stranger, "assertion.id"),
                (
                    passkey.signs(&other_options).unwrap(),
                    "assertion.response.clientDataJSON",
                ),
                (
                    in_place(AssertionPlace {
                        origin: "https://example.com",
                        ..place()
                    }),
                    "assertion.response.clientDataJSON",
                ),
                (
                    in_place(AssertionPlace {
                        relying_party: "example.com",
                        ..place()
                    }),
                    "assertion.response.authenticatorData",
                ),
                (
                    in_place(AssertionPlace {
                        user_present: false,
                        ..place()
                    }),
                    "assertion.response.authenticatorData",
                ),
                (
                    in_place(AssertionPlace {
                        user_verified: false,
                        ..place()
                    }),
                    "assertion.response.authenticatorData",
                ),
            ] {
                assert_eq!(
                    wrong_field(app, assertion.clone()).await,
                    field,
                    "{assertion}"
                );
            }
            take_all_steps(app, &alice, &passkey).await;
        })
        .await
        .unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_step_that_is_not_due_is_a_conflict() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        let conflict = async |path: &str, body: Value| {
            let answer = app.post(path, body).await.expect(409);
            assert_eq!(answer.code(), "passkey_step");
        };
        let any = passkey.signs(&json!({"challenge": "AAAA"})).unwrap();
        let any = json!({"assertion": any});
        app.register("shop").await.expect(202);
        conflict(PASSKEY, any.clone()).await;
        conflict(CONFIRM, json!({})).await;
        scan_during(app, &alice, async || {
            let options = until_step(app, "assertion").await["options"].clone();
            conflict(CONFIRM, json!({})).await;
            let assertion = json!({"assertion": passkey.signs(&options).unwrap()});
            // Two at once: one is taken.
            let (first, second) = tokio::join!(
                app.post(PASSKEY, assertion.clone()),
                app.post(PASSKEY, assertion.clone())
            );
            let mut statuses = [first.status, second.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [202, 409]);
            until_step(app, "confirmation").await;
            conflict(PASSKEY, assertion).await;
            app.post(CONFIRM, json!({})).await.expect(202);
        })
        .await
        .unwrap();
        app.until("shop", "online").await;
        let paired = app.post(PASSKEY, any).await.expect(409);
        assert_eq!(paired.code(), "session_already_paired");
        assert_eq!(
            app.post(CONFIRM, json!({})).await.expect(409).code(),
            "session_already_paired"
        );
    })
    .await;
}

#[tokio::test]
async fn a_passkey_that_whatsapp_refuses_is_told_and_the_session_can_be_linked_again() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        let refused = scan_during(app, &alice, async || {
            let options = until_step(app, "assertion").await["options"].clone();
            let mut assertion = passkey.signs(&options).unwrap();
            let again = passkey.signs(&options).unwrap();
            let broken = again["response"]["signature"].as_str().unwrap();
            assertion["response"]["signature"] = json!(broken.replacen("ME", "MF", 1));
            let answer = app.post(PASSKEY, json!({"assertion": assertion})).await;
            assert_eq!(answer.code(), "passkey_refused");
            let detail = answer.expect(502).json()["detail"].to_string();
            assert!(detail.contains("403"), "{detail}");
        });
        let error = refused.await.unwrap_err();
        assert!(matches!(error, PairingError::Passkey(_)), "{error}");
        let told = app
            .told("the refusal", |event| {
                event["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.contains("403"))
            })
            .await;
        let reason = told.last().unwrap()["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("not linked with the passkey: WhatsApp refused"),
            "{reason}"
        );
        scan_during(app, &alice, async || {
            take_all_steps(app, &alice, &passkey).await;
        })
        .await
        .unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_passkey_that_takes_too_long_ends_the_link_and_no_code_replaces_it_before() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        alice.creates_passkey().unwrap();
        let lost = scan_during(app, &alice, async || {
            let asked = until_step(app, "assertion").await;
            assert_eq!(
                app.get("/v1/sessions/shop/qr?wait=60")
                    .await
                    .expect(404)
                    .code(),
                "qr_code_not_found"
            );
            let expires: jiff::Timestamp = asked["expires_at"].as_str().unwrap().parse().unwrap();
            let left = expires.duration_since(Clock::system().now()).as_secs();
            assert!((140..=160).contains(&left), "{left}");
            let over = app
                .while_time_passes(async || {
                    let events = app.session_events().await;
                    events.into_iter().find(|event| {
                        event["reason"] == "not linked with the passkey: it took too long"
                    })
                })
                .await;
            assert_eq!(over["status"], "scan_qr");
        })
        .await;
        assert_eq!(lost.unwrap_err(), PairingError::ClientGone);
        let codes = app.session_events().await;
        let codes = codes.iter().filter(|event| event["type"] == "session.qr");
        assert_eq!(codes.count(), 1);
        app.qr("shop").await;
    })
    .await;
}
