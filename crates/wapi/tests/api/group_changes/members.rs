//! Creating groups, and changing their members.

use serde_json::json;
use wapi_simulator::GroupRole;

use super::{GROUPS, create, results, seen};
use crate::harness::{PATIENCE, shop};

#[tokio::test]
async fn a_group_is_created_with_a_result_for_each_person() {
    shop(async |app, alice, bob| {
        let [carol, dave] = ["Carol", "Dave"].map(|name| app.phone(name));
        carol.chooses_privacy("groupadd", "none").unwrap();
        let wish = json!({
            "subject": "Garden",
            "description": "All about beans",
            "participants": [bob.number(), carol.number(), dave.lid(), "+375440999999"],
            "settings": {"announcement": true, "locked": true, "member_add": "admins", "approval": true},
        });
        let made = app.post(GROUPS, wish).await.expect(201).json();
        let result = |phone: &str, status: &str| (phone.to_owned(), status.to_owned());
        let mut expected = vec![
            result(bob.number(), "added"),
            result(carol.number(), "invite_required"),
            result(dave.number(), "added"),
            result("375440999999", "not_on_whatsapp"),
        ];
        expected.sort();
        assert_eq!(results(&made), expected, "{made}");
        assert_eq!(made["failed"], json!([]), "{made}");
        let group = &made["group"];
        let shown = json!({
            "subject": group["subject"], "description": group["description"], "kind": group["kind"],
            "announcement": group["announcement"], "locked": group["locked"], "approval": group["approval"],
            "member_add": group["member_add"], "member_link": group["member_link"],
            "addressing_mode": group["addressing_mode"], "size": group["size"],
        });
        assert_eq!(shown, json!({
            "subject": "Garden", "description": "All about beans", "kind": "group",
            "announcement": true, "locked": true, "approval": true,
            "member_add": "admins", "member_link": "admins",
            "addressing_mode": "lid", "size": 3,
        }));
        // The invite is for the person who may not be added.
        let people = made["participants"].as_array().unwrap();
        let invited = people.iter().find(|it| it["phone"] == carol.number()).unwrap();
        let id = group["id"].as_str().unwrap();
        assert!(seen(&carol, id).is_none());
        carol.takes_invite(id, invited["invite"]["code"].as_str().unwrap()).unwrap();
        let there = seen(&alice, id).unwrap();
        assert!(there.announcement && there.locked && there.approval && !there.all_add);
        assert_eq!(there.members.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn members_are_added_promoted_demoted_and_removed_and_that_is_told() {
    shop(async |app, _, bob| {
        let carol = app.phone("Carol");
        let id = create(app, "club", &[&bob]).await;
        let people = format!("{GROUPS}/{id}/participants");
        let wish = json!({"participants": [carol.number(), bob.number()]});
        let added = app.post(&people, wish).await.expect(200).json();
        let result = |phone: &str, status: &str| (phone.to_owned(), status.to_owned());
        let mut expected = vec![
            result(bob.number(), "already_member"),
            result(carol.number(), "added"),
        ];
        expected.sort();
        assert_eq!(results(&added), expected);
        app.events("group.created,group.participants", 2).await;

        let role = |phone: &str| format!("{people}/{phone}/role");
        let of_bob = || {
            let group = seen(&carol, &id).unwrap();
            group
                .members
                .into_iter()
                .find(|it| it.number == bob.number())
                .unwrap()
                .role
        };
        for (word, there) in [("admin", GroupRole::Admin), ("member", GroupRole::Member)] {
            // By the LID as well as by the number.
            for address in [bob.number().to_owned(), bob.lid()] {
                app.put(&role(&address), json!({"role": word}))
                    .await
                    .expect(204);
            }
            assert_eq!(of_bob(), there);
        }
        app.delete(&format!("{people}/{}", carol.lid()))
            .await
            .expect(204);
        assert!(seen(&carol, &id).is_none());
        let again = app.delete(&format!("{people}/{}", carol.number())).await;
        assert_eq!(again.expect(404).code(), "participant_not_found");
        let told = app.events("group.created,group.participants", 7).await;
        let actions: Vec<_> = told[1..]
            .iter()
            .map(|event| &event["data"]["action"])
            .collect();
        assert_eq!(
            actions,
            ["add", "promote", "promote", "demote", "demote", "remove"]
        );
    })
    .await;
}

#[tokio::test]
async fn the_members_are_a_table_for_spreadsheets_too() {
    shop(async |app, alice, bob| {
        let trick = app.phone("=1+1, \"quoted\"");
        let id = create(app, "club", &[&bob, &trick]).await;
        trick.sends_text(&id, "hi").await.unwrap();
        app.webhook.next().await;
        let people = format!("{GROUPS}/{id}/participants");
        let list = app.get(&people).await.expect(200).json();
        assert_eq!(list["participants"].as_array().unwrap().len(), 3, "{list}");
        let table = app.get_as(&people, "text/csv").await.expect(200);
        assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
        let table = String::from_utf8(table.body.to_vec()).unwrap();
        let mut lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.remove(0), "id,phone,lid,name,role");
        let creator = format!("{},{},{},", alice.jid(), alice.number(), alice.lid());
        let line = lines
            .iter()
            .find(|line| line.starts_with(&creator))
            .unwrap();
        assert!(line.ends_with(",superadmin"), "{table}");
        assert_eq!(lines.len(), 3, "{table}");
    })
    .await;
}

#[tokio::test]
async fn an_account_leaves_a_group_and_is_no_longer_in_it() {
    shop(async |app, alice, bob| {
        let id = create(app, "club", &[&bob]).await;
        let membership = format!("{GROUPS}/{id}/membership");
        app.delete(&membership).await.expect(204);
        assert!(seen(&alice, &id).is_none() && seen(&bob, &id).is_some());
        let again = app.delete(&membership).await.expect(404);
        assert_eq!(again.code(), "group_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_message_mentions_everyone_in_a_group() {
    shop(async |app, alice, bob| {
        let carol = app.phone("Carol");
        let id = create(app, "club", &[&bob, &carol]).await;
        let wish = json!({"to": id, "text": {"body": "Tea is ready"}, "mentions": "everyone"});
        app.accepted("shop", wish).await;
        let shown = bob.next_message(PATIENCE).await.unwrap().to_json();
        let context = &shown["extended_text_message"]["context_info"];
        let mut mentioned: Vec<_> = context["mentioned_jid"].as_array().unwrap().clone();
        mentioned.sort_by_key(ToString::to_string);
        let mut expected = vec![json!(bob.lid()), json!(carol.lid())];
        expected.sort_by_key(ToString::to_string);
        assert_eq!(
            (mentioned, &context["non_jid_mentions"]),
            (expected, &json!(1))
        );
        let wish = json!({"to": bob.jid(), "text": {"body": "Tea"}, "mentions": "everyone"});
        let answer = app
            .post("/v1/sessions/shop/messages", wish)
            .await
            .expect(400);
        assert_eq!(answer.fields(), ["mentions"]);
        assert!(seen(&alice, &id).is_some());
    })
    .await;
}
