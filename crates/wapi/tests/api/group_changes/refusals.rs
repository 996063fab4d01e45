//! Wrong requests, and what WhatsApp refuses.

use serde_json::{Value, json};

use super::{GROUPS, create, seen};
use crate::harness::{Setup, shop};

#[tokio::test]
async fn a_wrong_wish_names_its_fields_and_changes_nothing() {
    shop(async |app, _, bob| {
        let id = create(app, "club", &[&bob]).await;
        let long = "x".repeat(101);
        let group = format!("{GROUPS}/{id}");
        let people = format!("{group}/participants");
        let role = format!("{people}/{}/role", bob.number());
        let (requests, join) = (format!("{group}/requests"), format!("{GROUPS}/join"));
        let communities = "/v1/sessions/shop/communities".to_owned();
        let linked = format!("{communities}/{id}/groups");
        let posts: [(&str, Value, &[&str]); 15] = [
            (GROUPS, json!({}), &["subject"]),
            (GROUPS, json!({"subject": long}), &["subject"]),
            (
                GROUPS,
                json!({"subject": " ", "colour": 1}),
                &["subject", "colour"],
            ),
            (
                GROUPS,
                json!({"subject": "x", "participants": ["abc"]}),
                &["participants"],
            ),
            (
                GROUPS,
                json!({"subject": "x", "participants": [id]}),
                &["participants"],
            ),
            (
                GROUPS,
                json!({"subject": "x", "description": "y".repeat(2_049)}),
                &["description"],
            ),
            (
                GROUPS,
                json!({"subject": "x", "settings": {"loud": true}}),
                &["settings.loud"],
            ),
            (
                GROUPS,
                json!({"subject": "x", "settings": {"member_add": "nobody"}}),
                &["settings.member_add"],
            ),
            (
                GROUPS,
                json!({"subject": "x", "picture": {}}),
                &["picture.id"],
            ),
            (&people, json!({"participants": []}), &["participants"]),
            (&requests, json!({}), &["approve"]),
            (&join, json!({}), &["code"]),
            (&join, json!({"code": "?"}), &["code"]),
            (
                &communities,
                json!({"subject": long, "open": true}),
                &["subject", "open"],
            ),
            (&linked, json!({"group": "375440000001"}), &["group"]),
        ];
        for (path, wish, fields) in posts {
            let answer = app.post(path, wish.clone()).await.expect(400);
            assert_eq!(answer.fields(), fields, "POST {path} {wish}");
        }
        for (wish, fields) in [
            (json!({}), ["subject"]),
            (json!({"subject": long}), ["subject"]),
            (
                json!({"settings": {"announcement": "yes"}}),
                ["settings.announcement"],
            ),
        ] {
            assert_eq!(app.patch(&group, wish).await.expect(400).fields(), fields);
        }
        let answer = app.put(&role, json!({"role": "king"})).await.expect(400);
        assert_eq!(answer.fields(), ["role"]);
        let answer = app.delete(&format!("{people}/nobody")).await.expect(400);
        assert_eq!(answer.fields(), ["participant"]);
        assert_eq!(seen(&bob, &id).unwrap().subject, "club");
        assert_eq!(bob.groups().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_plain_member_is_told_that_only_admins_may() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let id = bob.creates_group("club", &[&alice, &carol]).unwrap();
        bob.locks_group(&id, true).unwrap();
        bob.lets_members_add(&id, false).unwrap();
        let group = format!("{GROUPS}/{id}");
        let dave = app.phone("Dave");
        let answers = [
            app.patch(&group, json!({"subject": "mine"})).await,
            app.patch(&group, json!({"settings": {"announcement": true}}))
                .await,
            app.delete(&format!("{group}/picture")).await,
            app.post(
                &format!("{group}/participants"),
                json!({"participants": [dave.number()]}),
            )
            .await,
            app.delete(&format!("{group}/participants/{}", carol.number()))
                .await,
            app.put(
                &format!("{group}/participants/{}/role", carol.number()),
                json!({"role": "admin"}),
            )
            .await,
            app.get(&format!("{group}/invite")).await,
            app.delete(&format!("{group}/invite")).await,
            app.get(&format!("{group}/requests")).await,
        ];
        for answer in answers {
            assert_eq!(answer.expect(403).code(), "group_forbidden");
        }
        // As an admin, not even the creator.
        bob.promotes_members(&id, &[&alice]).unwrap();
        let creator = format!("{group}/participants/{}", bob.number());
        assert_eq!(
            app.delete(&creator).await.expect(403).code(),
            "group_forbidden"
        );
        let stranger = format!("{group}/participants/{}/role", dave.number());
        let stranger = app
            .put(&stranger, json!({"role": "admin"}))
            .await
            .expect(404);
        assert_eq!(stranger.code(), "participant_not_found");
        // Outside of a group, nothing is learnt about it.
        let theirs = bob.creates_group("theirs", &[]).unwrap();
        let answer = app
            .patch(&format!("{GROUPS}/{theirs}"), json!({"subject": "mine"}))
            .await
            .expect(404);
        assert_eq!(answer.code(), "group_not_found");
        assert_eq!(seen(&bob, &id).unwrap().members.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn people_whom_whatsapp_does_not_add_have_a_reason() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let id = create(app, "club", &[]).await;
        let people = format!("{GROUPS}/{id}/participants");
        let add = async |phone: &str| {
            let answer = app.post(&people, json!({"participants": [phone]})).await;
            answer.expect(200).json()["participants"][0].clone()
        };
        bob.blocks_contact(alice.number(), true).unwrap();
        let blocked = add(bob.number()).await;
        assert_eq!(
            (&blocked["status"], &blocked["code"]),
            (&json!("blocked"), &json!(401))
        );
        for _ in 0..2 {
            assert_eq!(add(carol.number()).await["status"], "added");
            carol.leaves_group(&id).unwrap();
        }
        let left = add(carol.number()).await;
        assert_eq!(
            (&left["status"], &left["code"]),
            (&json!("left_recently"), &json!(408))
        );
        assert_eq!(seen(&alice, &id).unwrap().members.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_new_invite_link_is_told_to_keys_that_may_read_it_only() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            let group = bob.creates_group("club", &[&alice]).unwrap();
            let code = bob.revokes_link(&group).unwrap();
            bob.renames_group(&group, r#""change":{"invite_link":"#)
                .unwrap();
            let with_scopes = async |scopes: &[&str]| {
                let wish = json!({"name": "k", "scopes": scopes});
                let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
                let caller = admin.with_key(made["key"].as_str().unwrap());
                let told = admin.events("group.updated", 2).await.len();
                assert_eq!(told, 2);
                let path = "/v1/events?types=group.updated";
                caller.get(path).await.expect(200).json()["events"].clone()
            };
            let seen = with_scopes(&["read"]).await;
            let change = &seen[0]["event"]["data"]["change"];
            assert!(change["subject"].is_string(), "{seen}");
            assert_eq!(seen.as_array().unwrap().len(), 1, "{seen}");
            let seen = with_scopes(&["read", "manage"]).await;
            let change = &seen[0]["event"]["data"]["change"];
            let link = format!("https://chat.whatsapp.com/{code}");
            assert_eq!(change["invite_link"], link, "{seen}");
        })
        .await;
}

#[tokio::test]
async fn a_key_that_sends_does_not_manage() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            admin.register("shop").await.expect(202);
            let make = async |scope: &str| {
                let wish = json!({"name": scope, "scopes": [scope]});
                let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
                admin.with_key(made["key"].as_str().unwrap())
            };
            let (sender, manager) = (make("send").await, make("manage").await);
            let wish = json!({"subject": "club"});
            let refused = sender.post(GROUPS, wish.clone()).await.expect(403);
            assert_eq!(refused.code(), "scope_missing");
            let allowed = manager.post(GROUPS, wish).await.expect(409);
            assert_eq!(allowed.code(), "session_not_paired");
            assert_eq!(
                manager.get(GROUPS).await.expect(403).code(),
                "scope_missing"
            );
        })
        .await;
}

#[tokio::test]
async fn nothing_is_changed_in_a_suspended_group() {
    shop(async |app, alice, bob| {
        let id = create(app, "club", &[&bob]).await;
        let carol = app.phone("Carol");
        alice.has_group_suspended(&id).unwrap();
        let told = app.events("group.updated", 1).await;
        assert_eq!(told[0]["data"]["change"], json!({"suspended": true}));
        let group = format!("{GROUPS}/{id}");
        assert_eq!(app.get(&group).await.expect(200).json()["suspended"], true);
        let added = json!({"participants": [carol.number()]});
        for answer in [
            app.patch(&group, json!({"subject": "mine"})).await,
            app.post(&format!("{group}/participants"), added).await,
            app.delete(&format!("{group}/participants/{}", bob.number()))
                .await,
        ] {
            let refused = answer.expect(403);
            assert_eq!(refused.code(), "group_forbidden");
            let detail = &refused.json()["detail"];
            assert_eq!(detail, "WhatsApp has suspended the group");
        }
        assert_eq!(seen(&bob, &id).unwrap().subject, "club");
        app.delete(&format!("{group}/membership")).await.expect(204);
        assert!(seen(&alice, &id).is_none());
    })
    .await;
}
