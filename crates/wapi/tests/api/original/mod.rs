//! The documents of the original wapi, beside ours: the files here were written by its own library (`interop/original`).

use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile, QuotedMessage, RichText};

use crate::harness::{PATIENCE, TestReceiver, gateway, shop};

/// The document holds all that the original's does, with these other values in it.
fn holds(document: &Value, original: &str, others: &[(&str, Value)]) {
    let mut expected: Value = serde_json::from_str(original).unwrap();
    for (place, value) in others {
        *expected.pointer_mut(place).expect(place) = value.clone();
    }
    let expected = expected.as_object().unwrap();
    let found: serde_json::Map<_, _> = expected
        .keys()
        .map(|name| (name.clone(), document[name].clone()))
        .collect();
    assert_eq!(&found, expected, "in {document}");
}

/// Unix seconds of the time in one of our documents.
fn seconds(time: &Value) -> Value {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    json!(time.as_second())
}

#[tokio::test]
async fn a_text_is_posted_as_the_original_did() {
    shop(async |app, alice, bob| {
        let id = bob.sends_text(alice.number(), "hello").await.unwrap();
        let post = app.webhook.next().await.body;
        let at = seconds(&post["data"]["timestamp"]);
        holds(
            &post,
            include_str!("received_text.json"),
            &[
                ("/Info/Id", json!(id)),
                ("/Info/RemoteJid", json!(bob.jid())),
                ("/Info/Timestamp", at.clone()),
                ("/Info/Source/key/id", json!(id)),
                ("/Info/Source/key/remoteJid", json!(bob.jid())),
                ("/Info/Source/messageTimestamp", at),
            ],
        );
        assert_eq!(post["type"], "message.received");
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_posted_with_what_it_quotes() {
    shop(async |app, alice, bob| {
        let text = RichText {
            body: "hello".to_owned(),
            quotes: Some(QuotedMessage {
                id: "3EB1".to_owned(),
                author: alice.jid(),
                picture_caption: Some("before".to_owned()),
            }),
            ..RichText::default()
        };
        let id = bob.sends_rich_text(alice.number(), text).unwrap();
        let post = app.webhook.next().await.body;
        let at = seconds(&post["data"]["timestamp"]);
        let around = "/Info/Source/message/extendedTextMessage/contextInfo/participant";
        holds(
            &post,
            include_str!("received_reply.json"),
            &[
                ("/Info/Id", json!(id)),
                ("/Info/RemoteJid", json!(bob.jid())),
                ("/Info/Timestamp", at.clone()),
                ("/Info/Source/key/id", json!(id)),
                ("/Info/Source/key/remoteJid", json!(bob.jid())),
                ("/Info/Source/messageTimestamp", at),
                ("/ContextInfo/Participant", json!(alice.jid())),
                (around, json!(alice.jid())),
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn a_text_in_a_group_names_its_author() {
    shop(async |app, alice, bob| {
        let group = bob.creates_group("club", &[&alice]).unwrap();
        let id = bob.sends_text(&group, "hello").await.unwrap();
        let post = app.webhook.next().await.body;
        let at = seconds(&post["data"]["timestamp"]);
        holds(
            &post,
            include_str!("received_in_group.json"),
            &[
                ("/Info/Id", json!(id)),
                ("/Info/RemoteJid", json!(group)),
                ("/Info/SenderJid", json!(bob.jid())),
                ("/Info/Timestamp", at.clone()),
                ("/Info/Source/key/id", json!(id)),
                ("/Info/Source/key/remoteJid", json!(group)),
                ("/Info/Source/key/participant", json!(bob.jid())),
                ("/Info/Source/messageTimestamp", at),
            ],
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_text_is_posted_with_its_caption() {
    shop(async |app, alice, bob| {
        let image = MediaFile {
            caption: Some("look".to_owned()),
            ..MediaFile::new(FileKind::Image, crate::uploads::png(3, 2), "image/png")
        };
        bob.sends_file(alice.number(), image).await.unwrap();
        assert_eq!(app.webhook.next().await.body["Text"], "look");
        bob.sends_contacts(alice.number(), &[("Carol", "375440000009")])
            .unwrap();
        assert_eq!(app.webhook.next().await.body["Text"], "");
    })
    .await;
}

#[tokio::test]
async fn other_webhooks_get_our_envelope_alone() {
    shop(async |app, alice, bob| {
        let other = TestReceiver::start().await;
        app.post(
            "/v1/webhooks",
            json!({"url": other.base(), "types": ["message.received"]}),
        )
        .await
        .expect(201);
        bob.sends_text(alice.number(), "hello").await.unwrap();
        let (ours, original) = (other.next().await.body, app.webhook.next().await.body);
        let names: Vec<_> = ours.as_object().unwrap().keys().collect();
        assert_eq!(names, ["data", "timestamp", "type"]);
        assert_eq!(original["data"], ours["data"]);
    })
    .await;
}

#[tokio::test]
async fn a_sent_text_is_answered_as_the_original_did() {
    shop(async |app, alice, bob| {
        let sent = app.send("shop", &bob.jid(), "hello").await.expect(200);
        let sent = sent.json();
        holds(
            &sent,
            include_str!("sent_text.json"),
            &[
                // The original did not know these yet.
                ("/Info/Id", sent["id"].clone()),
                ("/Info/Timestamp", seconds(&sent["timestamp"])),
                ("/Info/FromMe", json!(true)),
                ("/Info/Status", json!(2)),
                ("/Info/RemoteJid", json!(bob.jid())),
                ("/Info/SenderJid", json!(format!("{}@c.us", alice.number()))),
            ],
        );
        bob.next_message(PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_sent_image_is_answered_as_the_original_did() {
    shop(async |app, alice, bob| {
        let body = json!({
            "session_name": "shop", "chat_id": bob.jid(), "caption": "look",
            "image_url": format!("{}/pixel.png", crate::sending::files().await),
        });
        let sent = app.post("/send-image/", body).await.expect(200).json();
        holds(
            &sent,
            include_str!("sent_image.json"),
            &[
                ("/Info/Id", sent["id"].clone()),
                ("/Info/Timestamp", seconds(&sent["timestamp"])),
                ("/Info/FromMe", json!(true)),
                ("/Info/Status", json!(2)),
                ("/Info/RemoteJid", json!(bob.jid())),
                ("/Info/SenderJid", json!(format!("{}@c.us", alice.number()))),
            ],
        );
        bob.next_message(PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_session_and_its_connection_are_told_as_the_original_did() {
    shop(async |app, alice, _| {
        let wid = json!(format!("{}@c.us", alice.number()));
        let null = Value::Null;
        let keys = |at: &str, key: &str| format!("{at}/WhatsAppSession/{key}");
        let secrets = ["ClientId", "ClientToken", "ServerToken"];
        let within = |at: &str| {
            let mut others: Vec<_> = secrets
                .iter()
                .map(|secret| (keys(at, secret), null.clone()))
                .collect();
            others.push((keys(at, "Wid"), wid.clone()));
            others
        };
        fn borrowed(others: &[(String, Value)]) -> Vec<(&str, Value)> {
            others
                .iter()
                .map(|(place, value)| (place.as_str(), value.clone()))
                .collect()
        }
        let session = app.info("shop").await.expect(200).json();
        holds(
            &session,
            include_str!("session.json"),
            &borrowed(&within("")),
        );

        let connection = app
            .get("/get-active-connection-info/shop/")
            .await
            .expect(200)
            .json();
        let mut others = within("/SessionInfo");
        others.push(("/ConnectionInfo/Wid".to_owned(), wid.clone()));
        holds(
            &connection,
            include_str!("connection.json"),
            &borrowed(&others),
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_that_waits_for_its_scan_has_no_account() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let session = app.info("shop").await.expect(200).json();
        assert_eq!(session["SessionID"], "shop");
        assert_eq!(session["WhatsAppSession"], Value::Null);
    })
    .await;
}
