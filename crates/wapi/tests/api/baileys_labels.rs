//! Labels and privacy settings of an account, with a client that others wrote on the same account.

use serde_json::{Value, json};

use crate::harness::{Baileys, TestApp, eventually, gateway};

const SHOP: &str = "/v1/sessions/shop";

/// One of Baileys' own calls.
fn call(method: &str, args: Value) -> Value {
    json!({"op": "newsletter", "method": method, "args": args})
}

#[tokio::test]
async fn labels_are_the_same_for_the_gateway_and_for_baileys() {
    // Boxed, because the stack of a test is too small for all of it.
    gateway(async |app: &mut TestApp| Box::pin(share_labels(app)).await).await;
}

async fn share_labels(app: &mut TestApp) {
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Alice") else {
        return;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&alice).await;
    let labels = format!("{SHOP}/labels");
    app.post(&labels, json!({"name": "Paid", "color": 3}))
        .await
        .expect(201);
    let told = baileys.next("label").await;
    assert_eq!(
        (&told["id"], &told["name"], &told["color"]),
        (&json!("1"), &json!("Paid"), &json!(3))
    );
    let chat = format!("{SHOP}/chats/{}/labels/1", bob.number());
    app.put(&chat, json!({})).await.expect(204);
    let told = baileys.next("chat_label").await;
    assert_eq!(
        (&told["label"], &told["labeled"]),
        (&json!("1"), &json!(true))
    );

    let label = json!({"id": "9", "name": "By Baileys", "color": 7});
    baileys
        .command(call("addLabel", json!([bob.jid(), label])))
        .await;
    baileys
        .command(call("addChatLabel", json!([bob.jid(), "9"])))
        .await;
    let labelled = async || {
        let chats = app.get(&format!("{labels}/9/chats")).await;
        (chats.status == 200)
            .then(|| chats.json()["chats"].clone())
            .filter(|chats| chats[0].is_object())
    };
    let chats = eventually(labelled, async || "no chat has the label".to_owned()).await;
    assert_eq!(chats[0]["phone"], bob.number());
    let listed = app.get(&labels).await.expect(200).json();
    assert_eq!(listed["labels"][1], label);
}

#[tokio::test]
async fn privacy_settings_are_the_same_for_the_gateway_and_for_baileys() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let Some(mut baileys) = Baileys::start(&app.simulator, "Alice") else {
            return;
        };
        app.pair("shop", &alice).await;
        baileys.pair(&alice).await;
        let route = format!("{SHOP}/privacy");
        let change = json!({"last_seen": "none", "about": {"except": [bob.number()]}});
        app.patch(&route, change).await.expect(204);
        let seen = baileys
            .command(call("fetchPrivacySettings", json!([true])))
            .await;
        let result = &seen["result"];
        assert_eq!(
            (&result["last"], &result["status"], &result["calladd"]),
            (&json!("none"), &json!("contact_blacklist"), &json!("all"))
        );
        baileys
            .command(call("updateCallPrivacy", json!(["known"])))
            .await;
        let shown = app.get(&route).await.expect(200).json();
        assert_eq!(
            (&shown["calls"], &shown["about"]["except"][0]["phone"]),
            (&json!("known"), &json!(bob.number()))
        );
    })
    .await;
}
