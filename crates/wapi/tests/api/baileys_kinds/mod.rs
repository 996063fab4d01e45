//! The kinds of messages, with a client that others wrote: each understands what the other says.

mod files;

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Author, Phone, SimulatorOptions};

use crate::harness::{Baileys, Setup, TestApp, eventually};
use files::{albums_and_events, files_both_ways};

const VCARD: &str = "BEGIN:VCARD\nVERSION:3.0\nFN:Bob\nTEL;type=CELL;waid=375447034810:+375 44 703-48-10\nEND:VCARD";

async fn converse(app: TestApp) {
    let (alice, ann) = (app.phone("Alice"), app.phone("Ann"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Ann") else {
        return app.finish().await;
    };
    app.pair("shop", &alice).await;
    baileys.pair(&ann).await;
    from_wapi(&app, &mut baileys, &alice, &ann).await;
    from_baileys(&app, &mut baileys, &alice, &ann).await;
    pins_and_timers(&app, &mut baileys, &alice, &ann).await;
    files_both_ways(&app, &mut baileys, &alice, &ann).await;
    statuses(&app, &mut baileys, &alice, &ann).await;
    albums_and_events(&app, &mut baileys, &alice, &ann).await;
    assert_eq!(alice.failures(), Vec::<String>::new());
    assert_eq!(ann.failures(), Vec::<String>::new());
    app.finish().await;
}

/// The first event that fits.
async fn told(app: &TestApp, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let all = async || {
        app.get("/v1/events?limit=1000").await.expect(200).json()["events"]
            .as_array()
            .unwrap()
            .clone()
    };
    let look = async || {
        all()
            .await
            .into_iter()
            .map(|entry| entry["event"].clone())
            .find(&fits)
    };
    eventually(look, async || {
        format!("{what} was not told: {:#?}", all().await)
    })
    .await
}

/// What Baileys makes of a message.
async fn said(app: &TestApp, baileys: &mut Baileys, mut message: Value, ann: &Phone) -> Value {
    message["to"] = json!(ann.number());
    let id = app.accepted("shop", message).await;
    baileys
        .until("the message", |event| {
            event["event"] == "message" && event["id"] == id.as_str()
        })
        .await
}

async fn from_wapi(app: &TestApp, baileys: &mut Baileys, alice: &Phone, ann: &Phone) {
    let sent = baileys
        .command(json!({"op": "send_text", "to": alice.jid(), "text": "hello?"}))
        .await;
    let theirs = sent["id"].as_str().unwrap();
    app.webhook.next().await;
    let answer = json!({"text": {"body": "yes"}, "context": {"message_id": theirs}});
    let answer = said(app, baileys, answer, ann).await;
    let context = &answer["body"]["contextInfo"];
    assert_eq!(answer["text"], "yes");
    assert_eq!(context["stanzaId"], theirs);
    assert!(
        context["quotedMessage"].to_string().contains("hello?"),
        "{context}"
    );
    let reaction = |emoji: Value| json!({"to": ann.number(), "reaction": {"message_id": theirs, "emoji": emoji}});
    for emoji in [json!("🐙"), Value::Null] {
        app.accepted("shop", reaction(emoji.clone())).await;
        let told = baileys.next("reaction").await;
        assert_eq!(told["id"], theirs);
        assert_eq!(told["emoji"], emoji);
        assert_eq!(told["from_me"], true);
    }
    let place = json!({"location": {"latitude": 53.9, "longitude": 27.5, "name": "Here"}});
    let place = said(app, baileys, place, ann).await;
    assert_eq!(place["type"], "location");
    assert_eq!(place["body"]["degreesLatitude"], 53.9);
    let contact = said(
        app,
        baileys,
        json!({"contacts": [{"vcard": VCARD, "name": "Bob"}]}),
        ann,
    )
    .await;
    assert_eq!(contact["type"], "contact");
    assert_eq!(contact["body"]["vcard"], VCARD);

    let poll = json!({"poll": {"question": "What?", "options": ["Tea", "Coffee"]}});
    let poll = said(app, baileys, poll, ann).await;
    assert_eq!(poll["type"], "pollCreationMessageV3");
    assert_eq!(poll["body"]["name"], "What?");
    // The owner of Baileys' account votes on the phone: Baileys and wapi open the same vote.
    let id = poll["id"].as_str().unwrap();
    ann.votes_on_poll(&alice.jid(), id, Author::Them, &["Coffee"])
        .unwrap();
    assert_eq!(baileys.next("vote").await["options"], json!(["Coffee"]));
    let vote = told(app, "a vote", |event| event["type"] == "poll.vote").await;
    assert_eq!(vote["data"]["options"], json!(["Coffee"]));

    let text = said(app, baileys, json!({"text": {"body": "helo"}}), ann).await;
    let route = format!(
        "/v1/sessions/shop/messages/{}",
        text["id"].as_str().unwrap()
    );
    app.patch(&route, json!({"text": {"body": "hello"}}))
        .await
        .expect(200);
    let edited = baileys.next("edited").await;
    assert_eq!(edited["id"], text["id"]);
    assert_eq!(edited["text"], "hello");
    app.delete(&route).await.expect(200);
    assert_eq!(baileys.next("deleted").await["id"], text["id"]);
}

/// Has Baileys say something; what the webhook is told.
async fn heard(app: &TestApp, baileys: &mut Baileys, command: Value) -> Value {
    let sent = baileys.command(command).await;
    let data = app.webhook.next().await.body["data"].clone();
    assert_eq!(data["id"], sent["id"]);
    data
}

async fn from_baileys(app: &TestApp, baileys: &mut Baileys, alice: &Phone, ann: &Phone) {
    let to = alice.jid();
    let ours = said(app, baileys, json!({"text": {"body": "hello?"}}), ann).await;
    let ours = ours["id"].as_str().unwrap();
    let answer = json!({"op": "send", "to": to, "content": {"text": "yes", "linkPreview": null}, "quoted": ours});
    let answer = heard(app, baileys, answer).await;
    assert_eq!(answer["text"]["body"], "yes");
    assert_eq!(answer["context"]["message_id"], ours);
    assert_eq!(answer["context"]["quoted"]["text"]["body"], "hello?");
    let place =
        json!({"location": {"degreesLatitude": 53.9, "degreesLongitude": 27.5, "name": "Here"}});
    let place = heard(
        app,
        baileys,
        json!({"op": "send", "to": to, "content": place}),
    )
    .await;
    assert_eq!(place["location"]["latitude"], 53.9);
    assert_eq!(place["location"]["name"], "Here");
    let contacts = json!({"contacts": {"displayName": "Bob", "contacts": [{"displayName": "Bob", "vcard": VCARD}]}});
    let contacts = heard(
        app,
        baileys,
        json!({"op": "send", "to": to, "content": contacts}),
    )
    .await;
    assert_eq!(
        contacts["contacts"][0]["phones"][0]["wa_id"],
        "375447034810"
    );

    let poll =
        json!({"poll": {"name": "What?", "values": ["Tea", "Coffee"], "selectableCount": 1}});
    let poll = heard(
        app,
        baileys,
        json!({"op": "send", "to": to, "content": poll}),
    )
    .await;
    assert_eq!(
        poll["poll"],
        json!({"question": "What?", "options": ["Tea", "Coffee"], "max_selections": 1})
    );
    alice
        .votes_on_poll(
            &ann.jid(),
            poll["id"].as_str().unwrap(),
            Author::Them,
            &["Tea"],
        )
        .unwrap();
    assert_eq!(baileys.next("vote").await["options"], json!(["Tea"]));
    let of_poll =
        |event: &Value| event["type"] == "poll.vote" && event["data"]["message_id"] == poll["id"];
    let vote = told(app, "our owner's vote", of_poll).await;
    assert_eq!(vote["data"]["options"], json!(["Tea"]));
    assert_eq!(vote["data"]["from_me"], true);

    let changes = [
        (
            json!({"op": "react", "to": to, "id": ours, "emoji": "🐙"}),
            "message.reaction",
            json!(ours),
        ),
        (
            json!({"op": "edit", "to": to, "id": answer["id"], "text": "no"}),
            "message.edited",
            answer["id"].clone(),
        ),
        (
            json!({"op": "delete", "to": to, "id": answer["id"]}),
            "message.deleted",
            answer["id"].clone(),
        ),
    ];
    for (command, kind, changed) in changes {
        let sent = baileys.command(command).await;
        let of_change = |event: &Value| event["type"] == kind && event["data"]["id"] == sent["id"];
        let told = told(app, kind, of_change).await;
        assert_eq!(told["data"]["message_id"], changed, "{told}");
        match kind {
            "message.reaction" => assert_eq!(told["data"]["emoji"], "🐙"),
            "message.edited" => assert_eq!(told["data"]["text"]["body"], "no"),
            _ => {}
        }
    }
}

/// What is put on messages, and after how long they disappear, both ways.
async fn pins_and_timers(app: &TestApp, baileys: &mut Baileys, alice: &Phone, ann: &Phone) {
    let to = alice.jid();
    let ours = said(app, baileys, json!({"text": {"body": "pin me"}}), ann).await;
    let ours = ours["id"].as_str().unwrap();
    app.put(
        &format!("/v1/sessions/shop/messages/{ours}/pin"),
        json!({"duration": 86_400}),
    )
    .await
    .expect(200);
    let pinned = baileys
        .until("the pin", |event| event["type"] == "pinInChat")
        .await;
    assert_eq!(pinned["body"]["key"]["id"], ours);
    assert_eq!(pinned["body"]["type"], "PIN_FOR_ALL");

    let key = json!({"remoteJid": to, "fromMe": false, "id": ours});
    let pin = json!({"pin": key, "type": 1, "time": 604_800});
    let sent = baileys
        .command(json!({"op": "send", "to": to, "content": pin}))
        .await;
    let of_pin =
        |event: &Value| event["type"] == "message.pinned" && event["data"]["id"] == sent["id"];
    let pinned = told(app, "the pin", of_pin).await;
    assert_eq!(pinned["data"]["message_id"], ours);
    assert_eq!(pinned["data"]["pinned"], true);
    assert_eq!(pinned["data"]["duration"], 604_800);

    let timer = json!({"disappearingMessagesInChat": 86_400});
    baileys
        .command(json!({"op": "send", "to": to, "content": timer}))
        .await;
    let of_timer = |event: &Value| {
        event["type"] == "chat.disappearing" && event["data"]["disappearing"] == 86_400
    };
    told(app, "the timer", of_timer).await;
    let text = said(app, baileys, json!({"text": {"body": "soon gone"}}), ann).await;
    assert_eq!(text["body"]["contextInfo"]["expiration"], 86_400);
    let route = format!("/v1/sessions/shop/chats/{}", ann.number());
    app.patch(&route, json!({"disappearing": 0}))
        .await
        .expect(204);
    assert_eq!(
        said(app, baileys, json!({"text": {"body": "stays"}}), ann).await["body"],
        "stays"
    );

    let choice = json!({"type": "reply", "reply": {"id": "y", "title": "Yes"}});
    let buttons = json!({"interactive": {"type": "button", "body": {"text": "?"}, "action": {"buttons": [choice]}}});
    let buttons = said(app, baileys, buttons, ann).await;
    assert_eq!(
        buttons["body"]["nativeFlowMessage"]["buttons"][0]["name"],
        "quick_reply"
    );
}

async fn statuses(app: &TestApp, baileys: &mut Baileys, alice: &Phone, ann: &Phone) {
    const STATUS: &str = "status@broadcast";
    let mut ids = Vec::new();
    // The second one is sealed with a key that is there already.
    for body in ["open", "closed"] {
        let status = json!({"to": "status", "recipients": [ann.number()], "text": {"body": body}});
        let id = app.accepted("shop", status).await;
        let seen = baileys
            .until("the status", |event| {
                event["event"] == "message" && event["id"] == id.as_str()
            })
            .await;
        assert_eq!(seen["chat"], STATUS);
        assert_eq!(seen["text"], body);
        assert_eq!(seen["body"]["backgroundArgb"], 0xFF1E_6E4F_u32);
        ids.push((id, seen["sender"].clone()));
    }
    let (id, sender) = &ids[0];
    baileys
        .command(json!({"op": "read", "keys": [{"id": id, "chat": STATUS, "sender": sender}]}))
        .await;
    let of_view =
        |event: &Value| event["type"] == "message.read" && event["data"]["id"] == id.as_str();
    let view = told(app, "the view", of_view).await;
    assert_eq!(view["data"]["chat"], STATUS);
    assert_eq!(view["data"]["recipient"]["phone"], ann.number());

    let options = json!({"backgroundColor": "#0000FF", "font": 2, "statusJidList": [alice.jid()], "broadcast": true});
    let posted = json!({"op": "send", "to": STATUS, "content": {"text": "from Baileys"}, "options": options});
    let posted = baileys.command(posted).await;
    let of_status =
        |event: &Value| event["type"] == "status.received" && event["data"]["id"] == posted["id"];
    let status = told(app, "the status", of_status).await;
    let text = json!({"body": "from Baileys", "background_color": "#0000FF", "font": "fb_script"});
    assert_eq!(status["data"]["chat"], STATUS);
    assert_eq!(status["data"]["text"], text);
    assert_eq!(status["data"]["from"]["phone"], ann.number());
}

#[tokio::test]
async fn wapi_and_baileys_understand_each_others_kinds() {
    converse(TestApp::start().await).await;
}

#[tokio::test]
async fn wapi_and_baileys_understand_each_others_kinds_by_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    converse(Setup::new().simulator(options).start().await).await;
}
