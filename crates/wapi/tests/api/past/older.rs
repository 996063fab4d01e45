//! Older messages that are asked of the phone when the past is there already.

use serde_json::json;
use wapi_simulator::{Author, HistoryMessage};

use super::{SHOP, bodies, look, now, pair_with_history, past, until_history};
use crate::harness::{eventually, gateway, shop};

#[tokio::test]
async fn older_messages_are_asked_of_the_phone_and_never_told_as_new() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        alice.remembers_chat(bob.number(), past(3)).unwrap();
        pair_with_history(app, &alice).await;
        until_history(app, "complete").await;
        // Too old for the phone to have sent it by itself.
        let older = |index: u64| {
            let (id, text) = (format!("OLDER{index}"), format!("older {index}"));
            HistoryMessage::new_text(&id, Author::Them, now() - 5_000 + index, &text)
        };
        alice
            .remembers_chat(bob.number(), (0..5).map(older).collect())
            .unwrap();

        let route = format!("{SHOP}/chats/{}/history", bob.number());
        app.post(&route, json!({"count": 2})).await.expect(202);
        let messages = format!("/chats/{}/messages", bob.number());
        let listed = async || {
            let bodies = bodies(&look(app, &messages).await);
            (bodies.len() == 5).then_some(bodies)
        };
        let listed = eventually(listed, async || look(app, &messages).await.to_string()).await;
        assert_eq!(listed, ["n2", "n1", "n0", "older 4", "older 3"]);
        app.post(&route, json!({})).await.expect(202);
        let all = async || (bodies(&look(app, &messages).await).len() == 8).then_some(());
        eventually(all, async || look(app, &messages).await.to_string()).await;
        let told = app
            .get("/v1/events?types=message.received,message.echo")
            .await;
        assert_eq!(told.expect(200).json()["events"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn older_messages_are_asked_for_only_where_they_can_come() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        let route = format!("{SHOP}/chats/{}/history", bob.number());
        let refused = app.post(&route, json!({})).await.expect(409);
        assert_eq!(refused.code(), "history_not_requested");
        for body in [
            json!({"count": 0}),
            json!({"count": 501}),
            json!({"number": 5}),
        ] {
            app.post(&route, body).await.expect(400);
        }
    })
    .await;
}
