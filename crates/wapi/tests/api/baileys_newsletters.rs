//! Newsletters between the gateway and a client that others wrote: each posts where the other follows.

use serde_json::json;

use crate::harness::{Baileys, TestApp};

#[tokio::test]
async fn posts_go_both_ways_between_the_gateway_and_baileys() {
    let app = TestApp::start().await;
    let (alice, dave) = (app.phone("Alice"), app.phone("Dave"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Dave") else {
        return app.finish().await;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&dave).await;
    let (ours, theirs) = (
        alice.creates_newsletter("Shop", "What is new"),
        dave.creates_newsletter("Dave's", ""),
    );

    let follow = json!({"op": "newsletter", "method": "newsletterFollow", "args": [ours]});
    baileys.command(follow).await;
    let ask = json!({"op": "newsletter", "method": "newsletterMetadata", "args": ["jid", ours]});
    let seen = baileys.command(ask).await["result"].clone();
    let about = &seen["thread_metadata"];
    assert_eq!(
        (&seen["id"], &about["name"]["text"]),
        (&json!(ours), &json!("Shop"))
    );
    assert_eq!(
        (
            &seen["viewer_metadata"]["role"],
            &about["subscribers_count"]
        ),
        (&json!("SUBSCRIBER"), &json!("2"))
    );
    let id = app
        .accepted("shop", json!({"to": ours, "text": {"body": "open now"}}))
        .await;
    let shown = baileys
        .until("the post", |event| {
            event["event"] == "message" && event["id"] == id.as_str()
        })
        .await;
    assert_eq!(
        (&shown["chat"], &shown["text"], &shown["from_me"]),
        (&json!(ours), &json!("open now"), &json!(false))
    );
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
    assert_eq!((&told["id"], &told["chat"]), (&sent["id"], &json!(theirs)));
    assert_eq!(
        (&told["text"]["body"], &told["from"]["name"]),
        (&json!("from Baileys"), &json!("Dave's"))
    );
    baileys
        .until("WhatsApp's word", |event| {
            event["event"] == "receipt" && event["id"] == sent["id"]
        })
        .await;
    app.finish().await;
}
