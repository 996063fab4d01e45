//! The parts a phone tells its history in: one that is lost is said to be missing, and a large one is never whole in memory.

use serde_json::json;
use wapi::system::clock::Clock;
use wapi_simulator::{Addressing, Author, HistoryMessage};

use super::{SHOP, bodies, look, now, pair_with_history, past, until_history};
use crate::harness::{Surroundings, eventually, gateway};

#[tokio::test]
async fn a_part_that_cannot_be_fetched_is_missed() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        alice.remembers_chat(bob.number(), past(60)).unwrap();
        app.simulator.faults().withhold_media(true);
        pair_with_history(app, &alice).await;
        until_history(app, "incomplete").await;
        // The newest of each chat came beside its announcement.
        assert_eq!(
            bodies(&look(app, &format!("/chats/{}/messages", bob.number())).await),
            ["n59"]
        );
        app.simulator.faults().withhold_media(false);
        // The next device is told everything anew.
        app.order("shop", "logout").await.expect(200);
        app.order("shop", "start").await.expect(200);
        until_history(app, "waiting").await;
        app.pair("shop", &alice).await;
        until_history(app, "complete").await;
        assert_eq!(
            bodies(&look(app, &format!("/chats/{}/messages?limit=500", bob.number())).await).len(),
            60
        );
    })
    .await;
}

#[tokio::test]
async fn people_are_known_by_their_number_whichever_part_comes_first() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        bob.uses_addressing(Addressing::Lid);
        alice.remembers_chat(bob.number(), past(60)).unwrap();
        alice.tells_names_first();
        pair_with_history(app, &alice).await;
        until_history(app, "complete").await;
        let contacts = look(app, "/contacts").await["contacts"].take();
        assert_eq!(contacts.as_array().unwrap().len(), 1, "{contacts}");
        assert_eq!(contacts[0]["id"], bob.jid(), "{contacts}");
        assert_eq!(contacts[0]["name"], "Bob", "{contacts}");
    })
    .await;
}

#[tokio::test]
async fn what_a_crash_takes_is_said_to_be_missing() {
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let wapi = wapi.set("WAPI_WHATSAPP_CA_FILE", simulator.ca_pem_file().display());
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    alice.remembers_chat(bob.number(), past(LARGE)).unwrap();
    alice.packs_history(LARGE as usize);
    let (running, client) = wapi.serves(address).await;
    client
        .post("/v1/sessions", json!({"id": "shop", "history": true}))
        .await
        .expect(201);
    client.pair("shop", &alice).await;
    let some = async || {
        client
            .get(&format!("{SHOP}/messages?q=n7&limit=1"))
            .await
            .json()["messages"][0]["id"]
            .as_str()
            .map(drop)
    };
    eventually(some, async || "nothing came".to_owned()).await;
    assert_eq!(
        client.session("shop").await.json()["history"]["status"],
        "receiving"
    );
    running.kill().await;

    let (running, client) = wapi.serves(address).await;
    client.until("shop", "online").await;
    let missing = client.session("shop").await.json()["history"].clone();
    assert_eq!(missing["status"], "incomplete", "{missing}");
    bob.sends_text(alice.number(), "new").await.unwrap();
    assert_eq!(webhook.next().await.body["data"]["text"]["body"], "new");
    assert_eq!(
        client.session("shop").await.json()["history"]["status"],
        "incomplete"
    );
    assert!(running.terminate().await.success);
    assert_eq!(webhook.leftovers().len(), 0);
    simulator.finish().await.unwrap();
}

/// Messages in one part; real phones tell some hundreds at a time.
const LARGE: u64 = 20_000;
/// How much more memory they may take: 28 MiB were measured, of which 10 grow with their number, and 60 MiB when all of them were read at
/// once.
const GROWTH: u64 = 40 * 1024 * 1024;

#[tokio::test]
async fn a_large_part_is_never_in_memory_as_a_whole_and_holds_up_nobody() {
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let wapi = wapi.set("WAPI_WHATSAPP_CA_FILE", simulator.ca_pem_file().display());
    let [alice, bob] = ["Alice", "Bob"].map(|name| simulator.add_phone(name).unwrap());
    let (running, client) = wapi.serves(address).await;
    client
        .post("/v1/sessions", json!({"id": "shop", "history": true}))
        .await
        .expect(201);
    // What the first parts cost once is no growth.
    alice.remembers_chat(bob.number(), past(400)).unwrap();
    client.pair("shop", &alice).await;
    let status = async || client.session("shop").await.json()["history"].clone();
    eventually(
        async || (status().await["status"] == "complete").then_some(()),
        async || status().await.to_string(),
    )
    .await;
    let before = running.begin_peak();
    alice.packs_history(LARGE as usize);
    let begin = now() - 59 - LARGE;
    let message = |index| {
        HistoryMessage::new_text(
            &format!("BIG{index}"),
            Author::Them,
            begin + index,
            &format!("big {index} {}", "word ".repeat(20)),
        )
    };
    alice
        .remembers_chat(bob.number(), (0..LARGE).map(message).collect())
        .unwrap();
    alice.sends_history_again().unwrap();
    let found = async || {
        client
            .get(&format!("{SHOP}/messages?q=big&limit=1"))
            .await
            .json()["messages"][0]["id"]
            .as_str()
            .map(drop)
    };
    eventually(found, async || "nothing came".to_owned()).await;
    let clock = Clock::system();
    let sent = clock.uptime();
    bob.sends_text(alice.number(), "meanwhile").await.unwrap();
    assert_eq!(
        webhook.next().await.body["data"]["text"]["body"],
        "meanwhile"
    );
    let took = clock.uptime().saturating_sub(sent);
    assert_eq!(status().await["status"], "receiving", "it came meanwhile");
    eventually(
        async || (status().await["status"] == "complete").then_some(()),
        async || status().await.to_string(),
    )
    .await;
    let newest = client
        .get(&format!("{SHOP}/chats/{}/messages?limit=2", bob.number()))
        .await
        .expect(200)
        .json();
    assert_eq!(newest["messages"][0]["text"]["body"], "meanwhile");
    assert_eq!(newest["messages"][1]["id"], format!("BIG{}", LARGE - 1));
    let growth = running.peak().saturating_sub(before);
    eprintln!(
        "{LARGE} messages in one part: {} KiB more, and a message beside them took {took:?}",
        growth / 1024
    );
    assert!(growth < GROWTH, "{growth} bytes");
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}
