//! Albums: pictures and films that are sent as one, and how they come in.

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestReceiver, gateway, shop};

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n....";
const FILM: &[u8] = b"\0\0\0\x20ftypisom and so on";

fn files() -> String {
    let files = Router::new()
        .route("/a.png", get(async || PICTURE.to_vec()))
        .route("/b.mp4", get(async || FILM.to_vec()));
    TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), files)
}

fn album(to: &str, files: &str) -> Value {
    let picture =
        |caption: &str| json!({"image": {"link": format!("{files}/a.png"), "caption": caption}});
    let film = json!({"video": {"link": format!("{files}/b.mp4")}});
    json!({"to": to, "album": [picture("one"), film, picture("three")]})
}

#[tokio::test]
async fn an_album_is_sent_as_one() {
    shop(async |app, _, bob| {
        let keyed = app.with_header("idempotency-key", "holidays");
        let asked = album(bob.number(), &files());
        let answer = keyed
            .post("/v1/sessions/shop/messages?wait=30", asked.clone())
            .await
            .expect(200)
            .json();
        let messages = answer["messages"].as_array().unwrap();
        let told: Vec<_> = messages
            .iter()
            .map(|message| message["type"].clone())
            .collect();
        assert_eq!(told, ["album", "image", "video", "image"]);
        let parent = &messages[0]["id"];
        assert_eq!(messages[0]["album"], json!({"images": 2, "videos": 1}));

        let announced = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(json!(announced.id), *parent);
        assert_eq!(
            announced.to_json()["album_message"],
            json!({"expected_image_count": 2, "expected_video_count": 1})
        );
        for (message, bytes) in messages[1..].iter().zip([PICTURE, FILM, PICTURE]) {
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(message["id"], received.id);
            assert_eq!(&message["album_id"], parent);
            assert_eq!(received.media.as_ref().unwrap().bytes, bytes);
            let part = &received.to_json()["message_context_info"]["message_association"];
            let key = json!({"remote_jid": bob.jid(), "from_me": true, "id": parent});
            assert_eq!(
                *part,
                json!({"association_type": "MEDIA_ALBUM", "parent_message_key": key})
            );
        }
        // The same request again is the same album.
        let again = keyed
            .post("/v1/sessions/shop/messages?wait=30", asked)
            .await
            .expect(200);
        assert_eq!(again.headers["idempotent-replayed"], "true");
        let ids = |answer: &Value| {
            answer["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["id"].clone())
                .collect()
        };
        let (before, after): (Vec<Value>, Vec<Value>) = (ids(&answer), ids(&again.json()));
        assert_eq!(before, after);
        assert_eq!(bob.received_messages().len(), 4, "nothing was sent twice");
    })
    .await;
}

#[tokio::test]
async fn what_comes_in_names_its_album() {
    shop(async |app, alice, bob| {
        let id = bob.sends_album(alice.number(), 2).unwrap();
        let told = app.webhook.next().await.body;
        assert_eq!(told["data"]["type"], "album");
        assert_eq!(told["data"]["album"]["images"], 2);
        for is_wrapped in [false, true] {
            bob.sends_album_picture(alice.number(), &id, is_wrapped)
                .unwrap();
            let told = app.webhook.next().await.body;
            assert_eq!(told["data"]["type"], "image");
            assert_eq!(told["data"]["album_id"], id);
        }
        alice.failures();
    })
    .await;
}

#[tokio::test]
async fn an_album_has_two_to_ten_pictures_and_films() {
    gateway(async |app| {
        let link = json!({"link": "http://127.0.0.1/a.png"});
        for (album, wrong) in [
            (json!([{"image": link}]), vec!["album"]),
            (
                json!([{"image": link}, {"audio": link}]),
                vec!["album[1].image", "album[1].audio"],
            ),
            (
                json!([{"image": link, "video": link}, {"image": {}}]),
                vec!["album[0].image", "album[1].image.link"],
            ),
            (
                json!([{"image": link}, {"video": {"link": "http://127.0.0.1/b.mp4", "gif": true}}]),
                vec!["album[1].video"],
            ),
            (json!("a.png"), vec!["album"]),
        ] {
            let asked = json!({"to": "375440000009", "album": album});
            assert_eq!(
                app.post("/v1/sessions/shop/messages", asked)
                    .await
                    .expect(400)
                    .fields(),
                wrong,
                "{album}"
            );
        }
    }).await;
}
