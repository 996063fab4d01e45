//! `/v1/sessions/{session}/messages`: sends that happen, and happen once.

use serde_json::{Value, json};
use wapi_simulator::AckFault;

use crate::harness::{PATIENCE, Setup, TestApp};

fn text(to: &str, body: &str) -> Value {
    json!({"to": to, "type": "text", "text": {"body": body}})
}

#[tokio::test]
async fn a_text_is_sent_and_its_story_can_be_read() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;

    let number = format!("+{}", bob.number());
    let sent = app
        .post("/v1/sessions/shop/messages", text(&number, "Hello, Bob"))
        .await
        .expect(200)
        .json();
    let message = &sent["messages"][0];
    assert_eq!(
        (&message["status"], &message["type"], &message["session"]),
        (&json!("sent"), &json!("text"), &json!("shop"))
    );
    assert_eq!(message["chat"], bob.jid());
    assert_eq!(
        sent["contacts"],
        json!([{"input": number, "wa_id": bob.number(), "lid": null}])
    );
    let id = message["id"].as_str().unwrap();
    assert!(id.len() == 22 && id.starts_with("3EB0"), "{id}");

    let received = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(
        (received.id.as_str(), received.text.as_deref()),
        (id, Some("Hello, Bob"))
    );
    bob.reads(&alice.jid(), &[id.to_owned()]).unwrap();
    let story = app.until_message("shop", id, "read").await;
    let steps: Vec<_> = story["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["status"].clone())
        .collect();
    assert_eq!(steps, ["queued", "sent", "delivered", "read"]);
    assert_eq!(story["recipients"][0]["id"], bob.jid());
    assert!(
        story["recipients"][0]["read_at"].is_string()
            && story["recipients"][0]["played_at"].is_null(),
        "{story}"
    );
    app.finish().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_message() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let route = "/v1/sessions/shop/messages";
    let first = app.with_header("idempotency-key", "order-1");
    let sent = first
        .post(route, text(bob.number(), "once"))
        .await
        .expect(200);
    let id = sent.json()["messages"][0]["id"].clone();
    let reordered = format!(
        r#"{{"text": {{"body": "once"}}, "type": "text", "to": "{}"}}"#,
        bob.number()
    );
    let again = first.post_raw(route, reordered).await.expect(200);
    assert_eq!(again.json()["messages"][0]["id"], id);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = first
        .post(route, text(bob.number(), "something else"))
        .await
        .expect(409);
    assert_eq!(other.code(), "idempotency_key_reused");
    let app = app.restart().await;
    app.until("shop", "online").await;
    let first = app.with_header("idempotency-key", "order-1");
    assert_eq!(
        first
            .post(route, text(bob.number(), "once"))
            .await
            .expect(200)
            .json()["messages"][0]["id"],
        id
    );
    app.push_clock(std::time::Duration::from_secs(24 * 3600 + 1));
    app.until("shop", "online").await;
    let next_day = first
        .post(route, text(bob.number(), "something else"))
        .await
        .expect(200);
    assert_ne!(next_day.json()["messages"][0]["id"], id);
    let received: Vec<_> = [
        bob.next_message(PATIENCE).await,
        bob.next_message(PATIENCE).await,
    ]
    .map(|one| one.unwrap().text)
    .into();
    assert_eq!(
        received,
        [Some("once".to_owned()), Some("something else".to_owned())]
    );
    assert_eq!(bob.received().len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn what_waits_for_the_connection_leaves_in_order_when_it_is_back() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    app.simulator.faults().refuse_connections(true);
    app.simulator.faults().cut(alice.number(), device).unwrap();
    app.until("shop", "offline").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let queued = app
            .post(
                "/v1/sessions/shop/messages?wait=0",
                text(bob.number(), &number.to_string()),
            )
            .await;
        let queued = queued.expect(202).json();
        assert_eq!(queued["messages"][0]["status"], "queued");
        ids.push(queued["messages"][0]["id"].as_str().unwrap().to_owned());
    }
    let app = app.restart().await;
    assert_eq!(app.message("shop", &ids[0]).await["status"], "queued");
    app.simulator.faults().refuse_connections(false);
    app.register("shop").await;
    for (number, id) in ids.iter().enumerate() {
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(
            (received.text, &received.id),
            (Some(number.to_string()), id)
        );
        app.until_message("shop", id, "delivered").await;
    }
    app.finish().await;
}

#[tokio::test]
async fn without_an_answer_a_message_is_unknown_until_whatsapp_is_asked_again_under_its_id() {
    let app = Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .start()
        .await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.simulator.faults().acks(AckFault::Drop);
    bob.receipts_are(wapi_simulator::Receipts::Withheld);
    let id = app
        .accepted("shop", text(bob.number(), "are you there?"))
        .await;
    let next = app
        .accepted("shop", text(bob.number(), "still there?"))
        .await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
    app.until_message("shop", &id, "unknown").await;
    assert_eq!(
        app.message("shop", &next).await["status"],
        "queued",
        "nothing overtakes what is not answered"
    );
    app.simulator.faults().acks(AckFault::None);
    app.until_message("shop", &id, "sent").await;
    app.until_message("shop", &next, "sent").await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, next);
    assert_eq!(
        bob.received().len(),
        2,
        "a second copy under the same id is no second message"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_crash_between_leaving_and_whatsapps_answer_makes_no_second_message() {
    use crate::harness::{TestReceiver, Wapi, free_address, options};
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let (webhook, address) = (TestReceiver::start().await, free_address());
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", webhook.base());
    let (alice, bob) = (
        simulator.phone("Alice").unwrap(),
        simulator.phone("Bob").unwrap(),
    );
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    client
        .accepted("shop", text(bob.number(), "a warm-up"))
        .await;
    bob.next_message(PATIENCE).await.unwrap();

    simulator.faults().acks(AckFault::Drop);
    bob.receipts_are(wapi_simulator::Receipts::Withheld);
    let id = client.accepted("shop", text(bob.number(), "once")).await;
    let behind = client
        .accepted("shop", text(bob.number(), "afterwards"))
        .await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
    running.kill().await;

    simulator.faults().refuse_connections(true);
    let (running, client) = wapi.serves(address).await;
    client.until_message("shop", &id, "unknown").await;
    simulator.faults().acks(AckFault::None);
    simulator.faults().refuse_connections(false);
    client.register("shop").await;
    client.until_message("shop", &id, "sent").await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, behind);
    let ids: Vec<_> = bob
        .received()
        .into_iter()
        .map(|message| message.id)
        .skip(1)
        .collect();
    assert_eq!(ids, [id, behind]);
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_message_that_expired_is_never_sent() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    app.simulator.faults().refuse_connections(true);
    app.simulator.faults().cut(alice.number(), device).unwrap();
    app.until("shop", "offline").await;
    let mut brief = text(bob.number(), "now or never");
    brief["expires_in"] = json!(60);
    let id = app.accepted("shop", brief).await;
    let patient = app.accepted("shop", text(bob.number(), "whenever")).await;
    app.push_clock(std::time::Duration::from_secs(61));
    let failed = app.until_message("shop", &id, "failed").await;
    assert_eq!(failed["error"]["code"], "expired");
    app.simulator.faults().refuse_connections(false);
    app.register("shop").await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, patient);
    app.until_message("shop", &patient, "delivered").await;
    assert_eq!(bob.received().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn whatsapps_refusal_is_told_and_kept() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.simulator.faults().acks(AckFault::Refuse(463));
    let keyed = app.with_header("idempotency-key", "refused");
    for _ in 0..2 {
        let refused = keyed
            .post("/v1/sessions/shop/messages", text(bob.number(), "hi"))
            .await
            .expect(502);
        assert_eq!(refused.code(), "whatsapp_refused");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("463") && detail.contains("new contacts"),
            "{detail}"
        );
    }
    let events = app
        .get("/v1/events?types=message.failed")
        .await
        .expect(200)
        .json();
    let data = &events["events"][0]["event"]["data"];
    assert_eq!(
        (&data["session"], &data["error"]["code"]),
        (&json!("shop"), &json!("whatsapp_refused"))
    );
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let kept = app.message("shop", data["id"].as_str().unwrap()).await;
    assert_eq!(
        (&kept["status"], &kept["error"]["code"]),
        (&json!("failed"), &json!("whatsapp_refused"))
    );
    app.finish().await;
}

#[tokio::test]
async fn each_step_is_an_event_told_once() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let id = app.accepted("shop", text(bob.number(), "hi")).await;
    bob.next_message(PATIENCE).await.unwrap();
    app.until_message("shop", &id, "delivered").await;
    for _ in 0..2 {
        bob.reads(&alice.jid(), std::slice::from_ref(&id)).unwrap();
        bob.confirms(&alice.jid(), std::slice::from_ref(&id))
            .unwrap();
    }
    app.until_message("shop", &id, "read").await;
    // Whatever came before this is in the feed.
    let last = app.accepted("shop", text(bob.number(), "bye")).await;
    app.until_message("shop", &last, "delivered").await;
    let feed = app.get("/v1/events").await.expect(200).json();
    let about = feed["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["event"]);
    let types: Vec<_> = about
        .filter(|event| event["data"]["id"] == id.as_str())
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(types, ["message.sent", "message.delivered", "message.read"]);
    app.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_message_is_named() {
    let app = TestApp::start().await;
    let alice = app.phone("Alice");
    let route = "/v1/sessions/shop/messages";
    app.register("shop").await.expect(202);
    let unpaired = app
        .post(route, text("375440000001", "hi"))
        .await
        .expect(409);
    assert_eq!(unpaired.code(), "session_not_paired");
    app.pair("shop", &alice).await;
    for (body, fields) in [
        (json!({}), vec!["to", "type"]),
        (json!({"to": "nobody", "text": {"body": "hi"}}), vec!["to"]),
        (
            json!({"to": "375440000001", "text": {"body": " "}}),
            vec!["text.body"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi", "colour": 1}, "size": 1}),
            vec!["text.colour", "size"],
        ),
        (json!({"to": "375440000001", "text": "hi"}), vec!["text"]),
        (
            json!({"to": "375440000001", "type": "poem", "text": {"body": "hi"}}),
            vec!["type"],
        ),
        (
            json!({"to": "375440000001", "type": "poll", "poll": {}}),
            vec!["poll.question", "poll.options"],
        ),
        (
            json!({"to": "375440000001", "location": {}}),
            vec!["location.latitude", "location.longitude"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi"}, "image": {"link": "http://a/"}}),
            vec!["type"],
        ),
        (
            json!({"to": "375440000001", "image": {"link": "ftp://a/"}}),
            vec!["image.link"],
        ),
        (
            json!({"to": "375440000001", "image": {"id": "1", "link": "http://a/"}}),
            vec!["image.id"],
        ),
        (
            json!({"to": "375440000001", "audio": {"link": "http://a/", "voice": "yes"}}),
            vec!["audio.voice"],
        ),
        // What is right is not told to be wrong.
        (
            json!({"to": "375440000001", "image": {"url": "http://a/", "caption": "hi", "view_once": true}}),
            vec!["image.link", "image.url"],
        ),
        (
            json!({"to": "375440000001", "document": {"id": "1", "link": "http://a/", "filename": "a", "caption": "hi"}}),
            vec!["document.id"],
        ),
        (
            json!({"to": "375440000001", "location": {"latitude": 100, "longitude": 1, "name": "a", "address": "b"}}),
            vec!["location.latitude"],
        ),
        (
            json!({"to": "375440000001", "poll": {"question": "?", "options": ["a"], "max_selections": 2}}),
            vec!["poll.options"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi"}, "expires_in": 0}),
            vec!["expires_in"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi"}, "send_at": "tomorrow"}),
            vec!["send_at"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi"}, "send_at": "2001-01-01T00:00:00Z"}),
            vec!["send_at"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi"}, "send_at": "9000-01-01T00:00:00Z"}),
            vec!["send_at"],
        ),
        (
            json!({"to": "375440000001", "text": {"body": "hi"}, "context": {}}),
            vec!["context.message_id"],
        ),
    ] {
        assert_eq!(
            app.post(route, body.clone()).await.expect(400).fields(),
            fields,
            "{body}"
        );
    }
    assert_eq!(
        app.post(&format!("{route}?wait=61"), text("375440000001", "hi"))
            .await
            .expect(400)
            .fields(),
        ["wait"]
    );
    let long_key = app.with_header("idempotency-key", &"k".repeat(256));
    assert_eq!(
        long_key
            .post(route, text("375440000001", "hi"))
            .await
            .expect(400)
            .fields(),
        ["Idempotency-Key"]
    );
    assert_eq!(
        app.post("/v1/sessions/other/messages", text("375440000001", "hi"))
            .await
            .expect(404)
            .code(),
        "session_not_found"
    );
    assert_eq!(
        app.get(&format!("{route}/3EB0/")).await.expect(404).code(),
        "message_not_found"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_message_leaves_when_its_time_has_come_and_holds_up_nobody_until_then() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let mut later = text(bob.number(), "later");
    let time = wapi::clock::Clock::system().now() + jiff::SignedDuration::from_hours(2);
    later["send_at"] = json!(time.to_string());
    let later = app.accepted("shop", later).await;
    let now = app.accepted("shop", text(bob.number(), "now")).await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, now);
    let app = app.restart().await;
    app.until("shop", "online").await;
    assert_eq!(app.message("shop", &later).await["status"], "queued");
    app.push_clock(std::time::Duration::from_secs(2 * 3600));
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, later);
    app.until_message("shop", &later, "delivered").await;
    app.finish().await;
}

#[tokio::test]
async fn files_are_fetched_when_their_turn_comes_and_a_slow_one_holds_up_its_own_chat_only() {
    use axum::routing::get;
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    app.pair("shop", &alice).await;
    let (release, released) = tokio::sync::watch::channel(false);
    let document = get(move || async move {
        let mut released = released;
        released
            .wait_for(|released| *released)
            .await
            .expect("the test lets it go");
        ([("content-type", "application/pdf")], "%PDF-1.7")
    });
    let router = axum::Router::new()
        .route("/slow.pdf", document)
        .route("/voice.ogg", get(|| async { "OggS" }))
        .route("/page.mp4", get(|| async { "<html>" }));
    let files = crate::harness::TestReceiver::serve(
        std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
        router,
    );

    let slow = json!({"to": bob.number(), "document": {"link": format!("{files}/slow.pdf"), "filename": "bill.pdf", "caption": "yours"}});
    let slow = app.accepted("shop", slow).await;
    let behind = app.accepted("shop", text(bob.number(), "behind it")).await;
    let elsewhere = json!({"to": carol.number(), "audio": {"link": format!("{files}/voice.ogg"), "voice": true}});
    app.post("/v1/sessions/shop/messages", elsewhere)
        .await
        .expect(200);
    let heard = carol.next_message(PATIENCE).await.unwrap();
    assert_eq!(
        (heard.kind.as_str(), heard.media.unwrap().mime.as_str()),
        ("audio", "audio/ogg; codecs=opus")
    );
    assert_eq!(app.message("shop", &behind).await["status"], "queued");
    release.send_replace(true);
    let received = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(
        (received.id.as_str(), received.caption.as_deref()),
        (slow.as_str(), Some("yours"))
    );
    let media = received.media.unwrap();
    assert_eq!(
        (media.mime.as_str(), media.bytes.as_slice()),
        ("application/pdf", b"%PDF-1.7".as_slice())
    );
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, behind);

    let no_video = json!({"to": bob.number(), "video": {"link": format!("{files}/page.mp4")}});
    let refused = app
        .post("/v1/sessions/shop/messages", no_video)
        .await
        .expect(502);
    assert_eq!(refused.code(), "media_unavailable");
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("is not a video")
    );
    app.finish().await;
}

#[tokio::test]
async fn an_answer_quotes_what_it_answers() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.pair("clinic", &bob).await;
    let question = bob.sends_text(alice.number(), "open today?").await.unwrap();
    app.webhook.next().await;
    let mut reply = text(bob.number(), "until six");
    reply["context"] = json!({"message_id": question});
    app.post("/v1/sessions/shop/messages", reply)
        .await
        .expect(200);
    let answer = app.webhook.next().await.body;
    assert_eq!(
        (
            &answer["data"]["session"],
            &answer["data"]["context"]["message_id"]
        ),
        (&json!("clinic"), &json!(question))
    );
    assert_eq!(answer["data"]["text"]["body"], "until six");
    app.finish().await;
}

#[tokio::test]
async fn what_waits_for_a_device_that_is_logged_out_is_not_sent_by_the_next_one() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    let mut later = text(bob.number(), "later");
    later["send_at"] = json!(
        (wapi::clock::Clock::system().now() + jiff::SignedDuration::from_hours(2)).to_string()
    );
    let later = app.accepted("shop", later).await;
    alice.logs_out(device).await.unwrap();
    let failed = app.until_message("shop", &later, "failed").await;
    assert_eq!(failed["error"]["code"], "session_logged_out");
    app.until("shop", "logged_out").await;
    app.post("/v1/sessions/shop/messages", text(bob.number(), "hi"))
        .await
        .expect(409);
    app.finish().await;
}

#[tokio::test]
async fn what_could_not_be_sent_at_once_by_the_original_route_is_never_sent() {
    let app = Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 2)
        .start()
        .await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    app.simulator.faults().acks(AckFault::Drop);
    bob.receipts_are(wapi_simulator::Receipts::Withheld);
    // It holds up its chat, so the next one cannot leave in time.
    let first = app.accepted("shop", text(bob.number(), "first")).await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, first);
    let late = app.send("shop", bob.number(), "in vain").await.expect(504);
    assert!(
        late.json()["detail"]
            .as_str()
            .unwrap()
            .contains("was not sent"),
        "{}",
        late.json()
    );
    app.simulator.faults().acks(AckFault::None);
    app.until_message("shop", &first, "sent").await;
    app.post("/v1/sessions/shop/messages", text(bob.number(), "last"))
        .await
        .expect(200);
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("last")
    );
    app.finish().await;
}
