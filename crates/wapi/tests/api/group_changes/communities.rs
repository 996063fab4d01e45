//! Communities and their groups.

use serde_json::{Value, json};

use wapi_simulator::GroupRefusal;

use super::{GROUPS, create, seen};
use crate::harness::{eventually, shop};

const COMMUNITIES: &str = "/v1/sessions/shop/communities";

fn kinds(community: &Value) -> Vec<(&str, &str)> {
    let groups = community["groups"].as_array().unwrap().iter();
    let mut kinds: Vec<_> = groups
        .map(|group| {
            let [kind, subject] = ["kind", "subject"].map(|name| group[name].as_str().unwrap());
            (kind, subject)
        })
        .collect();
    // Only the first has a place of its own.
    kinds[1..].sort_unstable();
    kinds
}

#[tokio::test]
async fn a_community_is_created_grows_shrinks_and_is_dissolved() {
    shop(async |app, alice, bob| {
        let wish = json!({"subject": "Quarter", "description": "of gardens", "general_chat": true});
        let made = app.post(COMMUNITIES, wish).await.expect(201).json();
        assert_eq!(
            (&made["kind"], &made["description"]),
            (&json!("community"), &json!("of gardens"))
        );
        assert_eq!(
            kinds(&made),
            [("announcements", "Quarter"), ("general", "General")]
        );
        let path = format!("{COMMUNITIES}/{}", made["id"].as_str().unwrap());
        let listed = app.get(COMMUNITIES).await.expect(200).json();
        assert_eq!(listed["communities"][0]["id"], made["id"]);

        // A group of the account's comes in, and one that is made in it.
        let beans = create(app, "beans", &[&bob]).await;
        let wish = json!({"group": beans});
        app.post(&format!("{path}/groups"), wish.clone())
            .await
            .expect(200);
        let again = app.post(&format!("{path}/groups"), wish).await.expect(409);
        assert_eq!(again.code(), "group_linked");
        let wish = json!({"subject": "peas", "participants": [bob.number()]});
        let peas = app
            .post(&format!("{path}/groups"), wish)
            .await
            .expect(201)
            .json();
        let peas = &peas["group"];
        assert_eq!(peas["community"], made["id"]);
        let shown = app.get(&path).await.expect(200).json();
        assert_eq!(
            kinds(&shown),
            [
                ("announcements", "Quarter"),
                ("general", "General"),
                ("group", "beans"),
                ("group", "peas")
            ]
        );
        let announcements = shown["groups"][0]["id"].as_str().unwrap();
        assert!(
            seen(&bob, announcements).is_some(),
            "members of groups are told everything"
        );

        app.delete(&format!("{path}/groups/{beans}"))
            .await
            .expect(204);
        assert_eq!(seen(&bob, &beans).unwrap().community, None);
        let gone = app
            .delete(&format!("{path}/groups/{beans}"))
            .await
            .expect(404);
        assert_eq!(gone.code(), "group_not_found");
        app.delete(&format!("{path}/participants/{}", bob.number()))
            .await
            .expect(204);
        assert!(seen(&bob, announcements).is_none() && seen(&bob, &beans).is_some());
        app.delete(&path).await.expect(204);
        assert_eq!(
            app.get(&path).await.expect(404).code(),
            "community_not_found"
        );
        let peas = seen(&alice, peas["id"].as_str().unwrap()).unwrap();
        assert_eq!(peas.community, None);
        let expected = [
            json!({"group_linked": beans}),
            json!({"community": made["id"]}),
            json!({"group_unlinked": beans}),
            json!({"community": null}),
            json!({"deleted": true}),
        ];
        let changes = async || {
            let told = app.events("group.updated", expected.len()).await;
            told.iter()
                .map(|event| event["data"]["change"].clone())
                .collect::<Vec<_>>()
        };
        let all = async || {
            let changes = changes().await;
            let are_there = expected.iter().all(|change| changes.contains(change));
            are_there.then_some(())
        };
        eventually(all, async || format!("{:?}", changes().await)).await;
    })
    .await;
}

#[tokio::test]
async fn a_member_of_a_community_joins_its_groups() {
    shop(async |app, alice, bob| {
        let community = bob.creates_community("Quarter").unwrap();
        let [beans, peas] = ["beans", "peas"].map(|name| bob.creates_group(name, &[]).unwrap());
        bob.links_group(&community, &beans).unwrap();
        bob.links_group(&community, &peas).unwrap();
        bob.approves_members(&peas, true).unwrap();
        let path = format!("{COMMUNITIES}/{community}");
        let outside = app.get(&path).await.expect(404);
        assert_eq!(outside.code(), "community_not_found");
        let outside = app
            .post(&format!("{path}/groups/{beans}/join"), json!({}))
            .await
            .expect(404);
        assert_eq!(outside.code(), "community_not_found");
        bob.adds_members(&community, &[&alice]).unwrap();
        let joined = app
            .post(&format!("{path}/groups/{beans}/join"), json!({}))
            .await
            .expect(200)
            .json();
        assert_eq!(joined, json!({"group": beans, "status": "joined"}));
        let pending = app
            .post(&format!("{path}/groups/{peas}/join"), json!({}))
            .await
            .expect(202)
            .json();
        assert_eq!(pending, json!({"group": peas, "status": "pending"}));
        assert!(seen(&alice, &beans).is_some() && seen(&alice, &peas).is_none());
        let refused = app.delete(&path).await.expect(403);
        assert_eq!(refused.code(), "group_forbidden");
        let plain = app.get(&format!("{COMMUNITIES}/{beans}")).await.expect(404);
        assert_eq!(plain.code(), "community_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_community_whose_description_is_refused_is_created_once() {
    shop(async |app, alice, _| {
        let refuse = |code| GroupRefusal {
            request: "description",
            answered: 0,
            refused: 1,
            code,
        };
        let wish = json!({"subject": "Quarter", "description": "of gardens"});
        let faults = app.simulator.faults();
        faults.refuse_group_requests(refuse(429));
        let made = app.post(COMMUNITIES, wish.clone()).await;
        let made = made.expect(201).json();
        assert_eq!(
            json!([made["description"], made["failed"]]),
            json!(["of gardens", []])
        );
        let communities = || {
            let groups = alice.groups().into_iter();
            groups.filter(|group| group.subject == "Quarter").count()
        };
        let there = communities();
        faults.refuse_group_requests(refuse(406));
        let made = app.post(COMMUNITIES, wish).await.expect(201).json();
        assert_eq!(made["description"], Value::Null);
        let failed = &made["failed"];
        assert_eq!(
            json!([failed[0]["field"], failed[0]["code"], failed[1]]),
            json!(["description", "whatsapp_refused", null])
        );
        assert_eq!(communities(), 2 * there, "both were created once");
    })
    .await;
}

#[tokio::test]
async fn what_was_created_is_told_although_it_cannot_be_read() {
    shop(async |app, _, bob| {
        app.simulator.faults().refuse_group_requests(GroupRefusal {
            request: "query",
            answered: 0,
            refused: u32::MAX,
            code: 500,
        });
        let wish = json!({"subject": "club", "participants": [bob.number()]});
        let made = app.post(GROUPS, wish).await.expect(201).json();
        assert_eq!(made["group"]["subject"], "club");
        assert_eq!(made["participants"][0]["status"], "added");
        assert_eq!(bob.groups()[0].id, made["group"]["id"]);
        assert_eq!(bob.groups().len(), 1);
        let wish = json!({"subject": "Quarter"});
        let made = app.post(COMMUNITIES, wish).await.expect(201).json();
        assert_eq!(
            json!([made["subject"], made["kind"]]),
            json!(["Quarter", "community"])
        );
    })
    .await;
}
