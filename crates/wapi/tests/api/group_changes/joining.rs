//! Invite links, joining, and requests to join.

use serde_json::{Value, json};
use wapi_simulator::{GroupInvitation, GroupRefusal};

use super::{GROUPS, create, results, seen};
use crate::harness::shop;

#[tokio::test]
async fn a_link_is_shown_looked_at_used_and_revoked() {
    shop(async |app, alice, bob| {
        let id = create(app, "club", &[]).await;
        let route = format!("{GROUPS}/{id}/invite");
        let link = app.get(&route).await.expect(200).json();
        let code = link["code"].as_str().unwrap();
        assert_eq!(link["link"], format!("https://chat.whatsapp.com/{code}"));
        assert!(bob.joins_by_code(code).unwrap());
        let told = app.events("group.participants", 1).await;
        assert_eq!(told[0]["data"]["participants"][0]["phone"], bob.number());
        let new = app.delete(&route).await.expect(200).json();
        assert_ne!(new["code"], link["code"]);
        let gone = app
            .get(&format!("{GROUPS}/invites/{code}"))
            .await
            .expect(404);
        assert_eq!(gone.code(), "invite_not_found");
        assert_eq!(seen(&alice, &id).unwrap().members.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_group_is_looked_at_and_joined_by_its_code_or_link() {
    shop(async |app, alice, bob| {
        let group = bob.creates_group("club", &[]).unwrap();
        let code = bob.invite_code(&group).unwrap();
        let shown = app
            .get(&format!("{GROUPS}/invites/{code}"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&shown["id"], &shown["subject"], &shown["size"]),
            (&json!(group), &json!("club"), &json!(1))
        );
        assert_eq!(shown["participants"], json!([]));
        let wish = json!({"code": format!("https://chat.whatsapp.com/{code}?mode=x")});
        for _ in 0..2 {
            let joined = app
                .post(&format!("{GROUPS}/join"), wish.clone())
                .await
                .expect(200)
                .json();
            assert_eq!(joined, json!({"group": group, "status": "joined"}));
        }
        assert!(seen(&alice, &group).is_some());
        bob.removes_members(&group, &[&alice]).unwrap();
        let refused = app
            .post(&format!("{GROUPS}/join"), json!({"code": code}))
            .await
            .expect(403);
        assert_eq!(refused.code(), "group_forbidden");
        let unknown = json!({"code": "AAAAAAAAAAAAAAAAAAAAAA"});
        let unknown = app
            .post(&format!("{GROUPS}/join"), unknown)
            .await
            .expect(404);
        assert_eq!(unknown.code(), "invite_not_found");
    })
    .await;
}

#[tokio::test]
async fn an_invite_in_a_message_is_taken() {
    shop(async |app, alice, bob| {
        let group = bob.creates_group("club", &[]).unwrap();
        alice.chooses_privacy("groupadd", "none").unwrap();
        bob.adds_members(&group, &[&alice]).unwrap_err();
        let (code, expires_at) = bob.personal_invite(&group, &alice).unwrap();
        let message = GroupInvitation {
            group: group.clone(),
            code,
            name: "club".to_owned(),
            expires_at,
        };
        let id = bob.sends_group_invitation(alice.number(), message).unwrap();
        app.webhook.next().await;
        let route = format!("{GROUPS}/join");
        let look = format!("{GROUPS}/invites?message_id={id}&chat={}", bob.number());
        let shown = app.get(&look).await.expect(200).json();
        assert_eq!(
            json!([shown["id"], shown["subject"], shown["participants"]]),
            json!([group, "club", []])
        );
        assert!(seen(&alice, &group).is_none());
        let answer = app.get(&format!("{GROUPS}/invites?message_id={id}")).await;
        assert_eq!(answer.expect(400).fields(), ["chat"]);
        let wish = json!({"message_id": id, "chat": bob.number()});
        let joined = app.post(&route, wish).await.expect(200).json();
        assert_eq!(joined, json!({"group": group, "status": "joined"}));
        assert!(seen(&alice, &group).is_some());
        let text = bob.sends_text(alice.number(), "no invite").await.unwrap();
        app.webhook.next().await;
        let look = format!("{GROUPS}/invites?message_id={text}&chat={}", bob.number());
        assert_eq!(app.get(&look).await.expect(400).fields(), ["message_id"]);
        let wish = json!({"message_id": text, "chat": bob.number()});
        assert_eq!(
            app.post(&route, wish).await.expect(400).fields(),
            ["message_id"]
        );
        let wish = json!({"message_id": "3EB0AAAA", "chat": bob.number()});
        assert_eq!(
            app.post(&route, wish).await.expect(404).code(),
            "message_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn people_who_want_to_join_are_told_listed_approved_and_rejected() {
    shop(async |app, alice, bob| {
        let [carol, dave] = ["Carol", "Dave"].map(|name| app.phone(name));
        let id = create(app, "club", &[]).await;
        app.patch(
            &format!("{GROUPS}/{id}"),
            json!({"settings": {"approval": true}}),
        )
        .await
        .expect(200);
        let link = app
            .get(&format!("{GROUPS}/{id}/invite"))
            .await
            .expect(200)
            .json();
        let code = link["code"].as_str().unwrap();
        for (number, phone) in [&bob, &carol, &dave].into_iter().enumerate() {
            assert!(!phone.joins_by_code(code).unwrap());
            app.events("group.request", number + 1).await;
        }
        let route = format!("{GROUPS}/{id}/requests");
        let listed = app.get(&route).await.expect(200).json();
        assert_eq!(listed["requests"].as_array().unwrap().len(), 3, "{listed}");
        assert!(
            listed["requests"][0]["requested_at"].is_string(),
            "{listed}"
        );
        dave.withdraws_request(&id).unwrap();
        let told = app.events("group.request", 4).await;
        let first = &told[0]["data"];
        assert_eq!(
            json!([
                first["chat"],
                first["action"],
                first["method"],
                first["participants"][0]["phone"]
            ]),
            json!([id, "created", "invite_link", bob.number()])
        );
        assert_eq!(
            json!([
                told[3]["data"]["action"],
                told[3]["data"]["participants"][0]["phone"]
            ]),
            json!(["revoked", dave.number()])
        );
        let wish = json!({"approve": [bob.number(), dave.number()], "reject": [carol.lid()]});
        let decided = app.post(&route, wish).await.expect(200).json();
        let mut expected = [
            (bob.number(), "approved"),
            (carol.number(), "rejected"),
            (dave.number(), "not_requested"),
        ]
        .map(|(phone, status)| (phone.to_owned(), status.to_owned()));
        expected.sort();
        assert_eq!(super::results(&decided), expected);
        assert!(seen(&bob, &id).is_some() && seen(&carol, &id).is_none());
        assert_eq!(
            app.get(&route).await.expect(200).json(),
            json!({"requests": []})
        );
        let both = json!({"approve": [bob.number()], "reject": [bob.number()]});
        assert_eq!(
            app.post(&route, both).await.expect(400).fields(),
            ["approve"]
        );

        // The other way round, the account waits for Bob.
        let theirs = bob.creates_group("theirs", &[]).unwrap();
        bob.approves_members(&theirs, true).unwrap();
        let wish = json!({"code": bob.invite_code(&theirs).unwrap()});
        let joined = app
            .post(&format!("{GROUPS}/join"), wish)
            .await
            .expect(202)
            .json();
        assert_eq!(joined, json!({"group": theirs, "status": "pending"}));
        bob.decides_requests(&theirs, &[&alice], true).unwrap();
        assert!(seen(&alice, &theirs).is_some());
    })
    .await;
}

#[tokio::test]
async fn approvals_are_told_although_the_rejections_after_them_fail() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let id = create(app, "club", &[]).await;
        let settings = json!({"settings": {"approval": true}});
        app.patch(&format!("{GROUPS}/{id}"), settings)
            .await
            .expect(200);
        let link = app.get(&format!("{GROUPS}/{id}/invite")).await.expect(200);
        let link = link.json();
        let code = link["code"].as_str().unwrap();
        for (number, phone) in [&bob, &carol].into_iter().enumerate() {
            assert!(!phone.joins_by_code(code).unwrap());
            app.events("group.request", number + 1).await;
        }
        app.simulator.faults().refuse_group_requests(GroupRefusal {
            request: "membership_requests_action",
            answered: 1,
            refused: 1,
            code: 500,
        });
        let wish = json!({"approve": [bob.number()], "reject": [carol.number()]});
        let decided = app.post(&format!("{GROUPS}/{id}/requests"), wish).await;
        let decided = decided.expect(200).json();
        let mut expected = [
            (bob.number().to_owned(), "approved".to_owned()),
            (carol.number().to_owned(), "refused".to_owned()),
        ];
        expected.sort();
        assert_eq!(results(&decided), expected);
        assert_eq!(seen(&alice, &id).unwrap().members.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn whom_a_plain_member_adds_waits_for_an_admin() {
    shop(async |app, alice, bob| {
        let [carol, dave] = ["Carol", "Dave"].map(|name| app.phone(name));
        let theirs = bob.creates_group("theirs", &[&alice, &dave]).unwrap();
        bob.approves_members(&theirs, true).unwrap();
        let added = json!({"participants": [carol.number(), dave.number()]});
        let people = format!("{GROUPS}/{theirs}/participants");
        let answer = app.post(&people, added.clone()).await.expect(200).json();
        let waits = json!([["approval_required", 421], ["already_member", 409]]);
        let shown = |result: &Value| json!([result["status"], result["code"]]);
        let results = answer["participants"].as_array().unwrap();
        assert_eq!(Value::from_iter(results.iter().map(shown)), waits);
        assert_eq!(seen(&bob, &theirs).unwrap().members.len(), 3);
        // An admin adds people at once.
        bob.promotes_members(&theirs, &[&alice]).unwrap();
        let answer = app.post(&people, added).await.expect(200).json();
        assert_eq!(answer["participants"][0]["status"], "added");

        // An admin is told of people whom others want to add.
        let erin = app.phone("Erin");
        dave.adds_members(&theirs, &[&erin]).unwrap();
        let told = app.events("group.request", 1).await;
        let data = &told[0]["data"];
        assert_eq!(
            (&data["action"], &data["method"]),
            (&json!("created"), &json!("member"))
        );
        assert_eq!(data["participants"][0]["phone"], erin.number());
        let requests = format!("{GROUPS}/{theirs}/requests");
        let listed = app.get(&requests).await.expect(200).json();
        assert_eq!(listed["requests"].as_array().unwrap().len(), 1, "{listed}");
        let decision = json!({"approve": [erin.number()]});
        let decided = app.post(&requests, decision).await.expect(200).json();
        assert_eq!(decided["participants"][0]["status"], "approved");
        assert_eq!(seen(&bob, &theirs).unwrap().members.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_link_that_whatsapp_has_closed_is_told_as_such() {
    shop(async |app, alice, bob| {
        let group = bob.creates_group("club", &[]).unwrap();
        bob.has_growth_locked(&group).unwrap();
        let code = bob.invite_code(&group).unwrap();
        let join = json!({"code": code});
        let refused = app.post(&format!("{GROUPS}/join"), join).await.expect(409);
        assert_eq!(refused.code(), "invite_unavailable");
        assert!(seen(&alice, &group).is_none());
        // Its members see why.
        bob.adds_members(&group, &[&alice]).unwrap();
        let shown = app
            .get(&format!("{GROUPS}/{group}"))
            .await
            .expect(200)
            .json();
        assert_eq!(
            (&shown["growth_locked"], &shown["suspended"]),
            (&json!(true), &json!(false))
        );
    })
    .await;
}
