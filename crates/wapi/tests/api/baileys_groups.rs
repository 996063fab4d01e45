//! Groups and communities of the gateway and of a client that others wrote: each sees what the other
//! does.

use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::group_changes::{GROUPS, create};
use crate::harness::{Baileys, TestApp, eventually, gateway};

const COMMUNITIES: &str = "/v1/sessions/shop/communities";

/// One of Baileys' own calls, and its result.
async fn call(baileys: &mut Baileys, method: &str, args: Value) -> Value {
    let command = json!({"op": "newsletter", "method": method, "args": args});
    baileys.command(command).await["result"].clone()
}

/// The next event of this name about a group.
async fn told(baileys: &mut Baileys, name: &str, group: &str) -> Value {
    let fits = |event: &Value| event["event"] == name && event["id"] == group;
    baileys.until(&format!("{name} of {group}"), fits).await
}

/// The changes of a group's members that the gateway tells, once there are so many.
async fn member_changes(app: &TestApp, count: usize) -> Vec<String> {
    let events = app.events("group.participants", count).await;
    let word = |event: &Value| {
        let data = &event["data"];
        let person = &data["participants"][0]["phone"];
        format!("{} {}", data["action"], person).replace('"', "")
    };
    events.iter().map(word).collect()
}

/// The changes of a group that the gateway tells, once there are so many.
async fn changes(app: &TestApp, group: &str, count: usize) -> Vec<Value> {
    let of_group = async || {
        let told = app.events("group.updated", 1).await;
        let told = told.iter().map(|event| &event["data"]);
        let told = told.filter(|data| data["chat"] == group);
        let told: Vec<_> = told.map(|data| data["change"].clone()).collect();
        (told.len() >= count).then_some(told)
    };
    eventually(of_group, async || format!("fewer than {count} of {group}")).await
}

/// Links the gateway to Alice and Baileys to Ann, and tells a story of both.
async fn with_both(story: impl AsyncFnOnce(&TestApp, &mut Baileys, [Phone; 3])) {
    // Boxed, because the stack of a test is too small for all of it.
    gateway(async |app: &mut TestApp| {
        let phones = ["Alice", "Ann", "Bob"].map(|name| app.phone(name));
        let Some(mut baileys) = Baileys::start(&app.simulator, "Ann") else {
            return;
        };
        app.pair("shop", &phones[0]).await;
        baileys.pair(&phones[1]).await;
        Box::pin(story(app, &mut baileys, phones)).await;
    })
    .await;
}

#[tokio::test]
async fn a_group_of_the_gateway_is_the_same_for_baileys() {
    with_both(async |app, baileys, [_, ann, bob]| {
        let id = create(app, "club", &[&ann]).await;
        let group = told(baileys, "group", &id).await;
        assert_eq!(group["subject"], "club");
        let path = format!("{GROUPS}/{id}");
        let people = json!({"participants": [bob.number()]});
        app.post(&format!("{path}/participants"), people)
            .await
            .expect(200);
        let added = told(baileys, "members", &id).await;
        assert_eq!(
            json!([added["action"], added["people"]]),
            json!(["add", [bob.jid()]])
        );
        bob.takes_username(Some("bob.bakes"));
        let seen = call(baileys, "groupMetadata", json!([id])).await;
        let mut people = seen["participants"].as_array().unwrap().iter();
        assert!(people.any(|it| it["username"] == "bob.bakes"), "{seen}");
        app.patch(&path, json!({"subject": "garden club"}))
            .await
            .expect(200);
        let renamed = told(baileys, "group_changed", &id).await;
        assert_eq!(renamed["change"]["subject"], "garden club");
        app.delete(&format!("{path}/participants/{}", bob.number()))
            .await
            .expect(204);
        let removed = told(baileys, "members", &id).await;
        assert_eq!(
            json!([removed["action"], removed["people"]]),
            json!(["remove", [bob.jid()]])
        );
        let seen = call(baileys, "groupMetadata", json!([id])).await;
        assert_eq!(
            json!([seen["subject"], seen["participants"][2]]),
            json!(["garden club", null])
        );
    })
    .await;
}

#[tokio::test]
async fn a_group_of_baileys_is_the_same_for_the_gateway() {
    with_both(async |app, baileys, [alice, _, bob]| {
        let made = call(baileys, "groupCreate", json!(["club", [alice.jid()]])).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let event = &app.events("group.created", 1).await[0];
        assert_eq!(
            json!([event["data"]["chat"], event["data"]["subject"]]),
            json!([id, "club"])
        );
        for action in ["add", "remove"] {
            let args = json!([id, [bob.jid()], action]);
            let results = call(baileys, "groupParticipantsUpdate", args).await;
            assert_eq!(results[0]["status"], "200", "{results}");
        }
        assert_eq!(
            member_changes(app, 2).await,
            [
                format!("add {}", bob.number()),
                format!("remove {}", bob.number())
            ]
        );
        call(baileys, "groupUpdateSubject", json!([id, "garden club"])).await;
        let event = &app.events("group.updated", 1).await[0];
        assert_eq!(event["data"]["change"]["subject"], "garden club");
        let shown = app.get(&format!("{GROUPS}/{id}")).await.expect(200).json();
        assert_eq!(shown["subject"], "garden club");
        assert_eq!(shown["participants"].as_array().unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn baileys_joins_a_group_of_the_gateway_by_its_link_and_by_request() {
    with_both(async |app, baileys, [_, ann, bob]| {
        let id = create(app, "club", &[&bob]).await;
        let path = format!("{GROUPS}/{id}");
        let link = app.get(&format!("{path}/invite")).await.expect(200).json();
        let seen = call(baileys, "groupGetInviteInfo", json!([link["code"]])).await;
        assert_eq!(json!([seen["id"], seen["subject"]]), json!([id, "club"]));
        let joined = call(baileys, "groupAcceptInvite", json!([link["code"]])).await;
        assert_eq!(joined, id.as_str());
        assert_eq!(
            member_changes(app, 1).await,
            [format!("add {}", ann.number())]
        );

        let id = create(app, "closed club", &[&bob]).await;
        let path = format!("{GROUPS}/{id}");
        app.patch(&path, json!({"settings": {"approval": true}}))
            .await
            .expect(200);
        let link = app.get(&format!("{path}/invite")).await.expect(200).json();
        call(baileys, "groupAcceptInvite", json!([link["code"]])).await;
        let request = &app.events("group.request", 1).await[0]["data"];
        assert_eq!(
            json!([request["action"], request["participants"][0]["phone"]]),
            json!(["created", ann.number()])
        );
        let wish = json!({"approve": [ann.number()]});
        app.post(&format!("{path}/requests"), wish)
            .await
            .expect(200);
        let group = call(baileys, "groupMetadata", json!([id])).await;
        assert_eq!(group["subject"], "closed club");
    })
    .await;
}

#[tokio::test]
async fn the_gateway_joins_a_group_of_baileys_by_its_link_and_by_request() {
    with_both(async |app, baileys, [alice, _, bob]| {
        let made = call(baileys, "groupCreate", json!(["club", [bob.jid()]])).await;
        let id = made["id"].as_str().unwrap().to_owned();
        let code = call(baileys, "groupInviteCode", json!([id])).await;
        let code = code.as_str().unwrap();
        let seen = app.get(&format!("{GROUPS}/invites/{code}")).await;
        assert_eq!(seen.expect(200).json()["subject"], "club");
        let join = format!("{GROUPS}/join");
        app.post(&join, json!({"code": code})).await.expect(200);
        let came = told(baileys, "members", &id).await;
        assert_eq!(
            json!([came["action"], came["people"]]),
            json!(["add", [alice.jid()]])
        );
        let new = call(baileys, "groupRevokeInvite", json!([id])).await;
        assert_ne!(new, code);
        app.post(&join, json!({"code": code})).await.expect(404);

        let made = call(baileys, "groupCreate", json!(["closed club", [bob.jid()]])).await;
        let id = made["id"].as_str().unwrap().to_owned();
        call(baileys, "groupJoinApprovalMode", json!([id, "on"])).await;
        let code = call(baileys, "groupInviteCode", json!([id])).await;
        let pending = app.post(&join, json!({"code": code})).await.expect(202);
        assert_eq!(pending.json()["status"], "pending");
        let request = told(baileys, "join_request", &id).await;
        assert_eq!(
            json!([request["action"], request["whom"]]),
            json!(["created", alice.jid()])
        );
        let listed = call(baileys, "groupRequestParticipantsList", json!([id])).await;
        let args = json!([id, [listed[0]["jid"]], "approve"]);
        let results = call(baileys, "groupRequestParticipantsUpdate", args).await;
        assert_eq!(results[0]["status"], "200", "{results}");
        let shown = app.get(&format!("{GROUPS}/{id}")).await.expect(200).json();
        assert_eq!(shown["subject"], "closed club");
    })
    .await;
}

#[tokio::test]
async fn communities_are_the_same_for_the_gateway_and_for_baileys() {
    with_both(async |app, baileys, [alice, ann, _]| {
        let wish = json!({"subject": "Quarter"});
        let made = app.post(COMMUNITIES, wish).await.expect(201).json();
        let community = made["id"].as_str().unwrap().to_owned();
        let wish = json!({"subject": "beans", "participants": [ann.number()]});
        let path = format!("{COMMUNITIES}/{community}/groups");
        let beans = app.post(&path, wish).await.expect(201).json()["group"].clone();
        let beans = beans["id"].as_str().unwrap();
        let group = told(baileys, "group", beans).await;
        assert_eq!(
            json!([group["subject"], group["community"]]),
            json!(["beans", community])
        );
        let linked = call(baileys, "communityFetchLinkedGroups", json!([beans])).await;
        assert_eq!(linked["communityJid"], community);
        let groups = linked["linkedGroups"].as_array().unwrap();
        assert!(groups.iter().any(|it| it["id"] == beans), "{linked}");

        let made = call(baileys, "communityCreate", json!(["Street", "of bakers"])).await;
        let community = made["id"].as_str().unwrap().to_owned();
        assert_eq!(
            json!([made["subject"], made["desc"]]),
            json!(["Street", "of bakers"])
        );
        let peas = call(baileys, "groupCreate", json!(["peas", [alice.jid()]])).await;
        let peas = peas["id"].as_str().unwrap().to_owned();
        call(baileys, "communityLinkGroup", json!([peas, community])).await;
        assert_eq!(
            changes(app, &peas, 1).await,
            [json!({"community": community})]
        );
        let shown = app.get(&format!("{COMMUNITIES}/{community}")).await;
        let shown = shown.expect(200).json();
        let groups = shown["groups"].as_array().unwrap();
        assert!(groups.iter().any(|it| it["id"] == peas.as_str()), "{shown}");
        call(baileys, "communityUnlinkGroup", json!([peas, community])).await;
        let all = changes(app, &peas, 2).await;
        assert_eq!(all[1], json!({"community": null}));
    })
    .await;
}
