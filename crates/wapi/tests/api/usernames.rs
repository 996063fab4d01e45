//! Usernames, by which accounts are found and named: told where WhatsApp tells them.

use serde_json::{Value, json};

use crate::harness::{eventually, shop};

#[tokio::test]
async fn a_saved_contact_has_a_username_in_the_list_and_in_events() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let first = app.webhook.next().await.body["data"].clone();
        assert!(first["from"].get("username").is_none(), "{first}");
        bob.takes_username(Some("bob.bakes"));
        alice.names_contact(bob.number(), "Bob B").unwrap();
        let told = app.events("contact.updated", 1).await;
        let contact = &told[0]["data"]["contact"];
        assert_eq!(
            (&contact["name"], &contact["username"]),
            (&json!("Bob B"), &json!("bob.bakes"))
        );
        bob.sends_text(alice.number(), "again").await.unwrap();
        let second = app.webhook.next().await.body["data"].clone();
        assert_eq!(second["from"]["username"], "bob.bakes");
        // The history follows the events.
        let route = format!("/v1/sessions/shop/contacts/{}", bob.number());
        let shown = async || app.get(&route).await.json();
        let known = async || Some(shown().await).filter(|it| it["username"] == "bob.bakes");
        eventually(known, async || format!("{:#}", shown().await)).await;
        // A new start knows it, too.
        let stopped = app.stop().await;
        stopped.start().await;
        app.until("shop", "online").await;
        bob.sends_text(alice.number(), "still there").await.unwrap();
        let third = app.webhook.next().await.body["data"].clone();
        assert_eq!(third["from"]["username"], "bob.bakes");
    })
    .await;
}

#[tokio::test]
async fn members_and_followers_have_their_usernames() {
    shop(async |app, alice, bob| {
        bob.takes_username(Some("bob.bakes"));
        let group = bob.creates_group("club", &[&alice]).unwrap();
        let told = app.events("group.created", 1).await;
        assert_eq!(told[0]["data"]["by"]["username"], "bob.bakes");
        let route = format!("/v1/sessions/shop/groups/{group}");
        let shown = app.get(&route).await.expect(200).json();
        let of = |people: &Value, number: &str| {
            let mut people = people.as_array().unwrap().iter();
            let found = people.find(|person| person["phone"] == number);
            found.expect("it is one of them")["username"].clone()
        };
        assert_eq!(of(&shown["participants"], bob.number()), "bob.bakes");
        assert_eq!(of(&shown["participants"], alice.number()), Value::Null);

        let newsletters = "/v1/sessions/shop/newsletters";
        let made = app.post(newsletters, json!({"name": "Cakes"})).await;
        let news = made.expect(201).json()["id"].as_str().unwrap().to_owned();
        bob.follows_newsletter(&news).unwrap();
        let route = format!("{newsletters}/{news}/followers");
        let listed = app.get(&route).await.expect(200).json();
        assert_eq!(of(&listed["followers"], bob.number()), "bob.bakes");
    })
    .await;
}

#[tokio::test]
async fn a_check_of_numbers_tells_usernames_on_request() {
    shop(async |app, _, bob| {
        let carol = app.phone("Carol");
        bob.takes_username(Some("bob.bakes"));
        let route = "/v1/sessions/shop/contacts/check";
        let phones = json!([bob.number(), carol.number(), "+375 29 000 00 00"]);
        let answer = app.post(route, json!({"phones": phones})).await;
        let plain = answer.expect(200).json()["contacts"].clone();
        let wish = json!({"phones": phones, "usernames": true});
        let checked = app.post(route, wish).await.expect(200).json()["contacts"].clone();
        let usernames = |contacts: &Value| {
            let contacts = contacts.as_array().unwrap().iter();
            contacts
                .map(|it| it["username"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(usernames(&plain), vec![Value::Null; 3]);
        let expected = [json!("bob.bakes"), Value::Null, Value::Null];
        assert_eq!(usernames(&checked), expected);
        let wrong = json!({"phones": phones, "usernames": "yes"});
        let wrong = app.post(route, wrong).await.expect(400);
        assert_eq!(wrong.fields(), ["usernames"]);
    })
    .await;
}
