//! What a device asks in GraphQL, by the numbers that each client knows its questions by.

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;

use super::{asked, devices, text};
use crate::raw::RawDevice;

/// The data of an answer in GraphQL, or the code of its first error.
async fn graphql(device: &mut RawDevice, query: &str, variables: Value) -> Result<Value, u64> {
    let body = json!({"variables": variables}).to_string();
    let query = NodeBuilder::new("query")
        .attr("query_id", query)
        .bytes(body.into_bytes())
        .build();
    let answer = asked(device, "w:mex", "get", query).await;
    let said: Value = serde_json::from_str(&text(&answer, &["result"])).unwrap();
    match said["errors"][0]["extensions"]["error_code"].as_u64() {
        Some(code) => Err(code),
        None => Ok(said["data"].clone()),
    }
}

#[tokio::test]
async fn newsletters_are_asked_about_by_the_numbers_of_each_client() {
    let (simulator, [alice, bob], [mut device, mut theirs]) = devices().await;
    let mut ids = Vec::new();
    for (query, input) in [
        ("25149874324715067", "input"),
        ("8823471724422422", "input"),
        ("6234210096708695", "newsletter_input"),
        ("27527996220149684", "newsletter_input"),
    ] {
        // Each question is asked twice.
        let made = graphql(
            &mut device,
            query,
            json!({input: {"name": "news", "description": "of the day"}}),
        )
        .await;
        let made = made.unwrap()["xwa2_newsletter_create"].clone();
        assert_eq!(made["thread_metadata"]["name"]["text"], "news");
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let about = json!({"newsletter_id": ids[0]});
    let key = json!({"input": {"key": ids[0], "type": "JID"}});
    for query in [
        "27456920720571478",
        "6563316087068696",
        "26944199458535748",
        "7272540469429201",
        "9779843322044422",
    ] {
        let found = graphql(&mut theirs, query, key.clone()).await.unwrap();
        assert_eq!(found["xwa2_newsletter"]["id"], ids[0]);
    }
    // The last number is that of two questions.
    for (join, leave) in [
        ("24404358912487870", "9767147403369991"),
        ("9926858900719341", "6392786840836363"),
        ("8621797084555037", "8782612271820087"),
    ] {
        graphql(&mut theirs, join, about.clone()).await.unwrap();
        for query in ["25399611239711790", "6388546374527196", "8621797084555037"] {
            let followed = graphql(&mut theirs, query, json!({})).await.unwrap();
            assert_eq!(followed["xwa2_newsletter_subscribed"][0]["id"], ids[0]);
        }
        graphql(&mut theirs, leave, about.clone()).await.unwrap();
    }
    assert_eq!(
        graphql(&mut theirs, "29766401636284406", about.clone()).await,
        Err(404)
    );
    graphql(&mut theirs, "24404358912487870", about.clone())
        .await
        .unwrap();
    for (mute, unmute) in [
        ("29766401636284406", "9864994326891137"),
        ("6274038279359549", "6068417879924485"),
        ("5971669009605755", "6104029483058502"),
    ] {
        for (query, state) in [(mute, "ON"), (unmute, "OFF")] {
            graphql(&mut theirs, query, about.clone()).await.unwrap();
            let found = graphql(&mut theirs, "6563316087068696", key.clone())
                .await
                .unwrap();
            assert_eq!(found["xwa2_newsletter"]["viewer_metadata"]["mute"], state);
        }
    }
    let setting = json!({"input": {"newsletter_id": ids[0], "type": "MUTE_FOLLOWER_ACTIVITY", "value": "ON"}});
    graphql(&mut theirs, "31938993655691868", setting)
        .await
        .unwrap();

    for query in ["9800646650009898", "25403502652570342", "9783111038412085"] {
        let found = graphql(&mut device, query, json!({"newsletter_id": ids[0]}))
            .await
            .unwrap();
        let people = found["xwa2_newsletter_subscribers"]["subscribers"]["edges"]
            .as_array()
            .unwrap();
        let roles: Vec<_> = people
            .iter()
            .map(|edge| (edge["node"]["id"].clone(), edge["role"].clone()))
            .collect();
        assert_eq!(
            roles,
            [
                (json!(alice.lid()), json!("OWNER")),
                (json!(bob.lid()), json!("SUBSCRIBER"))
            ]
        );
        assert_eq!(graphql(&mut theirs, query, about.clone()).await, Err(403));
    }
    let input = json!({"input": {"newsletter_id": ids[0], "count": 10}});
    let found = graphql(&mut device, "27472091235714801", input)
        .await
        .unwrap();
    assert_eq!(
        found["xwa2_newsletter_followers"]["followers"]["edges"][1]["node"]["pn"],
        bob.jid()
    );
    for query in ["26278439461859188", "7130823597031706"] {
        assert_eq!(
            graphql(&mut theirs, query, about.clone()).await.unwrap()["xwa2_newsletter_admin"]["admin_count"],
            1
        );
    }
    let whom = json!({"newsletter_id": ids[0], "user_id": bob.lid()});
    for query in [
        "9546742745432473",
        "7341777602580933",
        "9880997548630971",
        "6551828931592903",
    ] {
        // He is no admin.
        assert_eq!(graphql(&mut device, query, whom.clone()).await, Err(403));
    }
    for (query, path) in [
        ("25806748772361516", "xwa2_newsletters_recommended"),
        ("7263823273662354", "xwa2_newsletters_recommended"),
        ("27256776790637714", "xwa2_newsletters_recommended"),
        ("26125047313831973", "xwa2_newsletters_directory_list"),
        ("6190824427689257", "xwa2_newsletters_directory_list"),
        ("26301059626252132", "xwa2_newsletters_directory_search"),
        ("26217043484590756", "xwa2_newsletters_similar"),
    ] {
        let found = graphql(&mut theirs, query, json!({"input": {"limit": 3}}))
            .await
            .unwrap();
        assert_eq!(
            found[path]["result"].as_array().unwrap().len(),
            3,
            "{query}: {found}"
        );
    }
    assert_eq!(
        graphql(&mut theirs, "24250201037901610", about.clone()).await,
        Err(403)
    );
    // The second time it is gone.
    let gone = graphql(&mut device, "30062808666639665", about.clone()).await;
    assert_eq!(gone, Err(404));
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn about_texts_and_limits_are_asked_for_in_graphql() {
    let (simulator, [alice, bob], [mut device, _]) = devices().await;
    bob.sets_about("at the sea");
    for address in [bob.jid(), bob.lid()] {
        let about = graphql(
            &mut device,
            "24535500086059408",
            json!({"user": {"user_id": address}}),
        )
        .await
        .unwrap();
        assert_eq!(
            about["xwa2_users_updates_since"][0]["updates"][0]["text"],
            "at the sea"
        );
    }
    let nobody = json!({"user": {"user_id": "1@lid"}});
    assert_eq!(
        graphql(&mut device, "24535500086059408", nobody).await,
        Err(404)
    );
    let lock = graphql(&mut device, "23983697327930364", json!({}))
        .await
        .unwrap();
    assert_eq!(
        lock["xwa2_fetch_account_reachout_timelock"]["is_active"],
        false
    );
    alice.gets_restriction(wapi_simulator::AccountRestriction::NewChats {
        until: 4_000_000_000,
    });
    let lock = graphql(&mut device, "23983697327930364", json!({}))
        .await
        .unwrap();
    let lock = &lock["xwa2_fetch_account_reachout_timelock"];
    assert_eq!(
        (&lock["is_active"], &lock["time_enforcement_ends"]),
        (&json!(true), &json!("4000000000"))
    );
    let capping = graphql(
        &mut device,
        "24503548349331633",
        json!({"input": {"type": "INDIVIDUAL_NEW_CHAT_MSG"}}),
    )
    .await;
    assert_eq!(
        capping.unwrap()["xwa2_message_capping_info"]["capping_status"],
        "NONE"
    );
    simulator.finish().await.unwrap();
}
