//! Numbers that have two forms, as in Brazil, Mexico and Argentina: everything goes to the one that WhatsApp answers with, and says so.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Phone};

use crate::harness::{PATIENCE, TestApp, gateway, shop};

/// A form of each number that nobody has.
const FORMS: [&str; 3] = ["5511987654321", "5215512345678", "5491123456789"];

/// People whose numbers have another form each.
fn people_with_forms(app: &TestApp) -> [Phone; 3] {
    let people = ["Bruna", "Maria", "Ana"].map(|name| app.phone(name));
    for (person, form) in people.iter().zip(FORMS) {
        person.gets_alias(form);
    }
    people
}

/// The answers to a check of these numbers: whether there is an account, and its number.
async fn check(app: &TestApp, phones: &[&str]) -> Vec<Value> {
    let checked = app
        .post(
            "/v1/sessions/shop/contacts/check",
            json!({"phones": phones}),
        )
        .await
        .expect(200)
        .json();
    let contacts = checked["contacts"].as_array().unwrap().iter();
    contacts
        .map(|contact| json!([contact["exists"], contact["phone"]]))
        .collect()
}

#[tokio::test]
async fn a_number_in_another_form_is_checked_as_whatsapp_knows_it() {
    shop(async |app, _, _| {
        let [bruna, maria, ana] = people_with_forms(app);
        let nobody = "375449999999";
        let checked = check(app, &[FORMS[0], nobody, FORMS[1], ana.number(), FORMS[2]]).await;
        let expected = [
            json!([true, bruna.number()]),
            json!([false, nobody]),
            json!([true, maria.number()]),
            json!([true, ana.number()]),
            json!([true, ana.number()]),
        ];
        assert_eq!(checked, expected);
    })
    .await;
}

#[tokio::test]
async fn both_forms_of_a_number_are_checked_in_any_order() {
    shop(async |app, _, _| {
        let [bruna, ..] = people_with_forms(app);
        let expected = json!([true, bruna.number()]);
        for phones in [[bruna.number(), FORMS[0]], [FORMS[0], bruna.number()]] {
            let checked = check(app, &phones).await;
            assert_eq!(checked, [expected.clone(), expected.clone()], "{phones:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_number_in_another_form_is_written_to_as_whatsapp_knows_it() {
    shop(async |app, _, _| {
        for (person, form) in people_with_forms(app).iter().zip(FORMS) {
            // The second is sent with what the first brought along.
            for text in ["first", "second"] {
                let message = json!({"to": form, "text": {"body": text}});
                let sent = app
                    .post("/v1/sessions/shop/messages?wait=30", message)
                    .await
                    .expect(200)
                    .json();
                assert_eq!(sent["messages"][0]["chat"], person.jid());
                let contact = json!({"input": form, "wa_id": person.number(), "lid": null});
                assert_eq!(sent["contacts"], json!([contact]));
                let received = person.next_message(PATIENCE).await.unwrap();
                assert_eq!(received.text.as_deref(), Some(text));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_original_route_writes_to_another_form_as_whatsapp_knows_it() {
    shop(async |app, _, _| {
        for (person, form) in people_with_forms(app).iter().zip(FORMS) {
            let sent = app.send("shop", form, "hi").await.expect(200).json();
            assert_eq!(sent["chat"], person.jid());
            person.next_message(PATIENCE).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn many_at_once_go_there_and_a_whatsapp_that_says_nothing_holds_nobody_up() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        let people = ["Bruna", "Maria", "Ana"].map(|name| app.phone(name));
        for (person, form) in people.iter().zip(FORMS) {
            person.gets_alias(form);
        }
        let batch = |forms: &[&str]| {
            let messages = forms
                .iter()
                .map(|form| json!({"to": form, "text": {"body": "hi"}}));
            json!({"messages": messages.collect::<Vec<_>>()})
        };
        let sent = app
            .post("/v1/sessions/shop/messages/batch", batch(&FORMS))
            .await
            .expect(202)
            .json();
        for (result, person) in sent["results"].as_array().unwrap().iter().zip(&people) {
            assert_eq!(result["messages"][0]["chat"], person.jid());
            person.next_message(PATIENCE).await.unwrap();
        }
        // It is asked once in vain, and not for each of them.
        app.simulator
            .faults()
            .freeze_device(alice.number(), device)
            .unwrap();
        let others: Vec<String> = (0..20)
            .map(|number| format!("3754400001{number:02}"))
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let accepted = app
            .post("/v1/sessions/shop/messages/batch", batch(&others))
            .await
            .expect(202)
            .json();
        assert_eq!(accepted["results"].as_array().unwrap().len(), others.len());
        app.simulator
            .faults()
            .thaw_device(alice.number(), device)
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_was_accepted_without_a_connection_goes_there_too() {
    gateway(async |app| {
        let (alice, bruna) = (app.phone("Alice"), app.phone("Bruna"));
        let device = app.pair("shop", &alice).await;
        bruna.gets_alias(FORMS[0]);
        app.simulator.faults().refuse_connections(true);
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        app.until("shop", "offline").await;
        let id = app
            .accepted("shop", json!({"to": FORMS[0], "text": {"body": "later"}}))
            .await;
        app.simulator.faults().refuse_connections(false);
        app.register("shop").await;
        app.until_message("shop", &id, "delivered").await;
        assert_eq!(bruna.next_message(PATIENCE).await.unwrap().id, id);
    })
    .await;
}

#[tokio::test]
async fn statuses_mentions_presence_and_blocks_in_another_form_reach_whom_they_mean() {
    shop(async |app, _, _| {
        // Each is asked for the first time in another way.
        let [read, mentioned, watched, blocked] =
            ["Bruna", "Maria", "Ana", "Rosa"].map(|name| app.phone(name));
        let forms = [FORMS[0], FORMS[1], FORMS[2], "5521987654321"];
        for (person, form) in [&read, &mentioned, &watched, &blocked]
            .into_iter()
            .zip(forms)
        {
            person.gets_alias(form);
        }
        let status =
            json!({"to": "status", "recipients": [forms[0], read.number()], "text": {"body": "open"}});
        let id = app.accepted("shop", status).await;
        assert_eq!(read.next_message(PATIENCE).await.unwrap().id, id);

        let words = |number: &str| format!("Ask @{number}!");
        let asked =
            json!({"to": read.number(), "text": {"body": words(forms[1])}, "mentions": [forms[1]]});
        app.accepted("shop", asked).await;
        let text = &read.next_message(PATIENCE).await.unwrap().to_json()["extended_text_message"];
        assert_eq!(text["text"], words(mentioned.number()));
        assert_eq!(
            text["context_info"]["mentioned_jid"],
            json!([mentioned.jid()])
        );

        app.put(
            &format!("/v1/sessions/shop/contacts/{}/presence", forms[2]),
            json!({}),
        )
        .await
        .expect(204);
        let told = app.events("presence.changed", 1).await;
        assert_eq!(told[0]["data"]["from"]["phone"], watched.number());

        app.put(
            &format!("/v1/sessions/shop/contacts/{}/block", forms[3]),
            json!({}),
        )
        .await
        .expect(204);
        let listed = app
            .get("/v1/sessions/shop/blocked")
            .await
            .expect(200)
            .json();
        assert_eq!(listed["contacts"][0]["phone"], blocked.number(), "{listed}");
        app.delete(&format!("/v1/sessions/shop/contacts/{}/block", forms[3]))
            .await
            .expect(204);
    }).await;
}

#[tokio::test]
async fn whoever_is_written_to_under_their_lid_is_told_by_the_number_they_have() {
    gateway(async |app| {
        let (alice, bruna) = (app.phone("Alice"), app.phone("Bruna"));
        app.pair("shop", &alice).await;
        bruna.gets_alias(FORMS[0]);
        bruna.uses_addressing(Addressing::Lid);
        bruna.hides_number(true);
        bruna.sends_text(alice.number(), "hello").await.unwrap();
        assert_eq!(app.webhook.next().await.body["data"]["chat"], bruna.lid());
        bruna.hides_number(false);
        for to in [FORMS[0], bruna.number()] {
            let message = json!({"to": to, "text": {"body": "hi"}});
            let sent = app
                .post("/v1/sessions/shop/messages?wait=30", message.clone())
                .await
                .expect(200)
                .json();
            assert_eq!(sent["messages"][0]["chat"], bruna.lid(), "{sent}");
            assert_eq!(
                sent["contacts"],
                json!([{"input": to, "wa_id": bruna.number(), "lid": null}])
            );
            let batch = json!({"messages": [message]});
            let sent = app
                .post("/v1/sessions/shop/messages/batch", batch)
                .await
                .expect(202)
                .json();
            assert_eq!(
                sent["results"][0]["contacts"][0]["wa_id"],
                bruna.number(),
                "{sent}"
            );
        }
    })
    .await;
}
