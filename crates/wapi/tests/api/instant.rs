//! One message after the other: what a lone sender waits for is counted, in round trips to WhatsApp and in commits.

use wapi::system::clock::Clock;

use crate::harness::{Setup, TestApp};

const PATIENCE: std::time::Duration = crate::harness::PATIENCE;
const SENDS: usize = 50;

/// What the gateway has committed so far.
async fn commits(app: &TestApp) -> usize {
    let metrics = app.get("/metrics").await.expect(200).body;
    let metrics = String::from_utf8(metrics).unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("wapi_commit_seconds_count "));
    line.expect("how many commits there were").parse().unwrap()
}

#[tokio::test]
async fn each_of_many_sends_in_a_row_costs_one_round_trip_and_shares_no_wait_with_nobody() {
    Setup::new()
        .over_a_breakable_line()
        .shop(async |app, _, bob| {
            // Whom it goes to, with which devices and which keys, is asked before the first one.
            app.send("shop", &bob.jid(), "0").await.expect(200);
            bob.next_message(PATIENCE).await.unwrap();
            let (round_trips, before) = (app.line().round_trips(), commits(app).await);
            let clock = Clock::system();
            let began = clock.uptime();
            for number in 1..=SENDS {
                app.send("shop", &bob.jid(), &number.to_string())
                    .await
                    .expect(200);
            }
            // WhatsApp's ack for each, and the recipient's receipt, which may come apart from it.
            let (round_trips, commits) = (
                app.line().round_trips() - round_trips,
                commits(app).await - before,
            );
            assert!(
                (SENDS..=2 * SENDS + 5).contains(&round_trips),
                "{round_trips} round trips for {SENDS} sends"
            );
            // Keys that only move on are saved four times a second, however few messages there are, and so is
            // the history.
            let quarters = usize::try_from((clock.uptime() - began).as_millis() / 250).unwrap();
            let others = 2 * (1 + quarters);
            // Accepted; what became of it; and the receipt.
            assert!(
                (2 * SENDS..=3 * SENDS + 5 + others).contains(&commits),
                "{commits} commits for {SENDS} sends"
            );
            for number in 1..=SENDS {
                let message = bob.next_message(PATIENCE).await.unwrap();
                assert_eq!(message.text, Some(number.to_string()));
            }
        })
        .await;
}
