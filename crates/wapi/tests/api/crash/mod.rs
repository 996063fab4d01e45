//! The program is killed, or the plug pulled: what WhatsApp was told had arrived reaches the webhook all the same, and in order within its chat.

mod caller;
mod dice;
mod plug;
mod power;
mod receiver;
mod report;
mod storm;

use wapi_simulator::Phone;

use crate::harness::{PATIENCE, Surroundings};
pub use dice::Dice;
use storm::Plan;

async fn nothing_is_queued(phone: &Phone) {
    let empty = |phone: &Phone| (phone.linked_devices()[0].queued == 0).then_some(());
    phone
        .wait_until("WhatsApp was told that everything arrived", PATIENCE, empty)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_taken_over_is_delivered_by_the_next_run() {
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    webhook.answer(500);
    for number in 0..5 {
        bob.sends_text(alice.number(), &number.to_string())
            .await
            .unwrap();
    }
    nothing_is_queued(&alice).await;
    webhook.refusals(1).await;
    running.kill().await;

    webhook.answer(200);
    let (running, _) = wapi.serves(address).await;
    for number in 0..5 {
        let event = webhook.next().await.body;
        assert_eq!(event["data"]["text"]["body"], number.to_string());
    }
    let ended = running.terminate().await;
    assert!(ended.success, "{}", ended.stderr);
    assert_eq!(webhook.leftovers().len(), 0, "each was delivered once");
    simulator.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_kills_and_power_cuts_loses_nothing_repeats_no_send_and_keeps_the_order() {
    let plan = Plan::from_environment();
    println!("{plan:?}; set WAPI_TESTS_SEED to repeat it");
    let report = storm::run(plan).await;
    println!("{report}");
    assert!(report.broken().is_empty(), "{:#?}", report.broken());
    let (incoming, outgoing) = (report.incoming.promised, report.outgoing.promised);
    assert!(
        (report.kills, report.cuts) == (plan.kills, plan.cuts)
            && incoming.min(outgoing) >= plan.messages,
        "there was not enough time"
    );
}
