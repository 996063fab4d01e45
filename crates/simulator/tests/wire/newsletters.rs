//! Newsletters on the wire: what is listed, what became of posts, and what others make of them, live.

use std::time::Duration;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wapi_simulator::{Phone, Simulator, SimulatorOptions};
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, two_phones};
use crate::raw::{RawDevice, word};

/// Alice, who posts, and Bob, who follows with a device.
async fn author_and_follower() -> (Simulator, [Phone; 2], String, RawDevice) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let news = alice.creates_newsletter("News", "");
    bob.follows_newsletter(&news).unwrap();
    let device = RawDevice::linked_to(&bob, &simulator).await;
    (simulator, [alice, bob], news, device)
}

fn bare(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

/// The rows of a list, wherever it stands.
fn rows(list: &Node) -> Vec<&Node> {
    assert!(
        !word(list, "jid").is_empty() && !word(list, "t").is_empty(),
        "{list:?}"
    );
    list.get_children_by_tag("message").collect()
}

fn reactions(row: &Node) -> Vec<(String, String)> {
    let all = row
        .get_optional_child("reactions")
        .into_iter()
        .flat_map(|all| all.get_children_by_tag("reaction"));
    all.map(|one| (word(one, "code"), word(one, "count")))
        .collect()
}

fn views(row: &Node) -> String {
    word(row.get_optional_child("views_count").unwrap(), "count")
}

#[tokio::test]
async fn what_became_of_posts_is_said_live_and_wherever_they_are_listed() {
    let (simulator, [alice, _], news, mut device) = author_and_follower().await;
    let mut ids = Vec::new();
    for text in ["as it was", "helo", "a mistake"] {
        ids.push(alice.sends_text(&news, text).await.unwrap());
    }
    alice.edits_post(&news, &ids[1], "hello").unwrap();
    alice.deletes_post(&news, &ids[2]).unwrap();
    for (id, edit) in [(&ids[1], "3"), (&ids[2], "8")] {
        let change = device
            .until(|node| node.tag == "message" && !word(node, "edit").is_empty())
            .await;
        assert_eq!(
            (&word(&change, "id"), word(&change, "edit").as_str()),
            (id, edit)
        );
        let meta = change.get_optional_child("meta").unwrap();
        let original: u64 = word(meta, "original_msg_t").parse().unwrap();
        // The one is in seconds, the other in milliseconds.
        let edited = word(meta, "msg_edit_t").parse::<u64>().ok();
        assert_eq!(
            edited.map(|at| at / 1000 - original < 60),
            (edit == "3").then_some(true),
            "{meta:?}"
        );
    }
    let listed = device
        .ask_at(&news, "newsletter", "get", bare("messages"))
        .await;
    let updates = device
        .ask_at(&news, "newsletter", "get", bare("message_updates"))
        .await;
    let within = updates
        .get_optional_child_by_tag(&["message_updates", "messages"])
        .expect("a level of its own");
    for list in [listed.get_optional_child("messages").unwrap(), within] {
        let rows = rows(list);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (word(row, "id"), word(row, "edit")))
            .collect();
        assert_eq!(
            seen,
            [
                (ids[0].clone(), String::new()),
                (ids[1].clone(), "3".into()),
                (ids[2].clone(), "8".into())
            ]
        );
        let has = |row: &Node, tag: &str| row.get_optional_child(tag).is_some();
        assert_eq!(
            rows.iter().map(|row| has(row, "meta")).collect::<Vec<_>>(),
            [false, true, true]
        );
        assert_eq!(
            rows.iter()
                .map(|row| has(row, "plaintext"))
                .collect::<Vec<_>>(),
            [true, true, false]
        );
        let meta = rows[1].get_optional_child("meta").unwrap();
        let edited = word(meta, "msg_edit_t").parse::<u64>().unwrap();
        assert_eq!(word(rows[1], "t"), (edited / 1000).to_string());
        assert!(rows.iter().all(|row| views(row) == "0"));
    }
    // What is gone is nothing to react to.
    let place = alice
        .find_newsletter(&news)
        .unwrap()
        .posts
        .last()
        .unwrap()
        .server_id
        + 1;
    assert!(alice.reacts_to_post(&news, place, "👍").is_err());
    assert!(alice.edits_post(&news, &ids[2], "no").is_err());
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn who_asked_for_it_is_told_at_once_what_others_make_of_posts() {
    let (simulator, [alice, bob], news, mut device) = author_and_follower().await;
    alice.sends_text(&news, "hello").await.unwrap();
    let place = alice.find_newsletter(&news).unwrap().posts[0].server_id;
    // Nobody has asked yet.
    alice.reacts_to_post(&news, place, "👍").unwrap();
    let is_live = |node: &Node| node.tag == "notification" && word(node, "type") == "newsletter";
    device
        .until(|node| node.tag == "message" && word(node, "from") == news)
        .await;
    assert_eq!(device.next_word().await.tag, "iq");

    let answer = device
        .ask_at(&news, "newsletter", "set", bare("live_updates"))
        .await;
    let seconds: u64 = word(
        answer.get_optional_child("live_updates").unwrap(),
        "duration",
    )
    .parse()
    .unwrap();
    assert!(Duration::from_secs(seconds) >= Duration::from_secs(60));
    let own = NodeBuilder::new("item")
        .attr("server_id", place.to_string())
        .build();
    let views_of = NodeBuilder::new("receipt")
        .attr("to", news.parse::<Jid>().unwrap())
        .attr("id", "view-1");
    let seen = views_of
        .attr("type", "view")
        .children([NodeBuilder::new("list").children([own]).build()])
        .build();
    for (step, liked, seen_by) in [
        ("bob likes", "2", "0"),
        ("alice looks", "2", "1"),
        ("bob's device looks", "2", "2"),
    ]
    .into_iter()
    .chain([
        ("bob likes no more", "1", "2"),
        ("alice likes no more", "", "2"),
    ]) {
        match step {
            "bob likes" => bob.reacts_to_post(&news, place, "👍").unwrap(),
            "alice looks" => alice
                .views_posts(&news, &[place, place, place + 1])
                .unwrap(),
            "bob's device looks" => device.client.send(&seen).await,
            "bob likes no more" => bob.reacts_to_post(&news, place, "").unwrap(),
            _ => alice.reacts_to_post(&news, place, "").unwrap(),
        }
        let live = device.until(is_live).await;
        assert_eq!(word(&live, "from"), news);
        let list = live
            .get_optional_child_by_tag(&["live_updates", "messages"])
            .unwrap();
        let rows = rows(list);
        assert_eq!(
            (rows.len(), word(rows[0], "server_id")),
            (1, place.to_string())
        );
        assert!(
            !word(rows[0], "id").is_empty()
                && !word(rows[0], "t").is_empty()
                && !word(rows[0], "type").is_empty()
        );
        let expected = (!liked.is_empty()).then(|| ("👍".to_owned(), liked.to_owned()));
        assert_eq!(
            (reactions(rows[0]), views(rows[0]).as_str()),
            (Vec::from_iter(expected), seen_by),
            "{step}"
        );
    }
    assert_eq!(alice.find_newsletter(&news).unwrap().posts[0].views, 2);

    // On a new connection it is asked for anew.
    let mut device = device.logged_in(&simulator, false).await;
    device
        .until(|node| node.get_optional_child("offline_preview").is_some())
        .await;
    let rest = NodeBuilder::new("ib").children([NodeBuilder::new("offline_batch")
        .attr("count", "100")
        .build()]);
    device.client.send(&rest.build()).await;
    device
        .until(|node| node.tag == "ib" && node.get_optional_child("offline").is_some())
        .await;
    alice.reacts_to_post(&news, place, "🎉").unwrap();
    assert_eq!(device.next_word().await.tag, "iq");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn the_engine_hears_of_reactions_live() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    let news: Jid = alice.creates_newsletter("News", "").parse().unwrap();
    alice
        .sends_text(&news.to_string(), "React to me!")
        .await
        .unwrap();
    let newsletter = companion.client.newsletter();
    let place = newsletter
        .get_messages(news.clone(), 1, None)
        .await
        .unwrap()[0]
        .server_id;
    assert!(
        newsletter
            .subscribe_live_updates(news.clone())
            .await
            .unwrap()
            > 0
    );
    newsletter.send_reaction(&news, place, "👍").await.unwrap();
    let told = companion.next("a live update", |event| match event {
        Event::NewsletterLiveUpdate(update) => {
            Some((update.newsletter_jid.clone(), update.messages.clone()))
        }
        _ => None,
    });
    let (from, rows) = told.await;
    assert_eq!((from, rows.len(), rows[0].server_id), (news, 1, place));
    let counted: Vec<_> = rows[0]
        .reactions
        .iter()
        .map(|one| (one.code.as_str(), one.count))
        .collect();
    assert_eq!(counted, [("👍", 1)]);
    companion.stop().await;
    simulator.finish().await.unwrap();
}
