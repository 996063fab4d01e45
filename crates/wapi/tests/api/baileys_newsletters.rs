//! Newsletters between the gateway and a client that others wrote: each posts where the other follows.

use serde_json::json;

use crate::harness::{Baileys, gateway};

#[tokio::test]
async fn posts_go_both_ways_between_the_gateway_and_baileys() {
    gateway(async |app| {
        let (alice, dave) = (app.phone("Alice"), app.phone("Dave"));
        let Some(mut baileys) = Baileys::start(&app.simulator, "Dave") else {
            return;
        };
        app.pair("shop", &alice).await;
        baileys.pair(&dave).await;
        let (ours, theirs) = (
            alice.creates_newsletter("Shop", "What is new"),
            dave.creates_newsletter("Dave's", ""),
        );

        let follow = json!({"op": "newsletter", "method": "newsletterFollow", "args": [ours]});
        baileys.command(follow).await;
        let ask =
            json!({"op": "newsletter", "method": "newsletterMetadata", "args": ["jid", ours]});
        let seen = baileys.command(ask).await["result"].clone();
        let about = &seen["thread_metadata"];
        assert_eq!(seen["id"], ours);
        assert_eq!(about["name"]["text"], "Shop");
        assert_eq!(seen["viewer_metadata"]["role"], "SUBSCRIBER");
        assert_eq!(about["subscribers_count"], "2");
        let id = app
            .accepted("shop", json!({"to": ours, "text": {"body": "open now"}}))
            .await;
        let shown = baileys
            .until("the post", |event| {
                event["event"] == "message" && event["id"] == id.as_str()
            })
            .await;
        assert_eq!(shown["chat"], ours);
        assert_eq!(shown["text"], "open now");
        assert_eq!(shown["from_me"], false);
        app.until_message("shop", &id, "sent").await;

        app.put(
            &format!("/v1/sessions/shop/newsletters/{theirs}/follow"),
            json!({}),
        )
        .await
        .expect(204);
        let sent = baileys
            .command(json!({"op": "send_text", "to": theirs, "text": "from Baileys"}))
            .await;
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(told["id"], sent["id"]);
        assert_eq!(told["chat"], theirs);
        assert_eq!(told["text"]["body"], "from Baileys");
        assert_eq!(told["from"]["name"], "Dave's");
        baileys
            .until("WhatsApp's word", |event| {
                event["event"] == "receipt" && event["id"] == sent["id"]
            })
            .await;

        let invite = format!(
            "/v1/sessions/shop/newsletters/{ours}/invites/{}",
            dave.number()
        );
        app.put(&invite, json!({})).await.expect(200);
        dave.accepts_newsletter_invite(&ours).unwrap();
        let ask = json!({"op": "newsletter", "method": "newsletterAdminCount", "args": [ours]});
        assert_eq!(baileys.command(ask).await["result"], 2);
    })
    .await;
}
