//! Groups: messages both ways, what each member does with them, and what is told of changes.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Author, Phone};

use crate::harness::{PATIENCE, TestApp};

/// A session of Alice's, and a group of hers with Bob and Carol that names its members so.
async fn in_a_group(addressing: Addressing) -> (TestApp, [Phone; 3], String) {
    let app = TestApp::start().await;
    let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
    app.pair("shop", &alice).await;
    let group = bob
        .creates_group_addressed("club", &[&alice, &carol], addressing)
        .unwrap();
    (app, [alice, bob, carol], group)
}

fn text(to: &str, body: &str) -> Value {
    json!({"to": to, "type": "text", "text": {"body": body}})
}

fn person(phone: &Phone, name: &str) -> Value {
    json!({"id": phone.jid(), "phone": phone.number(), "lid": phone.lid(), "name": name})
}

#[tokio::test]
async fn messages_go_both_ways_and_each_member_is_heard() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol], group) = in_a_group(addressing).await;
        let received = bob.sends_text(&group, "hello all").await.unwrap();
        let told = app.webhook.next().await.body["data"].clone();
        assert_eq!(
            (&told["id"], &told["chat"]),
            (&json!(received), &json!(group))
        );
        assert_eq!(told["from"], person(&bob, "Bob"));
        assert_eq!(told["text"]["body"], "hello all");
        carol.next_message(PATIENCE).await.unwrap();
        alice.next_message(PATIENCE).await.unwrap();

        let sent = app
            .post(
                "/v1/sessions/shop/messages",
                text(&group, "hello Bob and Carol"),
            )
            .await
            .expect(200)
            .json();
        let message = &sent["messages"][0];
        assert_eq!(
            (&message["status"], &message["chat"]),
            (&json!("sent"), &json!(group))
        );
        let id = message["id"].as_str().unwrap();
        for phone in [&bob, &carol] {
            let shown = phone.next_message(PATIENCE).await.unwrap();
            assert_eq!(
                (shown.id.as_str(), shown.chat.as_str()),
                (id, group.as_str())
            );
            assert_eq!(
                (shown.from.as_str(), shown.text.as_deref()),
                (alice.jid().as_str(), Some("hello Bob and Carol"))
            );
        }
        carol.reads_messages(&group, &[id.to_owned()]).unwrap();
        let updates = app.events("message.delivered,message.read", 3).await;
        let mut said: Vec<_> = updates
            .iter()
            .map(|event| {
                (
                    event["type"].as_str().unwrap(),
                    event["data"]["recipient"]["phone"].as_str().unwrap(),
                )
            })
            .collect();
        said.sort_unstable();
        let mut expected = [
            ("message.delivered", bob.number()),
            ("message.delivered", carol.number()),
            ("message.read", carol.number()),
        ];
        expected.sort_unstable();
        assert_eq!(said, expected);
        let story = app.message("shop", id).await;
        let read: Vec<_> = story["recipients"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["read_at"].is_string())
            .collect();
        assert_eq!(
            (read.len(), &read[0]["id"]),
            (1, &json!(carol.jid())),
            "{story}"
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn edits_reactions_and_deletions_in_a_group_name_who_did_them() {
    let (app, [alice, bob, carol], group) = in_a_group(Addressing::Lid).await;
    let id = bob.sends_text(&group, "helo").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "helo"
    );
    carol.next_message(PATIENCE).await.unwrap();
    alice.next_message(PATIENCE).await.unwrap();
    bob.edits_message(&group, &id, "hello").unwrap();
    carol
        .reacts_to_message(&group, &id, Author::Them, "👍")
        .unwrap();
    bob.deletes_message(&group, &id).unwrap();
    let told = app
        .events("message.edited,message.reaction,message.deleted", 3)
        .await;
    let shown: Vec<_> = told
        .iter()
        .map(|event| (&event["type"], &event["data"]["from"]["phone"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("message.edited"), &json!(bob.number())),
            (&json!("message.reaction"), &json!(carol.number())),
            (&json!("message.deleted"), &json!(bob.number())),
        ]
    );
    for event in &told {
        assert_eq!(
            (&event["data"]["message_id"], &event["data"]["chat"]),
            (&json!(id), &json!(group))
        );
    }
    assert_eq!(told[0]["data"]["text"]["body"], "hello");
    assert_eq!(told[1]["data"]["emoji"], "👍");
    app.finish().await;
}

#[tokio::test]
async fn what_somebody_wrote_is_changed_by_them_and_taken_back_by_them_or_an_admin() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol], group) = in_a_group(addressing).await;
        let mut ids = Vec::new();
        for body in ["first", "second", "third"] {
            ids.push(bob.sends_text(&group, body).await.unwrap());
            app.webhook.next().await;
            carol.next_message(PATIENCE).await.unwrap();
        }
        let mine = app
            .post("/v1/sessions/shop/messages", text(&group, "mine"))
            .await
            .expect(200)
            .json();
        let mine = mine["messages"][0]["id"].as_str().unwrap().to_owned();
        carol.next_message(PATIENCE).await.unwrap();
        // She is no admin: neither as if they were hers, nor as if she were one, nor by other words.
        for id in [&ids[0], &mine] {
            carol.deletes_message(&group, id).unwrap();
            carol.edits_message(&group, id, "forged").unwrap();
        }
        carol.deletes_others_message(&group, &ids[0]).unwrap();
        bob.deletes_message(&group, &ids[1]).unwrap();
        // What she tried is judged before she becomes one.
        app.events("message.deleted", 1).await;
        bob.promotes_members(&group, &[&carol]).unwrap();
        app.events("group.participants", 1).await;
        carol.deletes_others_message(&group, &ids[2]).unwrap();
        // Nobody knows here who wrote that one; whoever takes it back says that it is theirs.
        carol
            .deletes_message(&group, "3EB0AAAAAAAAAAAAAAAA")
            .unwrap();
        let told = app.events("message.edited,message.deleted", 3).await;
        let said = |event: &Value| {
            let data = &event["data"];
            [
                &event["type"],
                &data["message_id"],
                &data["by"],
                &data["from"]["phone"],
            ]
            .map(Value::clone)
        };
        let expected = [
            [
                json!("message.deleted"),
                json!(ids[1]),
                json!("author"),
                json!(bob.number()),
            ],
            [
                json!("message.deleted"),
                json!(ids[2]),
                json!("admin"),
                json!(carol.number()),
            ],
            [
                json!("message.deleted"),
                json!("3EB0AAAAAAAAAAAAAAAA"),
                json!("author"),
                json!(carol.number()),
            ],
        ];
        assert_eq!(told.iter().map(said).collect::<Vec<_>>(), expected);
        let kept = app
            .get(&format!("/v1/sessions/shop/chats/{group}/messages"))
            .await
            .expect(200)
            .json();
        let kept = kept["messages"].as_array().unwrap().iter();
        let kept: Vec<_> = kept
            .map(|it| it["text"]["body"].as_str().or(it["type"].as_str()).unwrap())
            .collect();
        assert_eq!(kept, ["mine", "deleted", "deleted", "first"]);
        // The account is no admin either.
        let path = format!("/v1/sessions/shop/messages/{}?chat={group}", ids[0]);
        assert_eq!(app.delete(&path).await.expect(400).fields(), ["id"]);
        bob.promotes_members(&group, &[&alice]).unwrap();
        app.events("group.participants", 2).await;
        app.delete(&path).await.expect(200);
        app.finish().await;
    }
}

#[tokio::test]
async fn sealed_reactions_are_opened_and_told_like_others() {
    use wapi_simulator::waproto::buffa::MessageField;
    use wapi_simulator::waproto::whatsapp as wa;
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol], group) = in_a_group(addressing).await;
        let secret = wa::MessageContextInfo {
            message_secret: Some(vec![7; 32]),
            ..Default::default()
        };
        let announced = wa::Message {
            conversation: Some("read this".to_owned()),
            message_context_info: MessageField::some(secret),
            ..Default::default()
        };
        let theirs = bob.sends_message(&group, "text", announced).unwrap();
        app.webhook.next().await;
        carol.next_message(PATIENCE).await.unwrap();
        let ours = app.accepted("shop", text(&group, "and this")).await;
        for phone in [&bob, &carol] {
            phone.next_message(PATIENCE).await.unwrap();
        }
        alice.next_message(PATIENCE).await.unwrap();
        for (by, message, author, emoji) in [
            (&carol, &theirs, Author::Them, "👍"),
            (&bob, &theirs, Author::Me, "🐙"),
            (&carol, &ours, Author::Them, "👀"),
            (&carol, &ours, Author::Them, ""),
        ] {
            by.reacts_sealed(&group, message, author, emoji).unwrap();
        }
        let told = app.events("message.reaction", 4).await;
        let shown = |event: &Value| {
            let data = &event["data"];
            json!([
                data["from"]["phone"],
                data["message_id"],
                data["emoji"],
                data["chat"]
            ])
        };
        let expected = [
            json!([carol.number(), theirs, "👍", group]),
            json!([bob.number(), theirs, "🐙", group]),
            json!([carol.number(), ours, "👀", group]),
            json!([carol.number(), ours, null, group]),
        ];
        assert_eq!(told.iter().map(shown).collect::<Vec<_>>(), expected);
        app.finish().await;
    }
}

#[tokio::test]
async fn changes_of_a_group_are_told_with_who_made_them() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol], group) = in_a_group(addressing).await;
        let dave = app.phone("Dave");
        // One after the other: the engine works on several changes at the same time, and some take longer than others.
        let steps: [&dyn Fn() -> anyhow::Result<()>; 9] = [
            &|| bob.renames_group(&group, "new club"),
            &|| bob.describes_group(&group, Some("for all of us")),
            &|| bob.describes_group(&group, None),
            &|| bob.announces_only(&group, true),
            &|| bob.adds_members(&group, &[&dave]),
            &|| bob.promotes_members(&group, &[&dave]),
            &|| bob.demotes_members(&group, &[&dave]),
            &|| bob.removes_members(&group, &[&dave]),
            &|| carol.leaves_group(&group),
        ];
        let types = "group.created,group.updated,group.participants";
        let mut told = app.events(types, 1).await;
        for step in steps {
            step().unwrap();
            told = app.events(types, told.len() + 1).await;
        }
        for event in &told {
            assert_eq!(
                (&event["data"]["session"], &event["data"]["chat"]),
                (&json!("shop"), &json!(group))
            );
        }
        let created = &told[0]["data"];
        assert_eq!(
            (&told[0]["type"], &created["subject"]),
            (&json!("group.created"), &json!("club"))
        );
        assert_eq!(created["by"], person(&bob, "Bob"));
        let roles: Vec<_> = created["participants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (&it["phone"], &it["role"]))
            .collect();
        let member = json!("member");
        let numbers = [alice.number(), bob.number(), carol.number()].map(|number| json!(number));
        let expected = [
            (&numbers[0], &member),
            (&numbers[1], &json!("superadmin")),
            (&numbers[2], &member),
        ]
        .map(|(a, b)| (a.clone(), b.clone()));
        assert_eq!(
            roles
                .into_iter()
                .map(|(a, b)| (a.clone(), b.clone()))
                .collect::<Vec<_>>(),
            expected
        );
        let changes: Vec<_> = told[1..5]
            .iter()
            .map(|event| event["data"]["change"].clone())
            .collect();
        assert_eq!(
            changes,
            [
                json!({"subject": "new club"}),
                json!({"description": "for all of us"}),
                json!({"description": null}),
                json!({"announcement": true}),
            ]
        );
        let moves: Vec<_> = told[5..]
            .iter()
            .map(|event| {
                (
                    event["data"]["action"].clone(),
                    event["data"]["participants"][0]["phone"].clone(),
                )
            })
            .collect();
        let of = |action: &str, phone: &Phone| (json!(action), json!(phone.number()));
        assert_eq!(
            moves,
            [
                of("add", &dave),
                of("promote", &dave),
                of("demote", &dave),
                of("remove", &dave),
                of("leave", &carol)
            ]
        );
        assert_eq!(told[9]["data"]["by"], person(&carol, "Carol"));
        app.finish().await;
    }
}

#[tokio::test]
async fn the_groups_of_an_account_can_be_read_by_members_alone() {
    let (app, [_, bob, carol], group) = in_a_group(Addressing::Lid).await;
    let private = bob.creates_group("without Alice", &[&carol]).unwrap();
    bob.describes_group(&group, Some("hi")).unwrap();
    let list = app.get("/v1/sessions/shop/groups").await.expect(200).json();
    let ids: Vec<_> = list["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(ids, [json!(group)]);
    let one = app
        .get(&format!("/v1/sessions/shop/groups/{group}"))
        .await
        .expect(200)
        .json();
    assert_eq!(one, list["groups"][0]);
    assert_eq!(
        (&one["subject"], &one["description"]),
        (&json!("club"), &json!("hi"))
    );
    assert_eq!(one["created_by"]["phone"], bob.number());
    assert_eq!(one["participants"].as_array().unwrap().len(), 3);
    for unknown in [private.as_str(), "120363000000000000@g.us"] {
        let answer = app
            .get(&format!("/v1/sessions/shop/groups/{unknown}"))
            .await
            .expect(404);
        assert_eq!(answer.code(), "group_not_found");
    }
    let answer = app
        .get("/v1/sessions/shop/groups/375440000001")
        .await
        .expect(400);
    assert_eq!(answer.fields(), ["group"]);
    assert_eq!(
        app.get("/v1/sessions/nobody/groups")
            .await
            .expect(404)
            .code(),
        "session_not_found"
    );
    app.finish().await;
}

#[tokio::test]
async fn what_a_member_cannot_open_is_sent_again() {
    let (app, [_, bob, carol], group) = in_a_group(Addressing::Lid).await;
    app.accepted("shop", text(&group, "first")).await;
    for phone in [&bob, &carol] {
        phone.next_message(PATIENCE).await.unwrap();
    }
    carol.loses_keys_of(&group);
    app.accepted("shop", text(&group, "second")).await;
    assert_eq!(
        carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("second")
    );
    assert_eq!(carol.failures().len(), 1, "at first it could not be opened");
    app.finish().await;
}

#[tokio::test]
async fn a_message_to_a_group_the_account_is_not_in_fails_and_says_why() {
    let (app, [_, bob, carol], _) = in_a_group(Addressing::Lid).await;
    let private = bob.creates_group("without Alice", &[&carol]).unwrap();
    let answer = app
        .post("/v1/sessions/shop/messages", text(&private, "let me in"))
        .await;
    assert_eq!(answer.expect(404).code(), "group_not_found");
    assert!(bob.received_messages().is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_group_that_takes_no_message_of_the_account_says_why() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let group = bob.creates_group("club", &[&alice]).unwrap();
    bob.announces_only(&group, true).unwrap();
    let answer = app
        .post(
            "/v1/sessions/shop/messages?wait=30",
            json!({"to": group, "text": {"body": "hi"}}),
        )
        .await
        .expect(502);
    let problem = answer.json();
    assert_eq!(problem["code"], "whatsapp_refused");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("only admins may write"),
        "{problem}"
    );
    app.finish().await;
}
