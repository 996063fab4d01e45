//! Polls both ways and the votes on them; events and the answers to them.

use serde_json::{Value, json};
use wapi_simulator::{
    AckFault, Addressing, Author, EventAnswer, OpenedAnswer, Phone, PlannedEvent, SimulatorOptions,
};

use crate::harness::{PATIENCE, Setup, TestApp, shop, steady};

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
    let poll =
        json!({"question": "What?", "options": ["Tea", "Coffee", "Milk"], "max_selections": 2});
    let id = app
        .accepted("shop", json!({"to": bob.number(), "poll": poll}))
        .await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
    let ballots = [vec!["Tea", "Milk"], vec!["Coffee"], vec![]];
    for ballot in &ballots {
        bob.votes_on_poll(&alice.jid(), &id, Author::Them, ballot)
            .unwrap();
    }
    votes(&app, ballots.len()).await;
    // Its owner votes on the phone.
    alice
        .votes_on_poll(&bob.jid(), &id, Author::Me, &["Milk"])
        .unwrap();

    let told = votes(&app, 4).await;
    for (vote, ballot) in told.iter().zip(&ballots) {
        assert_eq!(vote["message_id"], id);
        assert_eq!(vote["chat"], bob.jid());
        assert_eq!(vote["from"]["phone"], bob.number());
        assert_eq!(vote["question"], "What?");
        assert_eq!(vote["options"], json!(ballot));
        let standing = |option: &str| {
            let voters: Vec<_> = ballot
                .contains(&option)
                .then(|| bob.jid())
                .into_iter()
                .collect();
            json!({"option": option, "votes": voters.len(), "voters": voters})
        };
        assert_eq!(
            vote["tally"],
            json!(["Tea", "Coffee", "Milk"].map(standing))
        );
    }
    assert_eq!(told[3]["from_me"], true);
    assert_eq!(told[3]["from"]["phone"], alice.number());
    assert_eq!(
        told[3]["tally"][2],
        json!({"option": "Milk", "votes": 1, "voters": [alice.jid()]})
    );
    app.finish().await;
}

#[tokio::test]
async fn votes_on_our_polls_are_opened_and_counted() {
    votes_on_a_poll_of_ours(TestApp::start().await).await;
}

#[tokio::test]
async fn votes_are_opened_where_everybody_has_a_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    votes_on_a_poll_of_ours(Setup::new().simulator(options).start().await).await;
}

/// A poll of a phone: tea or coffee, or, where more may be chosen, both; its id.
fn asks(phone: &Phone, to: &str, most: u32) -> String {
    phone
        .sends_poll(to, "What?", &["Tea", "Coffee"], most)
        .unwrap()
}

#[tokio::test]
async fn votes_on_polls_of_others_are_opened_and_unknown_polls_are_told_without_an_answer() {
    shop(async |app, alice, bob| {
        // This one nobody here has ever seen.
        let carol = app.phone("Carol");
        let foreign = asks(&bob, carol.number(), 1);
        carol.next_message(PATIENCE).await.unwrap();
        bob.votes_on_poll(&alice.jid(), &foreign, Author::Me, &["Tea"])
            .unwrap();

        let id = asks(&bob, alice.number(), 1);
        let received = app.webhook.next().await.body;
        assert_eq!(received["data"]["type"], "poll");
        assert_eq!(received["data"]["poll"]["max_selections"], 1);
        bob.votes_on_poll(&alice.jid(), &id, Author::Me, &["Tea"])
            .unwrap();
        let told = votes(app, 2).await;
        assert_eq!(told[0]["message_id"], foreign);
        assert_eq!(told[0]["options"], Value::Null);
        assert_eq!(told[0]["tally"], Value::Null);
        assert_eq!(told[1]["message_id"], id);
        assert_eq!(told[1]["options"], json!(["Tea"]));
        assert_eq!(
            told[1]["tally"][0],
            json!({"option": "Tea", "votes": 1, "voters": [bob.jid()]})
        );
    })
    .await;
}

#[tokio::test]
async fn answers_to_events_are_opened_and_counted() {
    use EventAnswer::{Going, Maybe, NotGoing};
    shop(async |app, alice, bob| {
        let event = json!({"name": "Party", "start": "2026-12-01T09:00:00Z"});
        let id = app
            .accepted("shop", json!({"to": bob.number(), "event": event}))
            .await;
        bob.next_message(PATIENCE).await.unwrap();
        for response in [Maybe, NotGoing, Going] {
            bob.answers_event(&alice.jid(), &id, Author::Them, response)
                .unwrap();
        }
        let told = told(app, "event.response", 3).await;
        let responses: Vec<_> = told
            .iter()
            .map(|answer| answer["response"].clone())
            .collect();
        assert_eq!(responses, ["maybe", "not_going", "going"]);
        let last = &told[2];
        let answer = last["id"].as_str().unwrap();
        insta::assert_json_snapshot!(steady(last, &[(&id, "[event]"), (answer, "[answer]")]), @r#"
        {
          "chat": "375440000002@s.whatsapp.net",
          "extra_guests": 1,
          "from": {
            "id": "375440000002@s.whatsapp.net",
            "lid": "100000000000002@lid",
            "name": "Bob",
            "phone": "375440000002"
          },
          "id": "[answer]",
          "message_id": "[event]",
          "name": "Party",
          "offline": false,
          "response": "going",
          "session": "shop",
          "tally": [
            {
              "option": "going",
              "voters": [
                "375440000002@s.whatsapp.net"
              ],
              "votes": 1
            },
            {
              "option": "not_going",
              "voters": [],
              "votes": 0
            },
            {
              "option": "maybe",
              "voters": [],
              "votes": 0
            }
          ],
          "timestamp": "[moment]"
        }
        "#);
    })
    .await;
}

/// The ids of a poll and an event of Bob's that the session was told of.
async fn asked(app: &TestApp, bob: &Phone, to: &str) -> [String; 2] {
    let party = PlannedEvent {
        name: "Party".to_owned(),
        ..PlannedEvent::default()
    };
    let ids = [asks(bob, to, 0), bob.sends_event(to, party).unwrap()];
    for id in &ids {
        assert_eq!(app.webhook.next().await.body["data"]["id"], json!(id));
    }
    ids
}

/// The world's addressing, that of whoever asks, and whether it is in a group: people who write by LID to an account that does not, and the
/// other way round, are among them.
fn worlds() -> impl Iterator<Item = (Addressing, Addressing, bool)> {
    const BOTH: [Addressing; 2] = [Addressing::PhoneNumber, Addressing::Lid];
    let asking = BOTH
        .into_iter()
        .flat_map(|world| BOTH.map(|asking| (world, asking)));
    asking.flat_map(|(world, asking)| [(world, asking, false), (world, asking, true)])
}

#[tokio::test]
async fn the_account_votes_and_answers_and_phones_open_it() {
    for (addressing, asking, is_group) in worlds() {
        let app = Setup::new()
            .simulator(SimulatorOptions {
                addressing,
                ..SimulatorOptions::default()
            })
            .start()
            .await;
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("shop", &alice).await;
        bob.uses_addressing(asking);
        let (theirs, ours) = match is_group {
            true => {
                let group = bob
                    .creates_group_addressed("club", &[&alice], asking)
                    .unwrap();
                (group.clone(), group)
            }
            false => (bob.jid(), alice.jid()),
        };
        let [poll, event] = asked(&app, &bob, &ours).await;
        for ballot in [vec!["Tea", "Coffee"], vec!["Coffee"], vec![]] {
            app.accepted(
                "shop",
                json!({"to": theirs, "poll_vote": {"message_id": poll, "options": ballot}}),
            )
            .await;
            let vote = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(
                bob.opens_vote(&vote).unwrap(),
                ballot,
                "{addressing:?}, {asking:?}, in a group: {is_group}"
            );
        }
        let answer = json!({"message_id": event, "response": "maybe", "extra_guests": 2});
        app.accepted("shop", json!({"to": theirs, "event_response": answer}))
            .await;
        let opened = bob
            .opens_response(&bob.next_message(PATIENCE).await.unwrap())
            .unwrap();
        let expected = OpenedAnswer {
            answer: EventAnswer::Maybe,
            extra_guests: 2,
        };
        assert_eq!(opened, expected);
        // Nobody sees them as messages of the chat.
        let chat = app
            .get(&format!("/v1/sessions/shop/chats/{theirs}/messages"))
            .await
            .expect(200)
            .json();
        assert_eq!(chat["messages"].as_array().unwrap().len(), 2, "{chat:#}");
        app.finish().await;
    }
}

#[tokio::test]
async fn own_votes_count_and_the_account_votes_on_its_own_polls() {
    // By number: own votes on own polls are sealed for numbers, which chats by LID do not expect.
    Setup::new()
        .simulator(SimulatorOptions::default())
        .shop(async |app, alice, bob| {
            let poll = json!({"question": "What?", "options": ["Tea", "Coffee"]});
            let poll = app
                .accepted("shop", json!({"to": bob.number(), "poll": poll}))
                .await;
            bob.next_message(PATIENCE).await.unwrap();
            let vote =
                json!({"to": bob.number(), "poll_vote": {"message_id": poll, "options": ["Tea"]}});
            // What WhatsApp does not take does not count.
            app.simulator.faults().set_ack_fault(AckFault::Refuse(479));
            assert_eq!(
                app.post("/v1/sessions/shop/messages", vote.clone())
                    .await
                    .code(),
                "whatsapp_refused"
            );
            app.simulator.faults().set_ack_fault(AckFault::None);
            bob.votes_on_poll(&alice.jid(), &poll, Author::Them, &["Coffee"])
                .unwrap();
            let counted = |votes: &[Value]| votes.last().unwrap()["tally"][0]["votes"].clone();
            assert_eq!(counted(&votes(app, 1).await), 0);
            let sent = app
                .post("/v1/sessions/shop/messages", vote)
                .await
                .expect(200)
                .json();
            assert_eq!(sent["messages"][0]["type"], "poll_vote");
            assert_eq!(sent["messages"][0]["status"], "sent");
            assert_eq!(
                bob.opens_vote(&bob.next_message(PATIENCE).await.unwrap())
                    .unwrap(),
                ["Tea"]
            );

            bob.votes_on_poll(&alice.jid(), &poll, Author::Them, &["Tea"])
                .unwrap();
            let mut voters = votes(app, 2).await[1]["tally"][0]["voters"]
                .as_array()
                .unwrap()
                .clone();
            voters.sort_by_key(ToString::to_string);
            let mut expected = vec![json!(alice.jid()), json!(bob.jid())];
            expected.sort_by_key(ToString::to_string);
            assert_eq!(voters, expected);
        })
        .await;
}

#[tokio::test]
async fn votes_and_answers_that_make_no_sense_are_refused() {
    shop(async |app, alice, bob| {
        let [_, event] = asked(app, &bob, &alice.jid()).await;
        let poll = asks(&bob, alice.number(), 1);
        app.webhook.next().await;
        let vote =
            |id: &str, options: Value| json!({"poll_vote": {"message_id": id, "options": options}});
        let answer = |id: &str, response: &str| json!({"event_response": {"message_id": id, "response": response}});
        for (message, field, says) in [
            (
                vote("3EB0", json!(["Tea"])),
                "poll_vote.message_id",
                "does not name a poll",
            ),
            (
                vote(&event, json!(["going"])),
                "poll_vote.message_id",
                "does not name a poll",
            ),
            (
                vote(&poll, json!(["Milk"])),
                "poll_vote.options",
                "`Milk` is not an option of the poll: Tea, Coffee",
            ),
            (
                vote(&poll, json!(["Tea", "Coffee"])),
                "poll_vote.options",
                "this poll accepts at most 1",
            ),
            (
                vote(&poll, json!(["Tea", "Tea"])),
                "poll_vote.options",
                "the same twice",
            ),
            (vote(&poll, Value::Null), "poll_vote.options", "is missing"),
            (
                answer(&poll, "going"),
                "event_response.message_id",
                "does not name an event",
            ),
            (
                answer(&event, "perhaps"),
                "event_response.response",
                "going, not_going, maybe",
            ),
        ] {
            let mut message = message;
            message["to"] = json!(bob.number());
            let problem = app
                .post("/v1/sessions/shop/messages", message.clone())
                .await
                .expect(400)
                .json();
            assert_eq!(problem["errors"][0]["field"], field, "{message}");
            assert!(
                problem["errors"][0]["detail"]
                    .as_str()
                    .unwrap()
                    .contains(says),
                "{problem}"
            );
        }
        // Nobody there could open it.
        let mut elsewhere = vote(&poll, json!(["Tea"]));
        elsewhere["to"] = json!(app.phone("Carol").number());
        assert_eq!(
            app.post("/v1/sessions/shop/messages", elsewhere)
                .await
                .expect(400)
                .fields(),
            ["to"]
        );
    }).await;
}
