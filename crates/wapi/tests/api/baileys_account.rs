//! What all devices of an account share, with a client that others wrote: it checks every MAC, and so does the phone.

use serde_json::{Value, json};
use wapi_simulator::{
    Addressing, Author, Corruption, HistoryMessage, KeyShare, Phone, SimulatorOptions,
};

use crate::harness::{Baileys, Setup, TestApp, options};

async fn with_baileys(options: SimulatorOptions) -> Option<(TestApp, Baileys, Phone, Phone)> {
    let app = Setup::new().simulator(options).start().await;
    let (ann, bob) = (app.phone("Ann"), app.phone("Bob"));
    let Some(mut baileys) = Baileys::start(&app.simulator, "Ann") else {
        app.finish().await;
        return None;
    };
    baileys.pair(&ann).await;
    Some((app, baileys, ann, bob))
}

/// How Baileys and the phone name a chat.
fn address(bob: &Phone, options: &SimulatorOptions) -> String {
    if options.addressing == Addressing::Lid {
        bob.lid()
    } else {
        bob.jid()
    }
}

async fn share_chats(options: SimulatorOptions) {
    let chat = |bob: &Phone| address(bob, &options);
    let Some((app, mut baileys, ann, bob)) = with_baileys(options.clone()).await else {
        return;
    };
    baileys.next("app_state_key").await;
    // A snapshot and some patches after it, and more of them than one answer holds: Baileys has not asked for anything yet.
    for round in 0..17 {
        ann.pins_chat(bob.number(), round % 2 == 0).unwrap();
    }
    let pinned = baileys
        .until("a pinned chat", |event| {
            event["event"] == "chat" && event["pinned"].is_number()
        })
        .await;
    assert_eq!(pinned["chat"], chat(&bob));
    ann.archives_chat(bob.number(), true).unwrap();
    baileys
        .until("an archived chat", |event| event["archived"] == true)
        .await;
    ann.mutes_chat(bob.number(), Some(1_900_000_000_000))
        .unwrap();
    baileys
        .until("a muted chat", |event| {
            event["muted_until"] == 1_900_000_000_000_u64
        })
        .await;
    ann.marks_unread(bob.number(), true).unwrap();
    baileys
        .until("an unread chat", |event| event["unread"] == true)
        .await;
    ann.names_contact(bob.number(), "Bob Brown").unwrap();
    let contact = baileys.next("contact").await;
    assert_eq!(contact["name"], "Bob Brown");
    ann.renews_app_state_key(KeyShare::Now).unwrap();
    baileys.next("app_state_key").await;
    ann.archives_chat(bob.number(), false).unwrap();
    baileys
        .until("a chat taken back", |event| event["archived"] == false)
        .await;

    for change in [
        json!({"archive": true}),
        json!({"pin": false}),
        json!({"mute": null}),
        json!({"markRead": true}),
    ] {
        baileys
            .command(json!({"op": "set_chat", "chat": chat(&bob), "change": change}))
            .await;
    }
    let settings = json!(ann.chat_settings(bob.number()).unwrap());
    assert_eq!(
        settings,
        json!({"archived": true, "pinned": false, "muted_until": null, "unread": false})
    );
    let failure = baileys
        .seen()
        .iter()
        .find(|event| event["event"] == "app_state_failure");
    assert_eq!(failure, None);
    assert_eq!(ann.failures(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn baileys_and_a_phone_share_the_state_of_chats() {
    share_chats(SimulatorOptions::default()).await;
}

#[tokio::test]
async fn baileys_and_a_phone_share_the_state_of_chats_by_lid() {
    share_chats(SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    })
    .await;
}

/// What Baileys says about a patch in which one MAC is wrong.
async fn complaint_about(corruption: Corruption) -> Option<Value> {
    let options = SimulatorOptions {
        corruption: Some(corruption),
        ..options()
    };
    let (app, mut baileys, ann, bob) = with_baileys(options).await?;
    ann.archives_chat(bob.number(), true).unwrap();
    let complaint = baileys.next("app_state_failure").await;
    app.finish().await;
    Some(complaint)
}

#[tokio::test]
async fn baileys_finds_each_wrong_mac() {
    for (corruption, words) in [
        (
            Corruption::AppStateSnapshotMac,
            "LTHash verification failed",
        ),
        (Corruption::AppStatePatchMac, "failed to decode patch"),
        (Corruption::AppStateIndexMac, "failed to decode patch"),
        // An entry that does not open is left out, so that the hash of all is another one.
        (Corruption::AppStateValueMac, "LTHash verification failed"),
    ] {
        let Some(complaint) = complaint_about(corruption).await else {
            return;
        };
        let message = complaint["message"].as_str().unwrap();
        assert!(message.contains(words), "{corruption:?}: {complaint}");
    }
}

#[tokio::test]
async fn baileys_takes_in_what_the_phone_remembers() {
    const LONG_AGO: u64 = 1_700_000_000;
    // By number: how Baileys cuts a past by LID into its events depends on the moment.
    Setup::new()
        .simulator(SimulatorOptions::default()).gateway(async |app| {
        let (ann, bob) = (app.phone("Ann"), app.phone("Bob"));
        let Some(mut baileys) = Baileys::start_with_history(&app.simulator, "Ann") else {
            return;
        };
        let past = (0..60).map(|index| {
            HistoryMessage::new_text(
                &format!("OLD{index}"),
                Author::Them,
                LONG_AGO + index,
                "hello",
            )
        });
        ann.remembers_chat(bob.number(), past.collect()).unwrap();
        // With the history comes the state of everything, the longest of it as a snapshot.
        for _ in 0..12 {
            ann.archives_chat(bob.number(), true).unwrap();
        }
        ann.names_contact(bob.number(), "Bob Brown").unwrap();
        baileys.pair(&ann).await;
        let is = |name: &'static str| {
            move |event: &Value| {
                event["event"] == "history" && !event[name].as_array().unwrap().is_empty()
            }
        };
        let first = baileys.until("the chats", is("chats")).await;
        let chat = app.address(&bob);
        assert_eq!(first["chats"], json!([chat]));
        // Of chats by number it is told which LID belongs to whom, and the other way round.
        if chat == bob.jid() {
            assert_eq!(
                first["lids"][bob.number()],
                json!(bob.lid().trim_end_matches("@lid"))
            );
        }
        let mut told: Vec<Value> = first["messages"].as_array().unwrap().clone();
        let mut last = first;
        while told.len() < 60 {
            last = baileys.until("older messages", is("messages")).await;
            told.extend(last["messages"].as_array().unwrap().iter().cloned());
        }
        assert_eq!(last["type"], 3);
        assert_eq!(last["progress"], 100);
        let expected = |index: u64| json!({"id": format!("OLD{index}"), "chat": chat, "from_me": false, "text": "hello"});
        assert!(
            (0..60).all(|index| told.contains(&expected(index))),
            "{told:#?}"
        );
        // What is built on the snapshot holds.
        ann.pins_chat(bob.number(), true).unwrap();
        baileys
            .until("a pinned chat", |event| event["pinned"].is_number())
            .await;
        let failure = baileys
            .seen()
            .iter()
            .find(|event| event["event"] == "app_state_failure");
        assert_eq!(failure, None);
    }).await;
}
