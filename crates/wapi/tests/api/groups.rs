//! Groups: messages both ways, what each member does with them, and what is told of changes.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Author, Phone};

use crate::harness::{PATIENCE, TestApp, shop, steady};

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

/// A story of a group that names its members by number, and of one that names them by LID.
async fn in_each_group(story: impl AsyncFn(&TestApp, &[Phone; 3], &str)) {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, phones, group) = in_a_group(addressing).await;
        // Boxed, because the stack of a test is too small for the largest stories.
        Box::pin(story(&app, &phones, &group)).await;
        app.finish().await;
    }
}

#[tokio::test]
async fn a_message_to_a_group_is_told_with_its_sender() {
    in_each_group(async |app, [_, bob, _], group| {
        let received = bob.sends_text(group, "hello all").await.unwrap();
        let told = &app.webhook.next().await.body["data"];
        assert_eq!(told["id"], received);
        assert_eq!(told["chat"], group);
        assert_eq!(told["from"], person(bob, "Bob"));
        assert_eq!(told["text"]["body"], "hello all");
    })
    .await;
}

#[tokio::test]
async fn a_message_reaches_each_member_of_a_group() {
    in_each_group(async |app, [alice, bob, carol], group| {
        let sent = app
            .post(
                "/v1/sessions/shop/messages",
                text(group, "hello Bob and Carol"),
            )
            .await
            .expect(200)
            .json();
        let message = &sent["messages"][0];
        assert_eq!(message["status"], "sent");
        assert_eq!(message["chat"], group);
        for phone in [bob, carol] {
            let shown = phone.next_message(PATIENCE).await.unwrap();
            assert_eq!(message["id"], shown.id);
            assert_eq!(shown.chat, group);
            assert_eq!(shown.from, alice.jid());
            assert_eq!(shown.text.as_deref(), Some("hello Bob and Carol"));
        }
    })
    .await;
}

#[tokio::test]
async fn each_member_of_a_group_is_heard() {
    in_each_group(async |app, [_, bob, carol], group| {
        let id = app.accepted("shop", text(group, "hello")).await;
        carol.next_message(PATIENCE).await.unwrap();
        carol
            .reads_messages(group, std::slice::from_ref(&id))
            .unwrap();
        let told = app.events("message.delivered,message.read", 3).await;
        let step = |event: &Value| json!([event["type"], event["data"]["recipient"]["phone"]]);
        let told: Vec<_> = told.iter().map(step).collect();
        for expected in [
            json!(["message.delivered", bob.number()]),
            json!(["message.delivered", carol.number()]),
            json!(["message.read", carol.number()]),
        ] {
            assert!(told.contains(&expected), "{told:?}");
        }
        let story = app.message("shop", &id).await;
        let recipients = story["recipients"].as_array().unwrap().iter();
        let readers: Vec<_> = recipients
            .filter(|recipient| recipient["read_at"].is_string())
            .map(|recipient| recipient["id"].clone())
            .collect();
        assert_eq!(readers, [carol.jid()], "{story}");
    })
    .await;
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
        assert_eq!(event["data"]["message_id"], id);
        assert_eq!(event["data"]["chat"], group);
    }
    assert_eq!(told[0]["data"]["text"]["body"], "hello");
    assert_eq!(told[1]["data"]["emoji"], "👍");
    app.finish().await;
}

#[tokio::test]
async fn what_somebody_wrote_is_changed_by_them_and_taken_back_by_them_or_an_admin() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [_, bob, carol], group) = in_a_group(addressing).await;
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
        app.finish().await;
    }
}

#[tokio::test]
async fn an_account_takes_back_what_others_wrote_once_it_is_an_admin() {
    in_each_group(async |app, [alice, bob, _], group| {
        let id = bob.sends_text(group, "hello").await.unwrap();
        app.webhook.next().await;
        let path = format!("/v1/sessions/shop/messages/{id}?chat={group}");
        assert_eq!(app.delete(&path).await.expect(400).fields(), ["id"]);
        bob.promotes_members(group, &[alice]).unwrap();
        app.events("group.participants", 1).await;
        app.delete(&path).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn sealed_reactions_are_opened_and_told_like_others() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, [alice, bob, carol], group) = in_a_group(addressing).await;
        let theirs = bob.sends_text(&group, "read this").await.unwrap();
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
async fn a_new_group_is_told_with_its_members_and_their_roles() {
    in_each_group(async |app, [alice, bob, carol], group| {
        let told = &app.events("group.created", 1).await[0]["data"];
        assert_eq!(told["session"], "shop");
        assert_eq!(told["chat"], group);
        assert_eq!(told["subject"], "club");
        assert_eq!(told["by"], person(bob, "Bob"));
        let members = told["participants"].as_array().unwrap().iter();
        let roles: Vec<_> = members
            .map(|member| json!([member["phone"], member["role"]]))
            .collect();
        let expected = [
            json!([alice.number(), "member"]),
            json!([bob.number(), "superadmin"]),
            json!([carol.number(), "member"]),
        ];
        assert_eq!(roles, expected);
    })
    .await;
}

/// The next event of a group, after so many of its kind: the data.
async fn change(app: &TestApp, group: &str, kind: &str, number: usize) -> Value {
    let mut told = app.events(kind, number).await;
    let data = told.pop().unwrap()["data"].take();
    assert_eq!(data["session"], "shop");
    assert_eq!(data["chat"], group);
    data
}

#[tokio::test]
async fn changes_of_a_groups_settings_are_told() {
    in_each_group(async |app, [_, bob, _], group| {
        let next =
            async |number| change(app, group, "group.updated", number).await["change"].take();
        bob.renames_group(group, "new club").unwrap();
        assert_eq!(next(1).await, json!({"subject": "new club"}));
        bob.describes_group(group, Some("for all of us")).unwrap();
        assert_eq!(next(2).await, json!({"description": "for all of us"}));
        bob.describes_group(group, None).unwrap();
        assert_eq!(next(3).await, json!({"description": null}));
        bob.announces_only(group, true).unwrap();
        assert_eq!(next(4).await, json!({"announcement": true}));
    })
    .await;
}

#[tokio::test]
async fn members_who_come_and_go_are_told() {
    in_each_group(async |app, [_, bob, carol], group| {
        let dave = app.phone("Dave");
        let next = async |number| change(app, group, "group.participants", number).await;
        let step = |told: &Value| json!([told["action"], told["participants"][0]["phone"]]);
        bob.adds_members(group, &[&dave]).unwrap();
        assert_eq!(step(&next(1).await), json!(["add", dave.number()]));
        bob.promotes_members(group, &[&dave]).unwrap();
        assert_eq!(step(&next(2).await), json!(["promote", dave.number()]));
        bob.demotes_members(group, &[&dave]).unwrap();
        assert_eq!(step(&next(3).await), json!(["demote", dave.number()]));
        bob.removes_members(group, &[&dave]).unwrap();
        assert_eq!(step(&next(4).await), json!(["remove", dave.number()]));
        carol.leaves_group(group).unwrap();
        let left = next(5).await;
        assert_eq!(step(&left), json!(["leave", carol.number()]));
        assert_eq!(left["by"], person(carol, "Carol"));
    })
    .await;
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
    insta::assert_json_snapshot!(steady(&one, &[(&group, "[group]")]), @r#"
    {
      "addressing_mode": "lid",
      "admin_reports": false,
      "announcement": false,
      "approval": false,
      "community": null,
      "created_at": "[moment]",
      "created_by": {
        "id": "375440000002@s.whatsapp.net",
        "lid": "100000000000002@lid",
        "name": null,
        "phone": "375440000002"
      },
      "description": "hi",
      "expires_in": null,
      "growth_locked": false,
      "id": "[group]",
      "kind": "group",
      "limit_forwarding": false,
      "limit_sharing": false,
      "locked": false,
      "member_add": "all",
      "member_link": "admins",
      "participants": [
        {
          "id": "375440000001@s.whatsapp.net",
          "lid": "100000000000001@lid",
          "name": null,
          "phone": "375440000001",
          "role": "member"
        },
        {
          "id": "375440000002@s.whatsapp.net",
          "lid": "100000000000002@lid",
          "name": null,
          "phone": "375440000002",
          "role": "superadmin"
        },
        {
          "id": "375440000003@s.whatsapp.net",
          "lid": "100000000000003@lid",
          "name": null,
          "phone": "375440000003",
          "role": "member"
        }
      ],
      "share_history": "admins",
      "size": 3,
      "subject": "club",
      "suspended": false
    }
    "#);
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
    shop(async |app, alice, bob| {
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
    })
    .await;
}
