//! What goes to very many: what its first message needs holds up nobody else.

use serde_json::{Value, json};
use wapi::system::clock::Clock;
use wapi_simulator::{Addressing, Phone};

use crate::harness::{PATIENCE, TestApp};

/// More than WhatsApp is asked for the keys of at a time.
const MANY: usize = 60;

/// A session, somebody it has written to, and many it has not.
async fn session_with_many() -> (TestApp, Phone, Phone, Vec<Phone>) {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.send("shop", bob.number(), "hi").await.expect(200);
    let many = (0..MANY)
        .map(|number| app.phone(&format!("Member {number}")))
        .collect();
    (app, alice, bob, many)
}

/// Sends a message to many whose keys WhatsApp does not tell yet, and others to somebody else meanwhile.
async fn holds_up_nobody(app: &TestApp, message: Value, bob: &Phone, many: &[Phone]) {
    let faults = app.simulator.faults();
    faults.withhold_keys(true);
    let accepted = app
        .post("/v1/sessions/shop/messages?wait=0", message)
        .await
        .expect(202)
        .json();
    let id = accepted["messages"][0]["id"].as_str().unwrap();
    Clock::system()
        .timeout(PATIENCE, faults.wait_for_key_request())
        .await
        .expect("nobody has asked for keys");
    for _ in 0..3 {
        app.send("shop", bob.number(), "meanwhile")
            .await
            .expect(200);
    }
    assert_eq!(
        app.message("shop", id).await["status"],
        "queued",
        "it is still being made ready"
    );
    faults.withhold_keys(false);
    for phone in many {
        assert_eq!(phone.next_message(PATIENCE).await.unwrap().id, id);
        assert!(phone.failures().is_empty());
    }
}

#[tokio::test]
async fn the_first_message_to_a_large_group_holds_up_no_other_chat() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, alice, bob, many) = session_with_many().await;
        let group = alice
            .creates_group_addressed("club", &many.iter().collect::<Vec<_>>(), addressing)
            .unwrap();
        holds_up_nobody(
            &app,
            json!({"to": group, "text": {"body": "hi"}}),
            &bob,
            &many,
        )
        .await;
        app.finish().await;
    }
}

#[tokio::test]
async fn the_first_status_to_many_holds_up_no_chat() {
    let (app, _alice, bob, many) = session_with_many().await;
    let audience: Vec<_> = many.iter().map(|phone| phone.number().to_owned()).collect();
    let status = json!({"to": "status", "recipients": audience, "text": {"body": "hi"}});
    holds_up_nobody(&app, status, &bob, &many).await;
    app.finish().await;
}
