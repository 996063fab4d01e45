//! People whom an account blocks.

use serde_json::{Value, json};
use wapi_simulator::Addressing::Lid;

use crate::harness::{PATIENCE, TestApp, shop};

fn block(whom: &str) -> String {
    format!("/v1/sessions/shop/contacts/{whom}/block")
}

async fn blocked(app: &TestApp) -> Vec<Value> {
    let list = app
        .get("/v1/sessions/shop/blocked")
        .await
        .expect(200)
        .json();
    list["contacts"].as_array().unwrap().clone()
}

#[tokio::test]
async fn nothing_comes_in_from_somebody_who_is_blocked_until_they_are_let_through_again() {
    shop(async |app, alice, bob| {
        assert_eq!(blocked(app).await, Vec::<Value>::new());
        let person =
            json!({"id": bob.jid(), "phone": bob.number(), "lid": bob.lid(), "name": null});
        for whom in [bob.number().to_owned(), bob.lid()] {
            app.put(&block(&whom), json!({})).await.expect(204);
            app.put(&block(&whom), json!({})).await.expect(204);
            assert_eq!(alice.blocked_numbers(), [bob.number()], "{whom}");
            assert_eq!(blocked(app).await, std::slice::from_ref(&person));
            bob.sends_text(alice.number(), "do you hear me?")
                .await
                .unwrap();
            app.delete(&block(&whom)).await.expect(204);
            assert_eq!(alice.blocked_numbers(), Vec::<String>::new());
            bob.sends_text(alice.number(), &whom).await.unwrap();
            assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], whom);
            assert_eq!(
                alice.next_message(PATIENCE).await.unwrap().text.as_deref(),
                Some(&*whom)
            );
        }
        alice.blocks_contact(bob.number(), true).unwrap();
        assert_eq!(blocked(app).await, [person], "the phone blocks, too");
        app.delete(&block(bob.number())).await.expect(204);
        assert_eq!(blocked(app).await, Vec::<Value>::new());
    })
    .await;
}

#[tokio::test]
async fn only_people_of_whom_whatsapp_knows_are_blocked() {
    shop(async |app, alice, bob| {
        assert_eq!(
            app.put(&block("375447034810"), json!({}))
                .await
                .expect(404)
                .code(),
            "not_on_whatsapp"
        );
        assert_eq!(
            app.put(&block("120363025246125486@g.us"), json!({}))
                .await
                .expect(400)
                .fields(),
            ["contact"]
        );
        bob.uses_addressing(Lid);
        bob.hides_number(true);
        bob.sends_text(alice.number(), "who am I?").await.unwrap();
        app.webhook.next().await;
        assert_eq!(
            app.put(&block(&bob.lid()), json!({}))
                .await
                .expect(400)
                .fields(),
            ["contact"]
        );
        assert_eq!(alice.blocked_numbers(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_message_that_came_in_is_reported_as_spam() {
    shop(async |app, alice, bob| {
        let id = bob.sends_text(alice.number(), "buy now").await.unwrap();
        app.webhook.next().await;
        let route = format!("/v1/sessions/shop/contacts/{}/report", bob.number());
        app.post(&route, json!({"message_id": id}))
            .await
            .expect(204);
        let report = (bob.number().to_owned(), id.clone());
        assert_eq!(alice.reported_messages(), [report]);
        let own = app
            .accepted("shop", json!({"to": bob.number(), "text": {"body": "no"}}))
            .await;
        for unknown in [own.as_str(), "3EB0AAAA"] {
            let refused = app.post(&route, json!({"message_id": unknown})).await;
            assert_eq!(refused.expect(404).code(), "message_not_found");
        }
        let empty = app.post(&route, json!({})).await.expect(400);
        assert_eq!(empty.fields(), ["message_id"]);
        let carol = app.phone("Carol");
        let other = format!("/v1/sessions/shop/contacts/{}/report", carol.number());
        app.post(&other, json!({"message_id": id}))
            .await
            .expect(404);
        assert_eq!(alice.reported_messages().len(), 1);
    })
    .await;
}
