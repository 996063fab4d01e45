//! Linking with a passkey: by the engine, and refused out of order.

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};
use wacore_libsignal::protocol::KeyPair;
use wapi_simulator::{Simulator, SimulatorOptions};
use whatsapp_rust::passkey::Assertion;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, two_phones};
use crate::media::https;
use crate::raw::word;
use crate::strict::{StrictClient, registration_of};

async fn call(
    http: &reqwest::Client,
    method: reqwest::Method,
    address: &str,
    body: Value,
) -> Value {
    let answer = http.request(method, address).json(&body).send().await;
    let answer = answer.unwrap().error_for_status().unwrap();
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_admin_api_asks_for_a_passkey_makes_the_assertion_and_shows_the_code() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (http, phone) = (
        https(&simulator),
        format!("{}/phones/{}", simulator.admin_url(), alice.number()),
    );
    let put = reqwest::Method::PUT;
    let made = call(&http, put, &format!("{phone}/passkey"), json!({})).await;
    assert_eq!(made["id"], alice.passkey().unwrap().id());
    let mut companion = Companion::new(&simulator).await;
    let qr = companion.qr().await;
    let post = || reqwest::Method::POST;
    let scan_path = format!("{phone}/scan");
    let scan = call(&http, post(), &scan_path, json!({"qr": qr}));
    let steps = async {
        let options = companion
            .next("a request for a passkey", |event| match event {
                Event::PairPasskeyRequest(asked) => Some(asked.request_options_json.clone()),
                _ => None,
            })
            .await;
        let options: Value = serde_json::from_str(&options).unwrap();
        let path = format!("{phone}/passkey/assertion");
        let answer = call(&http, post(), &path, json!({"options": options})).await;
        let client = &companion.client;
        let assertion = Assertion {
            assertion_json: answer["assertion"].to_string().into_bytes(),
            credential_id: {
                use base64::Engine;
                use base64::engine::general_purpose::URL_SAFE_NO_PAD;
                let id = answer["assertion"]["id"].as_str().unwrap();
                URL_SAFE_NO_PAD.decode(id).unwrap()
            },
        };
        client.send_passkey_response(assertion).await.unwrap();
        let code = companion
            .next("a code", |event| match event {
                Event::PairPasskeyConfirmation(shown) => Some(shown.code.clone()),
                _ => None,
            })
            .await;
        let path = format!("{phone}/passkey/code");
        let shown = call(&http, reqwest::Method::GET, &path, json!({})).await;
        assert_eq!(shown["code"], code);
        companion.client.send_passkey_confirmation().await.unwrap();
    };
    let (device, ()) = tokio::join!(scan, steps);
    assert_eq!(device["device"], 1);
    companion.connected().await;
    companion.stop().await;
    call(
        &http,
        reqwest::Method::DELETE,
        &format!("{phone}/passkey"),
        json!({}),
    )
    .await;
    assert!(alice.passkey().is_none());
    simulator.finish().await.unwrap();
}

fn request(id: &str, kind: &'static str, asked: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("id", id.to_owned())
        .attr("to", Jid::new("", Server::Pn))
        .attr("type", kind)
        .attr("xmlns", "md")
        .children([asked])
        .build()
}

#[tokio::test]
async fn a_step_of_a_passkey_that_was_not_asked_for_is_refused() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (noise, identity) = (
        KeyPair::generate(&mut rand::rng()),
        KeyPair::generate(&mut rand::rng()),
    );
    let mut client = StrictClient::connect(&simulator, &noise, &registration_of(&identity)).await;
    client.stanza().await;
    let bytes = |tag: &'static str| NodeBuilder::new(tag).bytes(vec![7; 32]).build();
    let prologue = NodeBuilder::new("passkey_prologue")
        .children(["credential_id", "webauthn_assertion", "prologue_payload"].map(bytes));
    for (kind, asked) in [
        ("get", NodeBuilder::new("ref").build()),
        ("get", NodeBuilder::new("passkey_request_options").build()),
        ("set", prologue.build()),
        ("set", bytes("companion_nonce")),
        ("set", bytes("encrypted_pairing_request")),
    ] {
        let tag = asked.tag.to_string();
        client.send(&request("1", kind, asked)).await;
        let answer = client.stanza().await;
        let error = answer.children().unwrap().first().unwrap();
        assert_eq!(word(error, "code"), "400", "{tag}");
    }
    client.hang_up().await;
    simulator.finish().await.unwrap();
}
