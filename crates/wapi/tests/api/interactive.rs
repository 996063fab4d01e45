//! Buttons, lists, calls to action, invitations and live locations: sent, and the answers to them.

use serde_json::{Value, json};
use wapi_simulator::waproto::buffa::MessageField;
use wapi_simulator::waproto::whatsapp as wa;
use wapi_simulator::waproto::whatsapp::message as kinds;
use wapi_simulator::waproto::whatsapp::message::buttons_response_message::Response;
use wapi_simulator::waproto::whatsapp::message::interactive_response_message::{
    Body, InteractiveResponseMessage as Answer, NativeFlowResponseMessage,
};

use crate::harness::{PATIENCE, TestApp};

/// What is asked for, and the buttons a phone decrypts, each with what it needs to know.
fn sent() -> Vec<(Value, Vec<(&'static str, Value)>)> {
    let reply =
        |id: &str, title: &str| json!({"type": "reply", "reply": {"id": id, "title": title}});
    let row = json!({"id": "1", "title": "Tea", "description": "Green"});
    let sections = json!([{"rows": [row, {"id": "2", "title": "Coffee"}]}]);
    vec![
        (
            json!({"type": "button", "action": {"buttons": [reply("y", "Yes"), reply("n", "No")]}}),
            vec![
                ("quick_reply", json!({"display_text": "Yes", "id": "y"})),
                ("quick_reply", json!({"display_text": "No", "id": "n"})),
            ],
        ),
        (
            json!({"type": "list", "action": {"button": "Choose", "sections": sections}}),
            vec![(
                "single_select",
                json!({"title": "Choose", "sections": sections}),
            )],
        ),
        (
            json!({"type": "cta_url", "action": {"name": "cta_url", "parameters": {
                "display_text": "Open", "url": "https://example.com/",
            }}}),
            vec![(
                "cta_url",
                json!({"display_text": "Open", "url": "https://example.com/", "merchant_url": "https://example.com/"}),
            )],
        ),
        (
            json!({"type": "cta_call", "action": {"parameters": {
                "display_text": "Call", "phone_number": "+375 44 703-48-10",
            }}}),
            vec![(
                "cta_call",
                json!({"display_text": "Call", "phone_number": "+375447034810"}),
            )],
        ),
        (
            json!({"type": "cta_copy", "action": {"parameters": {"display_text": "Copy", "code": "7F3A"}}}),
            vec![(
                "cta_copy",
                json!({"display_text": "Copy", "copy_code": "7F3A"}),
            )],
        ),
        (
            json!({"type": "pix", "action": {"parameters": {
                "merchant_name": "Our shop", "key": "shop@example.com", "key_type": "EMAIL", "reference_id": "ORDER1042",
            }}}),
            vec![("payment_info", pix("ORDER1042"))],
        ),
    ]
}

/// As phones write a key without an amount.
fn pix(reference: &str) -> Value {
    let nothing = json!({"value": 0, "offset": 100});
    let item = json!({"name": "", "amount": nothing, "quantity": 0, "sale_amount": nothing});
    let key = json!({"merchant_name": "Our shop", "key": "shop@example.com", "key_type": "EMAIL"});
    json!({
        "currency": "BRL", "total_amount": nothing, "reference_id": reference, "type": "physical-goods",
        "order": {"status": "pending", "subtotal": nothing, "order_type": "ORDER", "items": [item]},
        "payment_settings": [{"type": "pix_static_code", "pix_static_code": key}], "share_payment_status": false,
    })
}

#[tokio::test]
async fn a_pix_key_needs_no_words_and_gets_a_reference() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let key = json!({"merchant_name": "Our shop", "key": "shop@example.com", "key_type": "EMAIL"});
    let interactive = json!({"type": "pix", "action": {"parameters": key}});
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.number(), "interactive": interactive}),
        )
        .await;
    let received = bob.next_message(PATIENCE).await.unwrap();
    let shown = app.message("shop", &id).await["interactive"].clone();
    let reference = shown["action"]["parameters"]["reference_id"]
        .as_str()
        .unwrap();
    assert_eq!((reference.len(), &shown["body"]), (11, &Value::Null));
    let flow = received
        .protobuf
        .interactive_message
        .as_option()
        .unwrap()
        .interactive_message
        .clone()
        .unwrap();
    let kinds::interactive_message::InteractiveMessage::NativeFlowMessage(flow) = flow else {
        panic!("no flow")
    };
    let known: Value =
        serde_json::from_str(flow.buttons[0].button_params_json.as_deref().unwrap()).unwrap();
    assert_eq!(known, pix(reference));
    // What names an amount says more than a key, and is told as WhatsApp wrote it.
    let mut protobuf = (*received.protobuf).clone();
    let mut dear = known;
    dear["total_amount"]["value"] = json!(1_050);
    let mut more = *flow;
    more.buttons[0].button_params_json = Some(dear.to_string());
    protobuf
        .interactive_message
        .as_option_mut()
        .unwrap()
        .interactive_message =
        Some(kinds::interactive_message::InteractiveMessage::NativeFlowMessage(Box::new(more)));
    bob.sends_message(alice.number(), "text", protobuf).unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["type"], "unsupported");
    app.finish().await;
}

#[tokio::test]
async fn each_kind_reaches_the_phone_and_comes_back_as_it_was() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    for (mut interactive, expected) in sent() {
        interactive["header"] = json!({"type": "text", "text": "Above"});
        interactive["body"] = json!({"text": "Between"});
        interactive["footer"] = json!({"text": "Below"});
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "interactive": interactive}),
            )
            .await;
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.id, id);
        let protobuf = (*received.protobuf).clone();
        let message = &received.to_json()["interactive_message"];
        assert_eq!(
            (&message["header"]["title"], &message["body"]["text"]),
            (&json!("Above"), &json!("Between"))
        );
        assert_eq!(message["footer"]["text"], "Below");
        let buttons = message["interactive_message"].to_string();
        let flow = protobuf
            .interactive_message
            .as_option()
            .unwrap()
            .interactive_message
            .clone()
            .unwrap();
        let kinds::interactive_message::InteractiveMessage::NativeFlowMessage(flow) = flow else {
            panic!("{buttons}")
        };
        let told: Vec<_> = flow
            .buttons
            .iter()
            .map(|button| {
                let known: Value =
                    serde_json::from_str(button.button_params_json.as_deref().unwrap()).unwrap();
                (button.name.clone().unwrap(), known)
            })
            .collect();
        assert_eq!(
            told,
            expected
                .into_iter()
                .map(|(name, known)| (name.to_owned(), known))
                .collect::<Vec<_>>()
        );
        // One object for both ways.
        let shown = app.message("shop", &id).await["interactive"].clone();
        bob.sends_message(alice.number(), "text", protobuf).unwrap();
        let back = app.webhook.next().await.body;
        assert_eq!(
            (&back["data"]["type"], &back["data"]["interactive"]),
            (&json!("interactive"), &shown)
        );
    }
    app.finish().await;
}

fn some<T: Default>(message: T) -> MessageField<T> {
    MessageField::some(message)
}

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn flow(name: &str, text: &str, known: &Value) -> wa::Message {
    let answer = NativeFlowResponseMessage {
        name: words(name),
        params_json: Some(known.to_string()),
        version: Some(3),
    };
    let reply = kinds::InteractiveResponseMessage {
        body: some(Body {
            text: words(text),
            ..Default::default()
        }),
        interactive_response_message: Some(Answer::NativeFlowResponseMessage(Box::new(answer))),
        ..Default::default()
    };
    wa::Message {
        interactive_response_message: some(reply),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_was_tapped_is_told() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let context = wa::ContextInfo {
        stanza_id: words("3EB0"),
        ..Default::default()
    };
    let button = kinds::ButtonsResponseMessage {
        selected_button_id: words("y"),
        response: Some(Response::SelectedDisplayText("Yes".to_owned())),
        context_info: some(context),
        ..Default::default()
    };
    let template = kinds::TemplateButtonReplyMessage {
        selected_id: words("y"),
        selected_display_text: words("Yes"),
        ..Default::default()
    };
    let row = kinds::list_response_message::SingleSelectReply {
        selected_row_id: words("1"),
    };
    let list = kinds::ListResponseMessage {
        title: words("Tea"),
        description: words("Green"),
        single_select_reply: some(row),
        ..Default::default()
    };
    let yes = json!({"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}});
    let form = json!({"age": 7});
    let filled = json!({"name": "form", "body": "Sent", "response_json": form.to_string()});
    for (message, expected) in [
        (
            wa::Message {
                buttons_response_message: some(button),
                ..Default::default()
            },
            yes.clone(),
        ),
        (
            wa::Message {
                template_button_reply_message: some(template),
                ..Default::default()
            },
            yes.clone(),
        ),
        (
            wa::Message {
                list_response_message: some(list),
                ..Default::default()
            },
            json!({"type": "list_reply", "list_reply": {"id": "1", "title": "Tea", "description": "Green"}}),
        ),
        (flow("quick_reply", "Yes", &json!({"id": "y"})), yes),
        (
            flow(
                "single_select",
                "Tea",
                &json!({"id": "1", "description": "Green"}),
            ),
            json!({"type": "list_reply", "list_reply": {"id": "1", "title": "Tea", "description": "Green"}}),
        ),
        (
            flow("form", "Sent", &form),
            json!({"type": "nfm_reply", "nfm_reply": filled}),
        ),
    ] {
        bob.sends_message(alice.number(), "text", message).unwrap();
        let data = app.webhook.next().await.body["data"].clone();
        assert_eq!(
            (&data["type"], &data["interactive"]),
            (&json!("interactive"), &expected)
        );
        if expected["button_reply"]["id"] == "y" && data["context"].is_object() {
            assert_eq!(data["context"]["message_id"], "3EB0");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn invitations_and_live_locations_reach_the_phone() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    for (message, expected) in [
        (
            json!({"live_location": {
                "latitude": 53.9, "longitude": -27.5, "accuracy": 5, "speed": 1.5, "bearing": 90, "caption": "soon",
            }}),
            json!({"live_location_message": {
                "degrees_latitude": 53.9, "degrees_longitude": -27.5, "accuracy_in_meters": 5, "speed_in_mps": 1.5,
                "degrees_clockwise_from_magnetic_north": 90, "caption": "soon", "sequence_number": 1,
            }}),
        ),
        (
            json!({"group_invite": {
                "group": "120363025246125486@g.us", "code": "c0de", "name": "Friends", "caption": "Join us",
                "expires_at": "2026-12-01T09:00:00Z",
            }}),
            json!({"group_invite_message": {
                "group_jid": "120363025246125486@g.us", "invite_code": "c0de", "group_name": "Friends",
                "caption": "Join us", "invite_expiration": 1_796_115_600,
            }}),
        ),
    ] {
        let kind = message.as_object().unwrap().keys().next().unwrap().clone();
        let asked = |object: &Value| json!({"to": bob.number(), (kind.clone()): object});
        let id = app.accepted("shop", asked(&message[&kind])).await;
        let without_context = |received: wapi_simulator::PhoneMessage| {
            let mut json = received.to_json();
            json.as_object_mut().unwrap().remove("message_context_info");
            json
        };
        assert_eq!(
            without_context(bob.next_message(PATIENCE).await.unwrap()),
            expected
        );
        // What is shown can be sent again.
        app.accepted("shop", asked(&app.message("shop", &id).await[&kind]))
            .await;
        assert_eq!(
            without_context(bob.next_message(PATIENCE).await.unwrap()),
            expected
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn what_no_phone_would_show_is_named() {
    let app = TestApp::start().await;
    let body = json!({"text": "What?"});
    let reply = |id: &str, title: &str| json!({"reply": {"id": id, "title": title}});
    for (interactive, wrong) in [
        (
            json!({}),
            vec!["interactive.type", "interactive.body", "interactive.action"],
        ),
        (
            json!({"type": "carousel", "body": body, "action": {}}),
            vec!["interactive.type"],
        ),
        (
            json!({"type": "button", "body": body, "action": {"buttons": []}}),
            vec!["interactive.action.buttons"],
        ),
        (
            json!({"type": "button", "body": body, "action": {"buttons": [reply("a", "A"), reply("a", "B")]}}),
            vec!["interactive.action.buttons"],
        ),
        (
            json!({"type": "button", "body": body, "action": {"buttons": [reply("a", &"A".repeat(21))]}}),
            vec!["interactive.action.buttons[0].reply.title"],
        ),
        (
            json!({"type": "list", "body": body, "action": {"button": "B", "sections": [{"rows": []}]}}),
            vec!["interactive.action.sections[0].rows"],
        ),
        (
            json!({"type": "cta_url", "body": body, "action": {"parameters": {"display_text": "A", "url": "x"}}}),
            vec!["interactive.action.parameters.url"],
        ),
        (
            json!({"type": "pix", "action": {"parameters": {"merchant_name": "A", "key_type": "IBAN"}}}),
            vec![
                "interactive.action.parameters.key",
                "interactive.action.parameters.key_type",
            ],
        ),
    ] {
        let asked = json!({"to": "375440000009", "interactive": interactive});
        let told = app
            .post("/v1/sessions/shop/messages", asked)
            .await
            .expect(400)
            .fields();
        assert_eq!(told, wrong, "{interactive}");
    }
    app.finish().await;
}
