//! Deletions of what others wrote: WhatsApp is asked whether their sender is an admin, and that question may fail or wait.

use serde_json::json;
use wapi_simulator::GroupRefusal;

use crate::harness::{PATIENCE, shop};

#[tokio::test]
async fn an_admins_deletion_counts_although_whatsapp_was_too_busy_to_name_the_admins() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let group = bob.creates_group("club", &[&alice, &carol]).unwrap();
        let id = carol.sends_text(&group, "spam").await.unwrap();
        app.webhook.next().await;
        bob.next_message(PATIENCE).await.unwrap();
        app.simulator.faults().refuse_group_requests(GroupRefusal {
            request: "query",
            answered: 0,
            refused: 1,
            code: 429,
        });
        bob.deletes_others_message(&group, &id).unwrap();
        let told = app
            .while_seconds_pass(async || {
                let feed = app.get("/v1/events?types=message.deleted").await.json();
                Some(feed["events"][0]["event"]["data"].clone()).filter(|data| !data.is_null())
            })
            .await;
        assert_eq!(
            json!([told["message_id"], told["by"]]),
            json!([id, "admin"])
        );
    })
    .await;
}

#[tokio::test]
async fn a_deletion_that_is_judged_holds_up_neither_messages_nor_the_connection() {
    const ROUNDS: usize = 12;
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let group = bob.creates_group("club", &[&alice, &carol]).unwrap();
        let mut ids = Vec::new();
        for number in 0..ROUNDS {
            let id = carol.sends_text(&group, &format!("spam {number}")).await;
            ids.push(id.unwrap());
            app.webhook.next().await;
            bob.next_message(PATIENCE).await.unwrap();
        }
        // What the session sends waits for the keys of what it has just received.
        for id in &ids {
            bob.sends_text(alice.number(), "hello").await.unwrap();
            bob.deletes_others_message(&group, id).unwrap();
            for number in 0..4 {
                app.accepted(
                    "shop",
                    json!({"to": carol.number(), "text": {"body": number.to_string()}}),
                )
                .await;
            }
            app.webhook.next().await;
        }
        let told = app.events("message.deleted", ROUNDS).await;
        assert!(
            told.iter().all(|event| event["data"]["by"] == "admin"),
            "{told:#?}"
        );
        for _ in 0..4 * ROUNDS {
            carol.next_message(PATIENCE).await.unwrap();
        }
        // A deletion that could not be judged would have come with the next connection.
        let online = app.events("session.status", 1).await;
        let online = online
            .iter()
            .filter(|event| event["data"]["status"] == "online");
        assert_eq!(online.count(), 1);
    })
    .await;
}
