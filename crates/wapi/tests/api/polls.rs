//! Polls both ways and the votes on them; events and the answers to them.

use serde_json::{Value, json};
use wapi_simulator::waproto::buffa::MessageField;
use wapi_simulator::waproto::whatsapp as wa;
use wapi_simulator::{Addressing, Author, Options};

use crate::harness::{PATIENCE, Setup, TestApp};

/// The votes that were told, once there are so many.
async fn votes(app: &TestApp, count: usize) -> Vec<Value> {
    told(app, "poll.vote", count).await
}

async fn told(app: &TestApp, kind: &str, count: usize) -> Vec<Value> {
    let route = format!("/v1/events?types={kind}&wait=10&after=");
    let (mut votes, mut after) = (Vec::new(), 0);
    while votes.len() < count {
        let page = app.get(&format!("{route}{after}")).await.expect(200).json();
        let events = page["events"].as_array().unwrap();
        assert!(!events.is_empty(), "only these were told: {votes:#?}");
        votes.extend(events.iter().map(|entry| entry["event"]["data"].clone()));
        after = page["next"].as_u64().unwrap();
    }
    votes
}

async fn votes_on_a_poll_of_ours(app: TestApp) {
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let poll = json!({"question": "What?", "options": ["Tea", "Coffee", "Milk"], "max_selections": 2});
    let id = app.accepted("shop", json!({"to": bob.number(), "poll": poll})).await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
    let ballots = [vec!["Tea", "Milk"], vec!["Coffee"], vec![]];
    for ballot in &ballots {
        bob.votes(&alice.jid(), &id, Author::Them, ballot).unwrap();
    }
    votes(&app, ballots.len()).await;
    // Its owner votes on the phone.
    alice.votes(&bob.jid(), &id, Author::Me, &["Milk"]).unwrap();

    let told = votes(&app, 4).await;
    for (vote, ballot) in told.iter().zip(&ballots) {
        assert_eq!((&vote["message_id"], &vote["chat"]), (&json!(id), &json!(bob.jid())));
        assert_eq!((&vote["from"]["phone"], &vote["question"]), (&json!(bob.number()), &json!("What?")));
        assert_eq!(vote["options"], json!(ballot));
        let standing = |option: &str| {
            let voters: Vec<_> = ballot.contains(&option).then(|| bob.jid()).into_iter().collect();
            json!({"option": option, "votes": voters.len(), "voters": voters})
        };
        assert_eq!(vote["tally"], json!(["Tea", "Coffee", "Milk"].map(standing)));
    }
    assert_eq!((&told[3]["from_me"], &told[3]["from"]["phone"]), (&json!(true), &json!(alice.number())));
    assert_eq!(told[3]["tally"][2], json!({"option": "Milk", "votes": 1, "voters": [alice.jid()]}));
    app.finish().await;
}

#[tokio::test]
async fn votes_on_our_polls_are_opened_and_counted() {
    votes_on_a_poll_of_ours(TestApp::start().await).await;
}

#[tokio::test]
async fn votes_are_opened_where_everybody_has_a_lid() {
    let options = Options { addressing: Addressing::Lid, ..Options::default() };
    votes_on_a_poll_of_ours(Setup::new().simulator(options).start().await).await;
}

#[tokio::test]
async fn votes_on_polls_of_others_are_opened_and_unknown_polls_are_told_without_an_answer() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let option = |name: &str| wa::message::poll_creation_message::Option {
        option_name: Some(name.to_owned()),
        ..Default::default()
    };
    let poll = || wa::Message {
        poll_creation_message_v3: MessageField::some(wa::message::PollCreationMessage {
            name: Some("What?".to_owned()),
            options: vec![option("Tea"), option("Coffee")],
            selectable_options_count: Some(1),
            ..Default::default()
        }),
        message_context_info: MessageField::some(wa::MessageContextInfo {
            message_secret: Some(vec![7; 32]),
            ..Default::default()
        }),
        ..Default::default()
    };
    // This one nobody here has ever seen.
    let carol = app.phone("Carol");
    let foreign = bob.sends(carol.number(), "poll", poll()).unwrap();
    carol.next_message(PATIENCE).await.unwrap();
    bob.votes(&alice.jid(), &foreign, Author::Me, &["Tea"]).unwrap();

    let id = bob.sends(alice.number(), "poll", poll()).unwrap();
    let received = app.webhook.next().await.body;
    assert_eq!((&received["data"]["type"], &received["data"]["poll"]["max_selections"]), (&json!("poll"), &json!(1)));
    bob.votes(&alice.jid(), &id, Author::Me, &["Tea"]).unwrap();
    let told = votes(&app, 2).await;
    assert_eq!(
        (&told[0]["message_id"], &told[0]["options"], &told[0]["tally"]),
        (&json!(foreign), &Value::Null, &Value::Null)
    );
    assert_eq!((&told[1]["message_id"], &told[1]["options"]), (&json!(id), &json!(["Tea"])));
    assert_eq!(told[1]["tally"][0], json!({"option": "Tea", "votes": 1, "voters": [bob.jid()]}));
    app.finish().await;
}

#[tokio::test]
async fn answers_to_events_are_opened_and_counted() {
    use wa::message::event_response_message::EventResponseType::{GOING, MAYBE, NOT_GOING};
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let event = json!({"name": "Party", "start": "2026-12-01T09:00:00Z"});
    let id = app.accepted("shop", json!({"to": bob.number(), "event": event})).await;
    bob.next_message(PATIENCE).await.unwrap();
    for response in [MAYBE, NOT_GOING, GOING] {
        bob.responds(&alice.jid(), &id, Author::Them, response).unwrap();
    }
    let told = told(&app, "event.response", 3).await;
    let responses: Vec<_> = told.iter().map(|answer| answer["response"].clone()).collect();
    assert_eq!(responses, ["maybe", "not_going", "going"]);
    let last = &told[2];
    assert_eq!((&last["message_id"], &last["name"], &last["extra_guests"]), (&json!(id), &json!("Party"), &json!(1)));
    assert_eq!(last["tally"][0], json!({"option": "going", "votes": 1, "voters": [bob.jid()]}));
    assert_eq!((&last["tally"][1]["votes"], &last["tally"][2]["votes"]), (&json!(0), &json!(0)));
    app.finish().await;
}
