//! Buttons, lists, calls to action, invitations and live locations: sent, and the answers to them.

use serde_json::{Value, json};
use wapi_simulator::ChosenRow;

use crate::harness::{PATIENCE, TestApp, gateway, shop};

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
    shop(async |app, alice, bob| {
        let key =
            json!({"merchant_name": "Our shop", "key": "shop@example.com", "key_type": "EMAIL"});
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
        assert_eq!(reference.len(), 11);
        assert_eq!(shown["body"], Value::Null);
        let (_, known) = received.flow_buttons().unwrap().remove(0);
        assert_eq!(known, pix(reference));
        // What names an amount says more than a key, and is told as WhatsApp wrote it.
        bob.repeats_pix_with_amount(alice.number(), &received, 1_050)
            .unwrap();
        assert_eq!(app.webhook.next().await.body["data"]["type"], "unsupported");
    })
    .await;
}

#[tokio::test]
async fn each_kind_reaches_the_phone_and_comes_back_as_it_was() {
    shop(async |app, alice, bob| {
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
            let message = &received.to_json()["interactive_message"];
            assert_eq!(message["header"]["title"], "Above");
            assert_eq!(message["body"]["text"], "Between");
            assert_eq!(message["footer"]["text"], "Below");
            let told = received.flow_buttons().unwrap();
            assert_eq!(
                told,
                expected
                    .into_iter()
                    .map(|(name, known)| (name.to_owned(), known))
                    .collect::<Vec<_>>()
            );
            // One object for both ways.
            let shown = app.message("shop", &id).await["interactive"].clone();
            bob.repeats_message(alice.number(), &received).unwrap();
            let back = app.webhook.next().await.body;
            assert_eq!(back["data"]["type"], "interactive");
            assert_eq!(back["data"]["interactive"], shown);
        }
    })
    .await;
}

/// What the webhook is told of a tap.
async fn told(app: &TestApp) -> Value {
    let data = app.webhook.next().await.body["data"].clone();
    assert_eq!(data["type"], "interactive");
    data
}

fn yes() -> Value {
    json!({"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}})
}

fn tea() -> Value {
    json!({"type": "list_reply", "list_reply": {"id": "1", "title": "Tea", "description": "Green"}})
}

#[tokio::test]
async fn a_tapped_button_is_told_with_the_message_it_is_under() {
    shop(async |app, alice, bob| {
        bob.taps_button(alice.number(), "3EB0", "y", "Yes").unwrap();
        let told = told(app).await;
        assert_eq!(told["interactive"], yes());
        assert_eq!(told["context"]["message_id"], "3EB0");
    })
    .await;
}

#[tokio::test]
async fn a_tapped_button_of_a_template_is_a_button() {
    shop(async |app, alice, bob| {
        bob.taps_template_button(alice.number(), "y", "Yes")
            .unwrap();
        assert_eq!(told(app).await["interactive"], yes());
    })
    .await;
}

#[tokio::test]
async fn a_tapped_button_of_a_flow_is_a_button() {
    shop(async |app, alice, bob| {
        bob.answers_flow(alice.number(), "quick_reply", "Yes", &json!({"id": "y"}))
            .unwrap();
        assert_eq!(told(app).await["interactive"], yes());
    })
    .await;
}

#[tokio::test]
async fn a_chosen_row_is_told_with_its_description() {
    shop(async |app, alice, bob| {
        let row = ChosenRow {
            id: "1",
            title: "Tea",
            description: "Green",
        };
        bob.chooses_row(alice.number(), row).unwrap();
        assert_eq!(told(app).await["interactive"], tea());
    })
    .await;
}

#[tokio::test]
async fn a_chosen_row_of_a_flow_is_a_row() {
    shop(async |app, alice, bob| {
        let row = json!({"id": "1", "description": "Green"});
        bob.answers_flow(alice.number(), "single_select", "Tea", &row)
            .unwrap();
        assert_eq!(told(app).await["interactive"], tea());
    })
    .await;
}

#[tokio::test]
async fn a_form_that_was_filled_in_is_told_as_it_was_written() {
    shop(async |app, alice, bob| {
        let form = json!({"age": 7});
        bob.answers_flow(alice.number(), "form", "Sent", &form)
            .unwrap();
        let filled = json!({"name": "form", "body": "Sent", "response_json": form.to_string()});
        assert_eq!(
            told(app).await["interactive"],
            json!({"type": "nfm_reply", "nfm_reply": filled})
        );
    })
    .await;
}

#[tokio::test]
async fn invitations_and_live_locations_reach_the_phone() {
    shop(async |app, _, bob| {
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
                json!({"newsletter_invite": {
                    "newsletter": "120363025246125486@newsletter", "name": "News", "caption": "Write with us",
                    "expires_at": "2026-12-01T09:00:00Z",
                }}),
                json!({"newsletter_admin_invite_message": {
                    "newsletter_jid": "120363025246125486@newsletter", "newsletter_name": "News",
                    "caption": "Write with us", "invite_expiration": 1_796_115_600,
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
    }).await;
}

#[tokio::test]
async fn what_no_phone_would_show_is_named() {
    gateway(async |app| {
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
    }).await;
}
