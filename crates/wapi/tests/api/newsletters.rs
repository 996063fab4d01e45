//! Newsletters: followed, read without a gap, and posted in.

use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile, Phone};

use crate::harness::{PATIENCE, TestApp, eventually};
use crate::uploads::{png, upload};

async fn with_alice() -> (TestApp, [Phone; 3]) {
    let app = TestApp::start().await;
    let phones = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
    app.pair("shop", &phones[0]).await;
    (app, phones)
}

fn path(newsletter: &str) -> String {
    format!("/v1/sessions/shop/newsletters/{newsletter}")
}

/// The account follows a newsletter.
async fn follow(app: &TestApp, newsletter: &str) {
    app.put(&format!("{}/follow", path(newsletter)), json!({}))
        .await
        .expect(204);
}

async fn listed(app: &TestApp) -> Value {
    let answer = app.get("/v1/sessions/shop/newsletters").await;
    answer.expect(200).json()["newsletters"].take()
}

#[tokio::test]
async fn a_newsletter_is_read_by_guests() {
    let (app, [_, bob, _]) = with_alice().await;
    let news = bob.creates_newsletter("Bob's news", "All of it");
    let seen = app.get(&path(&news)).await.expect(200).json();
    assert_eq!(seen["id"], news);
    assert_eq!(seen["role"], "guest");
    assert_eq!(seen["followers"], 1);
    app.finish().await;
}

#[tokio::test]
async fn a_newsletter_that_the_account_follows_is_listed() {
    let (app, [_, bob, _]) = with_alice().await;
    let news = bob.creates_newsletter("Bob's news", "All of it");
    follow(&app, &news).await;
    let listed = listed(&app).await;
    let mut expected = json!([{
        "id": news, "name": "Bob's news", "description": "All of it", "role": "follower", "followers": 2,
        "verified": false, "muted": false,
    }]);
    for field in ["link", "created_at"] {
        assert!(listed[0][field].is_string(), "{listed}");
        expected[0][field] = listed[0][field].clone();
    }
    assert_eq!(listed, expected);
    app.finish().await;
}

#[tokio::test]
async fn what_is_posted_where_the_account_follows_is_told_from_then_on() {
    let (app, [_, bob, _]) = with_alice().await;
    let news = bob.creates_newsletter("Bob's news", "All of it");
    bob.sends_text(&news, "long ago").await.unwrap();
    follow(&app, &news).await;
    let id = bob.sends_text(&news, "fresh").await.unwrap();
    let told = app.webhook.next().await.body["data"].clone();
    let expected = json!({
        "session": "shop", "id": id, "chat": news, "offline": false, "timestamp": told["timestamp"],
        "from": {"id": news, "phone": null, "lid": null, "name": "Bob's news"},
        "type": "text", "text": {"body": "fresh"},
    });
    assert_eq!(told, expected);
    let kept = async || {
        let messages = app
            .get(&format!("/v1/sessions/shop/chats/{news}/messages"))
            .await;
        (messages.status == 200)
            .then(|| messages.json())
            .filter(|page| page["messages"][0]["id"] == id)
    };
    eventually(kept, async || "it is not in the history".to_owned()).await;
    app.finish().await;
}

#[tokio::test]
async fn what_is_posted_where_the_account_follows_no_more_is_not_told() {
    let (app, [_, bob, carol]) = with_alice().await;
    let news = bob.creates_newsletter("Bob's news", "All of it");
    follow(&app, &news).await;
    app.delete(&format!("{}/follow", path(&news)))
        .await
        .expect(204);
    carol.follows_newsletter(&news).unwrap();
    bob.sends_text(&news, "for Carol").await.unwrap();
    let received = carol.next_message(PATIENCE).await.unwrap();
    assert_eq!(received.text.as_deref(), Some("for Carol"));
    assert_eq!(listed(&app).await, json!([]));
    app.finish().await;
}

#[tokio::test]
async fn a_newsletter_that_nobody_has_is_not_found() {
    let (app, _) = with_alice().await;
    let nowhere = path("120363999999999999@newsletter");
    let read = app.get(&nowhere).await.expect(404);
    assert_eq!(read.code(), "newsletter_not_found");
    let followed = app.put(&format!("{nowhere}/follow"), json!({})).await;
    assert_eq!(followed.expect(404).code(), "newsletter_not_found");
    app.finish().await;
}

#[tokio::test]
async fn what_was_posted_while_nobody_listened_is_told_afterwards_once_and_in_order() {
    let (mut app, [alice, bob, carol]) = with_alice().await;
    let news = bob.creates_newsletter("News", "");
    alice.follows_newsletter(&news).unwrap();
    bob.sends_text(&news, "the first").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "the first"
    );
    // Acknowledged by a gateway that died over them.
    app.simulator.faults().lose_posts(true);
    for count in 0..120 {
        bob.sends_text(&news, &format!("missed {count}"))
            .await
            .unwrap();
    }
    let stopped = app.stop().await;
    bob.sends_text(&news, "while away").await.unwrap();
    stopped.simulator.faults().lose_posts(false);
    stopped.start().await;
    for count in 0..120 {
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(told["text"]["body"], format!("missed {count}"));
        assert_eq!(told["offline"], true);
        assert_eq!(told["chat"], json!(news));
    }
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "while away"
    );
    bob.sends_text(&news, "the last").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "the last"
    );

    // Who follows again is not told what was posted in between.
    let other = carol.creates_newsletter("Other", "");
    alice.follows_newsletter(&other).unwrap();
    carol.sends_text(&other, "one").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], "one");
    alice.unfollows_newsletter(&other).unwrap();
    app.restart().await;
    app.until("shop", "online").await;
    carol.sends_text(&other, "two").await.unwrap();
    let listed = async || {
        let all = app.get("/v1/sessions/shop/newsletters").await;
        (all.status == 200)
            .then(|| all.json())
            .filter(|all| all["newsletters"].as_array().unwrap().len() == 1)
    };
    eventually(listed, async || {
        "the session does not list its newsletters".to_owned()
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn what_could_not_be_asked_is_asked_again_and_nothing_is_left_out() {
    let (mut app, [alice, bob, _]) = with_alice().await;
    let (news, own) = (
        bob.creates_newsletter("News", ""),
        alice.creates_newsletter("Shop", ""),
    );
    alice.follows_newsletter(&news).unwrap();
    bob.sends_text(&news, "the first").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "the first"
    );
    alice.sends_text(&own, "opening").await.unwrap();
    app.events("message.echo", 1).await;
    app.simulator.faults().lose_posts(true);
    bob.sends_text(&news, "missed").await.unwrap();
    let stopped = app.stop().await;
    stopped.simulator.faults().lose_posts(false);
    stopped.simulator.faults().hide_posts(true);
    stopped.start().await;
    app.until("shop", "online").await;
    // What comes in meanwhile is told; but who posted in one's own newsletter is not known before WhatsApp says it.
    bob.sends_text(&news, "the third").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "the third"
    );
    alice.sends_text(&own, "from my phone").await.unwrap();
    // Following it again changes nothing.
    app.put(&format!("{}/follow", path(&news)), json!({}))
        .await
        .expect(204);
    app.simulator.faults().hide_posts(false);
    app.while_time_passes(async || app.webhook.taken(3)).await;
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "missed"
    );
    let echoes = app.events("message.echo", 2).await;
    assert_eq!(echoes[1]["data"]["text"]["body"], "from my phone");
    app.finish().await;
}

#[tokio::test]
async fn posts_are_sent_by_those_who_may_and_once() {
    let (mut app, [alice, bob, carol]) = with_alice().await;
    let own = alice.creates_newsletter("Shop", "What is new");
    let admins = bob.creates_newsletter("Both", "");
    bob.makes_newsletter_admin(&admins, &alice).unwrap();
    for newsletter in [&own, &admins] {
        carol.follows_newsletter(newsletter).unwrap();
        let post = json!({"to": newsletter, "text": {"body": "open *now*"}});
        let call = || {
            let request = app
                .request(reqwest::Method::POST, "/v1/sessions/shop/messages")
                .json(&post);
            app.answer(request.header("idempotency-key", newsletter))
        };
        let (first, again) = (
            call().await.expect(200).json(),
            call().await.expect(200).json(),
        );
        let id = first["messages"][0]["id"].clone();
        assert_eq!(first["messages"][0]["status"], "sent");
        assert_eq!(again["messages"][0]["id"], id);
        let shown = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(id, shown.id);
        assert_eq!(&shown.chat, newsletter);
        assert_eq!(&shown.from, newsletter);
        assert_eq!(shown.text.as_deref(), Some("open *now*"));
        assert_eq!(carol.find_newsletter(newsletter).unwrap().posts.len(), 1);
        assert!(alice.next_message(PATIENCE).await.unwrap().from_me);
    }
    // What its owner posts on the phone.
    let id = alice.sends_text(&own, "from my phone").await.unwrap();
    let echo = app.events("message.echo", 1).await[0]["data"].clone();
    assert_eq!(echo["id"], id);
    assert_eq!(echo["chat"], own);
    assert_eq!(echo["from"]["phone"], alice.number());
    app.restart().await;
    app.until("shop", "online").await;
    bob.sends_text(&admins, "another admin").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "another admin"
    );
    assert_eq!(
        app.events("message.echo,message.received", 2).await.len(),
        2
    );

    let theirs = bob.creates_newsletter("Bob's", "");
    alice.follows_newsletter(&theirs).unwrap();
    let post = |to: &str| json!({"to": to, "text": {"body": "hi"}});
    for (to, status, code) in [
        (theirs.as_str(), 403, "not_newsletter_admin"),
        ("120363999999999999@newsletter", 404, "newsletter_not_found"),
    ] {
        let refused = app
            .post("/v1/sessions/shop/messages", post(to))
            .await
            .expect(status);
        assert_eq!(refused.code(), code, "{to}");
    }
    assert_eq!(bob.find_newsletter(&theirs).unwrap().posts, []);
    app.finish().await;
}

#[tokio::test]
async fn an_admin_who_changes_a_post_is_told_of() {
    let (app, [alice, bob, _]) = with_alice().await;
    let news = bob.creates_newsletter("News", "");
    alice.follows_newsletter(&news).unwrap();
    let id = bob.sends_text(&news, "frist").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["id"], json!(id));
    bob.edits_post(&news, &id, "first").unwrap();
    let edited = app.events("message.edited", 1).await[0]["data"].clone();
    assert_eq!(edited["message_id"], id);
    assert_eq!(edited["text"]["body"], "first");
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_a_post_is_refused_by_name() {
    let (app, [alice, bob, _]) = with_alice().await;
    let own = alice.creates_newsletter("Shop", "");
    let text = json!({"body": "hi"});
    let cases: [(Value, &[&str]); 5] = [
        (
            json!({"to": own, "text": text, "context": {"message_id": "3EB0"}}),
            &["context"],
        ),
        (
            json!({"to": own, "text": text, "mentions": [bob.number()]}),
            &["mentions"],
        ),
        (
            json!({"to": own, "location": {"latitude": 1, "longitude": 1}}),
            &["to"],
        ),
        (
            json!({"to": own, "reaction": {"message_id": "3EB0", "emoji": "👍"}}),
            &["to"],
        ),
        (
            json!({"to": own, "text": text, "recipients": [bob.number()]}),
            &["recipients"],
        ),
    ];
    for (message, fields) in cases {
        let refused = app
            .post("/v1/sessions/shop/messages", message.clone())
            .await
            .expect(400);
        assert_eq!(refused.fields(), fields, "{message}");
    }
    let id = app.accepted("shop", json!({"to": own, "text": text})).await;
    app.until_message("shop", &id, "sent").await;
    let post = format!("/v1/sessions/shop/messages/{id}");
    assert_eq!(
        app.patch(&post, json!({"text": {"body": "ho"}}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.put(&format!("{post}/pin"), json!({}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.put(&format!("{post}/star"), json!({}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    for delete in [post.clone(), format!("{post}?for=me")] {
        assert_eq!(app.delete(&delete).await.expect(400).fields(), ["id"]);
    }
    let chat = format!("/v1/sessions/shop/chats/{own}");
    assert_eq!(
        app.patch(&chat, json!({"archived": true}))
            .await
            .expect(400)
            .fields(),
        ["chat"]
    );
    assert_eq!(
        app.post(&format!("{chat}/typing"), json!({"state": "composing"}))
            .await
            .expect(400)
            .fields(),
        ["chat"]
    );
    assert_eq!(
        app.get(&path("375447034810")).await.expect(400).fields(),
        ["newsletter"]
    );
    app.finish().await;
}

const FILM: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

#[tokio::test]
async fn files_of_posts_are_for_everybody_and_not_encrypted() {
    let (app, [alice, bob, carol]) = with_alice().await;
    let own = alice.creates_newsletter("Shop", "");
    carol.follows_newsletter(&own).unwrap();
    let document = b"%PDF-1.4 prices".to_vec();
    let files = [
        ("image", "a.png", png(8, 8), json!({"caption": "new"})),
        ("video", "a.mp4", FILM.to_vec(), json!({})),
        (
            "document",
            "a.pdf",
            document,
            json!({"filename": "prices.pdf"}),
        ),
    ];
    for (kind, name, bytes, mut object) in files {
        object["id"] =
            upload(&app, "shop", &format!("; filename=\"{name}\""), &bytes).await["id"].clone();
        let id = app
            .accepted("shop", json!({"to": own, (kind): object}))
            .await;
        let shown = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(shown.id, id);
        assert_eq!(shown.kind, kind);
        assert_eq!(
            shown.media.as_ref().map(|media| &media.bytes),
            Some(&bytes),
            "{kind}"
        );
        let said = &shown.to_json()[format!("{kind}_message")];
        assert!(
            said["media_key"].is_null() && said["file_enc_sha256"].is_null(),
            "{said}"
        );
        assert!(
            said["url"].is_string() && said["mimetype"].is_string(),
            "{said}"
        );
        let post = carol.find_newsletter(&own).unwrap().posts.pop().unwrap();
        assert!(
            post.media_id
                .is_some_and(|handle| handle.starts_with("handle-of-")),
            "{kind}"
        );
        app.until_message("shop", &id, "sent").await;
    }

    let news = bob.creates_newsletter("News", "");
    alice.follows_newsletter(&news).unwrap();
    let file = MediaFile {
        caption: Some("look".to_owned()),
        ..MediaFile::new(FileKind::Image, png(3, 3), "image/png")
    };
    bob.sends_file(&news, file).await.unwrap();
    let told = app.webhook.next().await.body["data"].clone();
    assert_eq!(told["chat"], news);
    assert_eq!(told["image"]["caption"], "look");
    let path = format!(
        "/v1/media/{}",
        told["image"]["id"].as_str().expect("it has an id")
    );
    let stored =
        async || Some(app.get(&path).await.json()).filter(|media| media["status"] == "stored");
    eventually(stored, async || {
        format!("not stored: {}", app.get(&path).await.json())
    })
    .await;
    let content = app
        .get(told["image"]["url"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(content.body, png(3, 3));

    // To a person it goes encrypted, as everything does.
    let forward = format!(
        "/v1/sessions/shop/messages/{}/forward",
        told["id"].as_str().unwrap()
    );
    app.post(&forward, json!({"to": carol.number(), "chat": news}))
        .await
        .expect(200);
    let shown = carol.next_message(PATIENCE).await.unwrap();
    assert_eq!(
        shown.media.as_ref().map(|media| &media.bytes),
        Some(&png(3, 3))
    );
    assert!(shown.to_json()["image_message"]["media_key"].is_array());
    app.finish().await;
}
