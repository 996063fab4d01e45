//! What a device asks for its account, and settles for it.

mod graphql;

use std::collections::BTreeMap;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wapi_simulator::{
    BusinessHours, BusinessProfile, Phone, Simulator, SimulatorOptions, StatusAudience,
};
use whatsapp_rust::Jid;

use crate::companion::two_phones;
use crate::raw::{RawDevice, content, word};

fn jid(address: &str) -> Jid {
    address.parse().unwrap()
}

fn node<const N: usize>(tag: &'static str, attrs: [(&'static str, &str); N]) -> Node {
    attrs
        .into_iter()
        .fold(NodeBuilder::new(tag), |node, (name, value)| {
            node.attr(name, value)
        })
        .build()
}

fn leaf(tag: &'static str, text: &str) -> Node {
    NodeBuilder::new(tag).bytes(text.as_bytes()).build()
}

fn text(parent: &Node, path: &[&str]) -> String {
    String::from_utf8(content(parent.get_optional_child_by_tag(path).unwrap())).unwrap()
}

/// The code of a refusal; empty when it is none.
fn refusal(answer: &Node) -> String {
    answer
        .get_optional_child("error")
        .map(|error| word(error, "code"))
        .unwrap_or_default()
}

async fn devices() -> (Simulator, [Phone; 2], [RawDevice; 2]) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let devices = [
        RawDevice::linked_to(&alice, &simulator).await,
        RawDevice::linked_to(&bob, &simulator).await,
    ];
    (simulator, [alice, bob], devices)
}

/// Asked with something else before it, and after it.
async fn asked(device: &mut RawDevice, namespace: &str, kind: &str, ask: Node) -> Node {
    let besides = || NodeBuilder::new("said_besides").build();
    let first = device.ask(namespace, kind, [besides(), ask.clone()]).await;
    let last = device.ask(namespace, kind, [ask, besides()]).await;
    assert_eq!(
        [word(&first, "type"), word(&last, "type")].map(|it| it == "result"),
        [refusal(&last).is_empty(); 2]
    );
    last
}

#[tokio::test]
async fn who_gets_the_statuses_is_told_in_each_of_its_forms() {
    let (simulator, [alice, bob], [mut device, _]) = devices().await;
    let (only, but) = (
        vec![bob.number().to_owned()],
        vec![bob.number().to_owned(), "1".to_owned()],
    );
    let forms = [
        (StatusAudience::Contacts, "contacts", vec![]),
        (StatusAudience::AllBut(but), "blacklist", vec![bob.jid()]),
        (StatusAudience::Only(only), "whitelist", vec![bob.jid()]),
    ];
    for (audience, kind, people) in forms {
        alice.posts_statuses_to(audience);
        let answer = asked(
            &mut device,
            "status",
            "get",
            NodeBuilder::new("privacy").build(),
        )
        .await;
        let list = answer
            .get_optional_child_by_tag(&["privacy", "list"])
            .unwrap();
        assert_eq!([word(list, "type"), word(list, "default")], [kind, "true"]);
        let listed: Vec<_> = list
            .children()
            .unwrap_or_default()
            .iter()
            .map(|user| word(user, "jid"))
            .collect();
        assert_eq!(listed, people);
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn the_timer_of_new_chats_is_settled_and_told_to_those_it_concerns() {
    let (simulator, [alice, bob], [mut device, mut theirs]) = devices().await;
    let mut sibling = RawDevice::linked_to(&alice, &simulator).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let set = |seconds: &'static str| node("disappearing_mode", [("duration", seconds)]);
    let answer = asked(&mut device, "disappearing_mode", "set", set("86400")).await;
    assert_eq!(
        (word(&answer, "type"), alice.default_timer()),
        ("result".to_owned(), 86_400)
    );
    for told in [
        sibling.notification("account_sync").await,
        theirs.notification("disappearing_mode").await,
    ] {
        let timer = told.get_optional_child("disappearing_mode").unwrap();
        assert_eq!(
            (word(&told, "from"), word(timer, "duration")),
            (alice.jid(), "86400".to_owned())
        );
        assert!(word(timer, "t").parse::<u64>().unwrap() > 0);
    }
    let query = NodeBuilder::new("query")
        .children([NodeBuilder::new("disappearing_mode").build()])
        .build();
    let user = NodeBuilder::new("user")
        .attr("jid", jid(&alice.jid()))
        .build();
    let usync = NodeBuilder::new("usync")
        .children([query, NodeBuilder::new("list").children([user]).build()])
        .build();
    let answer = asked(&mut theirs, "usync", "get", usync).await;
    let timer = answer
        .get_optional_child_by_tag(&["usync", "list", "user", "disappearing_mode"])
        .unwrap();
    assert_eq!(word(timer, "duration"), "86400");
    for wrong in [set("60"), NodeBuilder::new("disappearing_mode").build()] {
        assert_eq!(
            refusal(&asked(&mut device, "disappearing_mode", "set", wrong).await),
            "400"
        );
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn an_account_is_found_by_its_link_until_it_is_taken_back() {
    let (simulator, [alice, _], [mut device, mut theirs]) = devices().await;
    let own = |action: &'static str| node("qr", [("type", "contact"), ("action", action)]);
    let code = |answer: &Node| word(answer.get_optional_child("qr").unwrap(), "code");
    let first = code(&asked(&mut device, "w:qr", "set", own("get")).await);
    assert_eq!(
        code(&asked(&mut device, "w:qr", "set", own("get")).await),
        first
    );
    let found = asked(&mut theirs, "w:qr", "get", node("qr", [("code", &*first)])).await;
    let found = found.get_optional_child("qr").unwrap();
    assert_eq!(
        [
            word(found, "jid"),
            word(found, "notify"),
            word(found, "type")
        ],
        [&*alice.jid(), "Alice", "contact"]
    );
    assert_ne!(
        code(&asked(&mut device, "w:qr", "set", own("revoke")).await),
        first
    );
    assert_eq!(
        refusal(&asked(&mut theirs, "w:qr", "get", node("qr", [("code", &*first)])).await),
        "404"
    );
    assert_eq!(
        refusal(&asked(&mut device, "w:qr", "set", node("qr", [])).await),
        "400"
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_business_says_what_it_is_and_its_devices_change_it() {
    let (simulator, [alice, bob], [mut device, mut theirs]) = devices().await;
    alice.becomes_business(&BusinessProfile {
        description: "Bread".to_owned(),
        email: "bread@example.org".to_owned(),
        websites: vec![
            "https://example.org/".to_owned(),
            "https://example.com/".to_owned(),
        ],
        categories: vec![("1".to_owned(), "Bakery".to_owned())],
        timezone: "Europe/Minsk".to_owned(),
        hours: vec![BusinessHours {
            day: "mon".to_owned(),
            mode: "specific_hours".to_owned(),
            open: Some((420, 900)),
        }],
        ..Default::default()
    });
    let of = |phones: &[&Phone]| {
        let profile = |phone: &&Phone| {
            NodeBuilder::new("profile")
                .attr("jid", jid(&phone.jid()))
                .build()
        };
        let profiles = phones.iter().map(profile).collect::<Vec<_>>();
        NodeBuilder::new("business_profile")
            .attr("v", "244")
            .children(profiles)
            .build()
    };
    let answer = asked(&mut theirs, "w:biz", "get", of(&[&bob, &alice])).await;
    let found = answer.get_optional_child("business_profile").unwrap();
    // Who is none says nothing.
    assert_eq!(found.children().map(<[Node]>::len), Some(1));
    let profile = found.get_optional_child("profile").unwrap();
    assert_eq!(
        (word(profile, "jid"), text(profile, &["description"])),
        (alice.jid(), "Bread".to_owned())
    );
    let websites = profile
        .children()
        .unwrap()
        .iter()
        .filter(|child| child.tag == "website")
        .count();
    assert_eq!(
        (websites, text(profile, &["categories", "category"])),
        (2, "Bakery".to_owned())
    );
    let hours = profile.get_optional_child("business_hours").unwrap();
    let monday = hours.get_optional_child("business_hours_config").unwrap();
    let of_monday =
        ["day_of_week", "mode", "open_time", "close_time"].map(|name| word(monday, name));
    assert_eq!(
        (
            word(hours, "timezone").as_str(),
            of_monday.join(" ").as_str()
        ),
        ("Europe/Minsk", "mon specific_hours 420 900")
    );

    let changed = [
        leaf("email", "new@example.org"),
        NodeBuilder::new("website").build(),
    ];
    let change = NodeBuilder::new("business_profile")
        .attr("v", "3")
        .attr("mutation_type", "delta")
        .children(changed);
    let change = change.build();
    asked(&mut device, "w:biz", "set", change.clone()).await;
    let texts = ["email", "website", "description"].map(|of| alice.business_text(of));
    assert_eq!(
        texts.map(Option::unwrap_or_default),
        ["new@example.org", "", "Bread"]
    );
    assert_eq!(
        refusal(&asked(&mut theirs, "w:biz", "set", change).await),
        "403"
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn notices_wakers_and_assistants_are_answered() {
    let (simulator, [alice, bob], [mut device, _]) = devices().await;
    asked(
        &mut device,
        "tos",
        "set",
        node("notice", [("id", "20601218"), ("stage", "5")]),
    )
    .await;
    assert_eq!(
        alice.accepted_notices(),
        BTreeMap::from([("20601218".to_owned(), "5".to_owned())])
    );
    assert_eq!(bob.accepted_notices(), BTreeMap::new());
    assert_eq!(
        refusal(&asked(&mut device, "tos", "set", node("notice", [])).await),
        "400"
    );

    let settings = || NodeBuilder::new("settings").build();
    let answer = asked(&mut device, "urn:xmpp:whatsapp:push", "get", settings()).await;
    assert_eq!(
        answer
            .get_optional_child("settings")
            .unwrap()
            .children()
            .map(<[Node]>::len)
            .unwrap_or(0),
        0
    );
    let config = node("config", [("platform", "gcm"), ("id", "a token")]);
    asked(&mut device, "urn:xmpp:whatsapp:push", "set", config).await;
    let answer = asked(&mut device, "urn:xmpp:whatsapp:push", "get", settings()).await;
    assert_eq!(
        word(
            answer
                .get_optional_child_by_tag(&["settings", "config"])
                .unwrap(),
            "id"
        ),
        "a token"
    );

    let answer = asked(&mut device, "bot", "get", node("bot", [("v", "2")])).await;
    let listed = answer
        .get_optional_child_by_tag(&["bot", "section", "bot"])
        .unwrap();
    let address = word(listed, "jid");
    assert!(
        address.ends_with("@bot") && !word(listed, "persona_id").is_empty(),
        "{listed:?}"
    );
    let profile = NodeBuilder::new("bot")
        .children([node("profile", [("v", "1")])])
        .build();
    let query = NodeBuilder::new("query").children([profile]).build();
    let user = NodeBuilder::new("user").attr("jid", jid(&address)).build();
    let usync = NodeBuilder::new("usync")
        .children([query, NodeBuilder::new("list").children([user]).build()])
        .build();
    let answer = asked(&mut device, "usync", "get", usync).await;
    let profile = answer
        .get_optional_child_by_tag(&["usync", "list", "user", "bot", "profile"])
        .unwrap();
    assert_eq!(text(profile, &["name"]), "Assistant");
    simulator.finish().await.unwrap();
}
