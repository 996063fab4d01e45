//! Connections are checked on the wire, and sessions that do not answer are dialled again.

use crate::harness::{PATIENCE, Setup};

#[tokio::test]
async fn a_session_that_stopped_answering_is_dialled_again_and_recovers() {
    let app = Setup::new()
        .set("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", 200)
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .start()
        .await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    app.simulator.faults().freeze(alice.number(), device, true).unwrap();
    let unconfirmed = app.send("shop", bob.number(), "into the void").await;
    assert!([409, 504].contains(&unconfirmed.status), "{unconfirmed:?}");
    app.simulator.faults().freeze(alice.number(), device, false).unwrap();
    crate::harness::eventually(
        async || (app.send("shop", bob.number(), "hello again").await.status == 200).then_some(()),
        async || format!("it did not recover: {}", app.info("shop").await.json()),
    )
    .await;
    loop {
        let message = bob.next_message(PATIENCE).await.unwrap();
        if message.text.as_deref() == Some("hello again") {
            break;
        }
    }
    app.finish().await;
}
