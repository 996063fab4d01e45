//! The admin API, as a test suite in any language calls it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use wapi_simulator::{Simulator, SimulatorOptions};
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, PATIENCE, two_phones};
use crate::media::https;

#[tokio::test]
async fn phones_are_made_scan_send_and_list_what_they_received() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    // The same port speaks HTTP and, to whoever trusts its CA, HTTPS.
    let http = https(&simulator);
    let admin = simulator.admin_url();
    let tls = simulator.admin_url().replace("http://", "https://");
    let alice: Value = post(&http, &format!("{tls}/phones"), json!({"name": "Alice"})).await;
    let bob: Value = post(
        &http,
        &format!("{admin}/phones"),
        json!({"name": "Bob", "number": "375447034810"}),
    )
    .await;
    assert_eq!(bob["jid"], "375447034810@s.whatsapp.net");
    let (alice, bob) = (
        alice["number"].as_str().unwrap(),
        bob["number"].as_str().unwrap(),
    );

    let mut companion = Companion::new(&simulator).await;
    let qr = companion.qr().await;
    let device = post(
        &http,
        &format!("{admin}/phones/{alice}/scan"),
        json!({"qr": qr}),
    )
    .await;
    assert_eq!(device["device"], 1);
    companion.connected().await;

    let sent = post(
        &http,
        &format!("{admin}/phones/{bob}/messages"),
        json!({"to": alice, "text": "hi"}),
    )
    .await;
    assert_eq!(companion.message().await.id, sent["id"].as_str().unwrap());
    let received = get(&http, &format!("{admin}/phones/{alice}/messages")).await;
    assert_eq!(received["messages"][0]["text"], "hi");
    let image =
        json!({"to": alice, "image": {"base64": "AQID", "mime": "image/png", "caption": "c"}});
    post(&http, &format!("{admin}/phones/{bob}/messages"), image).await;
    let received = get(&http, &format!("{admin}/phones/{alice}/messages?after=1")).await;
    assert_eq!(
        received["messages"][0]["media"],
        json!({"mime": "image/png", "bytes": "AQID"})
    );
    let document = json!({"to": alice, "document": {"size": 30, "caption": "d"}});
    post(&http, &format!("{admin}/phones/{bob}/messages"), document).await;
    let received = get(&http, &format!("{admin}/phones/{alice}/messages?after=2")).await;
    let document = &received["messages"][0];
    assert_eq!(
        (&document["kind"], &document["caption"]),
        (&json!("document"), &json!("d"))
    );
    assert_eq!(
        document["media"]["bytes"].as_str().unwrap().len(),
        40,
        "30 bytes as base64"
    );
    let devices = get(&http, &format!("{admin}/phones/{alice}/devices")).await;
    assert_eq!(devices[0]["connected"], true);
    assert_eq!(
        get(&http, &format!("{admin}/unknown-requests")).await,
        json!([])
    );
    let gone = http
        .delete(format!("{admin}/phones/{alice}/devices/1"))
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::OK);
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn profiles_and_blocks_and_addresses_are_set() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (http, admin) = (https(&simulator), simulator.admin_url());
    let profile = format!("{admin}/phones/{}/profile", alice.number());
    let change = async |address: &str, body: Value| {
        let answer = http.patch(address).json(&body).send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    // The smallest JPEG that an encoder of ours makes.
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8)
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let picture = STANDARD.encode(jpeg.into_inner());
    let (status, shown) = change(
        &profile,
        json!({"name": "Alicia", "about": "here", "picture": picture, "hides_picture": false}),
    )
    .await;
    assert_eq!(
        (status, &shown["name"], &shown["about"]),
        (200, &json!("Alicia"), &json!("here"))
    );
    assert_eq!(shown["picture"]["base64"], picture);
    let (status, refused) = change(&profile, json!({"picture": "AQID"})).await;
    assert_eq!(
        (
            status,
            refused["error"].as_str().unwrap().contains("no JPEG")
        ),
        (400, true)
    );
    let block = format!("{admin}/phones/{}/blocked/{}", alice.number(), bob.number());
    assert_eq!(
        http.put(&block).send().await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(get(&http, &profile).await["blocked"], json!([bob.number()]));
    assert_eq!(
        http.delete(&block).send().await.unwrap().status(),
        StatusCode::OK
    );
    let (_, shown) = change(&profile, json!({"picture": null})).await;
    assert_eq!(
        (&shown["picture"], &shown["blocked"]),
        (&Value::Null, &json!([]))
    );

    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    let addressing = http.put(format!("{admin}/phones/{}/addressing", bob.number()));
    let addressing = addressing
        .json(&json!({"addressing": "lid", "tells_both": false}))
        .send()
        .await
        .unwrap();
    assert_eq!(addressing.status(), StatusCode::OK);
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let told = companion.message().await;
    assert_eq!((told.sender.as_str(), told.sender_alt), (&*bob.lid(), None));
    post(
        &http,
        &format!("{admin}/phones/{}/migration", alice.number()),
        json!({}),
    )
    .await;
    let bob_jid = bob.lid().parse().unwrap();
    let known = async || companion.client.get_lid_pn_entry(&bob_jid).await.unwrap();
    let learnt = tokio::time::timeout(PATIENCE, async {
        loop {
            match known().await {
                Some(known) => return known.phone_number.to_string(),
                None => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(learnt.await.unwrap(), bob.number());
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn catalogues_are_filled_and_ordered_from() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    let (http, admin) = (https(&simulator), simulator.admin_url());
    let orders = format!("{admin}/phones/{}/orders", bob.number());
    let cart = |product: &str| json!({"seller": alice.number(), "items": [{"product": product, "quantity": 2}]});
    let refused = http.post(&orders).json(&cart("7")).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let words = refused.json::<Value>().await.unwrap()["error"].to_string();
    assert!(words.contains("has no catalogue"), "{words}");
    let products =
        json!({"products": [{"id": "7", "name": "Mug", "price": 4_500, "currency": "EUR"}]});
    let filled = http
        .put(format!("{admin}/phones/{}/catalog", alice.number()))
        .json(&products)
        .send()
        .await
        .unwrap();
    assert_eq!(filled.status(), StatusCode::OK);
    assert_eq!(
        http.post(&orders)
            .json(&cart("8"))
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::BAD_REQUEST
    );
    let placed = post(&http, &orders, cart("7")).await;
    let received = companion.next("an order", |event| match event {
        Event::Messages(batch) => batch.messages.first().and_then(|inbound| {
            let order = inbound.message.order_message.as_option()?;
            Some(json!({
                "id": inbound.info.id.to_string(), "order": order.order_id, "token": order.token,
                "total": order.total_amount1000,
            }))
        }),
        _ => None,
    });
    let mut expected = placed;
    expected["total"] = json!(9_000);
    assert_eq!(received.await, expected);
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn mistakes_are_answered_with_what_is_wrong() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (http, admin) = (https(&simulator), simulator.admin_url());
    let alice = simulator.add_phone("Alice").unwrap();
    let phones = format!("{admin}/phones/{}", alice.number());
    for (address, body, status, words) in [
        (
            format!("{admin}/phones"),
            json!({"name": "B", "number": "12"}),
            400,
            "7 to 15 digits",
        ),
        (format!("{admin}/phones"), json!({"nmae": "B"}), 422, "nmae"),
        (
            format!("{admin}/phones/1234567/scan"),
            json!({"qr": "x"}),
            404,
            "no phone 1234567",
        ),
        (
            format!("{phones}/scan"),
            json!({"qr": "x"}),
            400,
            "fewer than four fields",
        ),
        (
            format!("{phones}/link-code"),
            json!({"code": "ABCD1234"}),
            404,
            "expired",
        ),
        (
            format!("{phones}/messages"),
            json!({"to": "99", "text": "x"}),
            400,
            "nobody is at",
        ),
        (
            format!("{phones}/messages"),
            json!({"to": "99"}),
            400,
            "one of text, image and document",
        ),
        (
            format!("{phones}/messages"),
            json!({"to": "99", "document": {"size": 67108865}}),
            400,
            "at most 67108864",
        ),
        (
            format!("{phones}/devices/4/faults"),
            json!({"fault": "cut"}),
            400,
            "no such device",
        ),
        (
            format!("{admin}/faults"),
            json!({"fault": "acks", "mode": "refuse"}),
            400,
            "needs code",
        ),
    ] {
        let answer = http.post(&address).json(&body).send().await.unwrap();
        let found = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert!(text.contains(words), "{address} {body}: {text}");
        assert_eq!(found, status, "{address} {body}");
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn the_call_of_other_projects_suites_makes_accounts_by_push_name() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (http, admin) = (https(&simulator), simulator.admin_url());
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let mut companion = Companion::new(&simulator).await;
        let qr = companion.qr().await;
        let scan = http
            .post(format!("{admin}/mock-phone/scan-qr"))
            .body(qr)
            .send()
            .await
            .unwrap();
        assert!(scan.status().is_success());
        let scanned: Value = scan.json().await.unwrap();
        numbers.push(scanned["number"].as_str().unwrap().to_owned());
        companion.connected().await;
        companion.stop().await;
    }
    // The engine registers without a push name, so each scan is an account of its own.
    assert_ne!(numbers[0], numbers[1]);
    let stale = http
        .post(format!("{admin}/mock-phone/scan-qr"))
        .body("nonsense")
        .send()
        .await
        .unwrap();
    assert_eq!(stale.status(), StatusCode::BAD_REQUEST);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_burst_spreads_over_the_chats_keeps_its_timetable_and_says_when_each_message_was_due() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let carol = simulator.add_phone("Carol").unwrap();
    let (http, admin) = (https(&simulator), simulator.admin_url());
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    let burst = json!({"label": "load", "from": [bob.number(), carol.number()], "to": [alice.number()], "count": 6, "per_second": 50});
    let sent = post(&http, &format!("{admin}/bursts"), burst).await;
    assert_eq!(sent["sent"], 6);
    assert!(
        sent["seconds"].as_f64().unwrap() >= 0.1,
        "the sixth is due after a tenth of a second: {sent}"
    );
    let mut due = std::collections::BTreeMap::new();
    while due.len() < 6 {
        let message = companion.message().await;
        let [label, index, at] = *message.text.split(' ').take(3).collect::<Vec<_>>() else {
            panic!("{}", message.text)
        };
        let index: usize = index.parse().unwrap();
        assert_eq!((label, message.text.len()), ("load", 100));
        let sender = if index.is_multiple_of(2) {
            &bob
        } else {
            &carol
        };
        assert!(
            message.sender.starts_with(sender.number()),
            "{index} is from {}",
            message.sender
        );
        due.insert(index, at.parse::<u64>().unwrap());
    }
    assert_eq!(
        due[&5] - due[&0],
        100_000,
        "in microseconds, by the timetable"
    );

    alice
        .wait_until("all is confirmed", PATIENCE, |alice| {
            (alice.linked_devices()[0].queued == 0).then_some(())
        })
        .await
        .unwrap();
    let phones = get(&http, &format!("{admin}/phones")).await;
    let of_alice = phones
        .as_array()
        .unwrap()
        .iter()
        .find(|phone| phone["number"] == alice.number())
        .unwrap();
    assert_eq!(
        (
            &of_alice["devices"],
            &of_alice["connected"],
            &of_alice["queued"]
        ),
        (&json!(1), &json!(1), &json!(0))
    );
    for (wrong, words) in [
        (
            json!({"label": "x", "from": [], "to": ["1"], "count": 1}),
            "at least one phone",
        ),
        (
            json!({"label": "x", "from": ["1"], "to": ["1"], "count": 1}),
            "no phone 1",
        ),
        (
            json!({"label": "x", "from": ["1"], "to": ["1"], "count": 1, "per_second": 0}),
            "above 0",
        ),
    ] {
        let answer = http
            .post(format!("{admin}/bursts"))
            .json(&wrong)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let text = answer.text().await.unwrap();
        assert!(text.contains(words), "{text}");
    }
    companion.stop().await;
    simulator.finish().await.unwrap();
}

async fn post(http: &reqwest::Client, address: &str, body: Value) -> Value {
    let answer = http.post(address).json(&body).send().await.unwrap();
    assert!(
        answer.status().is_success(),
        "{address}: {} {}",
        answer.status(),
        answer.text().await.unwrap()
    );
    answer.json().await.unwrap()
}

async fn get(http: &reqwest::Client, address: &str) -> Value {
    http.get(address)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}
