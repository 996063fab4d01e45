//! Connections are checked on the wire, and sessions that do not answer are dialled again.

use crate::harness::{PATIENCE, Setup, Wapi, free_address};

#[tokio::test]
async fn a_session_that_stopped_answering_is_dialled_again_and_recovers() {
    let app = Setup::new()
        .set("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", 200)
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .start()
        .await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    app.simulator.faults().freeze(alice.number(), device).unwrap();
    let unconfirmed = app.send("shop", bob.number(), "into the void").await;
    assert!([409, 504].contains(&unconfirmed.status), "{unconfirmed:?}");
    app.simulator.faults().thaw(alice.number(), device).unwrap();
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

#[tokio::test]
async fn an_outage_is_reported_three_times_and_its_end_once() {
    let simulator = wapi_simulator::Simulator::start(Default::default()).await.unwrap();
    let alice = simulator.phone("Alice").unwrap();
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", 50)
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 1)
        .set("WAPI_LOG", "debug");
    let (mut running, client) = wapi.serves(address).await;
    let device = client.pair("shop", &alice).await;
    running.logs("the session answers").await;
    simulator.faults().freeze(alice.number(), device).unwrap();
    for report in 1..=3 {
        let line = running.logs("the session does not answer").await;
        assert!(line.contains(&format!("report={report}")) && line.contains("ERROR"), "{line}");
    }
    // Two more checks that fail are not worth a word above debug.
    for _ in 0..2 {
        running.logs("the session still does not answer").await;
    }
    simulator.faults().thaw(alice.number(), device).unwrap();
    running.logs("the session is responding again").await;
    running.logs("the session answers").await;
    running.kill().await;
    simulator.finish().await.unwrap();
}
