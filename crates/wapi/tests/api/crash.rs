//! The plug is pulled: what WhatsApp was told had arrived reaches the webhook all the same, and in order within its chat.

use std::collections::BTreeMap;

use wapi_simulator::{Phone, Simulator};

use crate::harness::{PATIENCE, TestReceiver, Wapi, free_address};

/// The program with a webhook that a test reads, over any number of runs.
async fn surroundings() -> (Simulator, TestReceiver, Wapi, std::net::SocketAddr) {
    let simulator = Simulator::start(Default::default()).await.unwrap();
    let webhook = TestReceiver::start().await;
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", webhook.base());
    (simulator, webhook, wapi, address)
}

async fn nothing_is_queued(phone: &Phone) {
    let empty = |phone: &Phone| (phone.devices()[0].queued == 0).then_some(());
    phone.until("WhatsApp was told that everything arrived", PATIENCE, empty).await.unwrap();
}

#[tokio::test]
async fn what_was_taken_over_is_delivered_by_the_next_run() {
    let (simulator, webhook, wapi, address) = surroundings().await;
    let (alice, bob) = (simulator.phone("Alice").unwrap(), simulator.phone("Bob").unwrap());
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    webhook.answer(500);
    for number in 0..5 {
        bob.sends_text(alice.number(), &number.to_string()).await.unwrap();
    }
    nothing_is_queued(&alice).await;
    webhook.refusals(1).await;
    running.kill().await;

    webhook.answer(200);
    let (running, _) = wapi.serves(address).await;
    for number in 0..5 {
        let event = webhook.next().await.body;
        assert_eq!(event["data"]["text"]["body"], number.to_string());
    }
    assert!(running.terminate().await.success);
    assert_eq!(webhook.leftovers().len(), 0, "each was delivered once");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_flood_with_kills_in_it_arrives_whole_and_in_order() {
    const ROUNDS: usize = 6;
    const EACH: usize = 30;
    let seed: u64 = rand_seed();
    println!("seed {seed}; set WAPI_TESTS_SEED to repeat it");
    let mut dice = Dice(seed);
    let (simulator, webhook, wapi, address) = surroundings().await;
    let alice = simulator.phone("Alice").unwrap();
    let senders = [simulator.phone("Bob").unwrap(), simulator.phone("Carol").unwrap()];
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    running.kill().await;

    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let (running, client) = wapi.serves(address).await;
        client.until("shop", "online").await;
        for number in 0..EACH {
            for sender in &senders {
                sender.sends_text(alice.number(), &format!("{}", round * EACH + number)).await.unwrap();
            }
        }
        for _ in 0..dice.below(EACH) {
            note(&mut seen, &webhook.next().await.body);
        }
        running.kill().await;
    }
    let (running, _) = wapi.serves(address).await;
    while seen.values().map(Vec::len).sum::<usize>() < senders.len() * ROUNDS * EACH {
        note(&mut seen, &webhook.next().await.body);
    }
    nothing_is_queued(&alice).await;
    assert!(running.terminate().await.success);
    let expected: Vec<String> = (0..ROUNDS * EACH).map(|number| number.to_string()).collect();
    for sender in &senders {
        assert_eq!(seen[&sender.jid()], expected, "from {}", sender.jid());
    }
    simulator.finish().await.unwrap();
}

/// Keeps the first of each; a delivery that was under way when the plug was pulled may come again.
fn note(seen: &mut BTreeMap<String, Vec<String>>, event: &serde_json::Value) {
    let chat = seen.entry(event["data"]["chat"].as_str().unwrap().to_owned()).or_default();
    let text = event["data"]["text"]["body"].as_str().unwrap().to_owned();
    if !chat.contains(&text) {
        chat.push(text);
    }
}

fn rand_seed() -> u64 {
    match std::env::var("WAPI_TESTS_SEED") {
        Ok(seed) => seed.parse().expect("WAPI_TESTS_SEED is a number"),
        Err(_) => u64::from(std::process::id()),
    }
}

/// Small, and the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}
