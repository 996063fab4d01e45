//! One account on two linked devices, the gateway and a client that others wrote: what one does to the account shows on the other.

use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::{Addressing, SimulatorOptions};

use crate::harness::{Baileys, Setup, TestApp, within};

const TRIES: usize = 6;
const SOON: Duration = Duration::from_secs(8);

async fn stars(app: TestApp) {
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Alice") else {
        return app.finish().await;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&alice).await;
    let ids = [
        bob.sends_text(&alice.jid(), "one").await.unwrap(),
        bob.sends_text(&alice.jid(), "two").await.unwrap(),
    ];
    let mut chat = Value::Null;
    for id in &ids {
        app.webhook.next().await;
        chat = baileys
            .until("the text", |event| {
                event["event"] == "message" && event["id"] == id.as_str()
            })
            .await;
    }
    // What is there when a device first looks is no news to it, and nobody knows when the gateway first looks here.
    let mut told = Vec::new();
    for starred in [true, false].into_iter().cycle().take(TRIES) {
        let star = json!({"op": "star", "chat": chat["chat"], "id": ids[0], "from_me": false, "starred": starred});
        baileys.command(star).await;
        let said = json!([ids[0], bob.jid(), starred]);
        let look = async || {
            let all = app
                .get("/v1/events?types=message.starred&limit=1000")
                .await
                .expect(200)
                .json();
            let last = all["events"].as_array()?.last()?["event"]["data"].clone();
            Some(json!([last["message_id"], last["chat"], last["starred"]]))
                .filter(|last| *last == said)
        };
        if within(SOON, look).await.is_some() {
            told.push(starred);
        } else {
            assert!(
                told.is_empty(),
                "{said} was not told, and others before it were"
            );
        }
        if told.len() == 2 {
            break;
        }
    }
    assert_eq!(told.len(), 2, "no star of the other device was told");
    let path = format!(
        "/v1/sessions/shop/messages/{}/star?chat={}",
        ids[1],
        bob.number()
    );
    app.put(&path, json!({})).await.expect(204);
    let of_star = |event: &Value| event["event"] == "starred" && event["id"] == ids[1].as_str();
    assert_eq!(baileys.until("the star", of_star).await["starred"], true);
    app.delete(&path).await.expect(204);
    assert_eq!(
        baileys.until("that it is gone", of_star).await["starred"],
        false
    );
    app.finish().await;
}

#[tokio::test]
async fn stars_go_between_the_devices_of_an_account() {
    stars(TestApp::start().await).await;
}

#[tokio::test]
async fn stars_go_between_the_devices_of_an_account_by_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    stars(Setup::new().simulator(options).start().await).await;
}
