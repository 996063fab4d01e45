//! What the server answers and passes on, where clients go by one attribute or the other.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wapi_simulator::{CatalogProduct, Phone, Simulator, SimulatorOptions};

use crate::companion::two_phones;
use crate::raw::{RawDevice, word};

/// Alice, with a device that asks, and Bob.
async fn asker() -> (Simulator, [Phone; 2], RawDevice) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let device = RawDevice::linked_to(&alice, &simulator).await;
    (simulator, [alice, bob], device)
}

fn leaf(tag: &'static str, bytes: &[u8]) -> Node {
    NodeBuilder::new(tag).bytes(bytes.to_vec()).build()
}

fn jpeg() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(4, 4)
        .write_to(&mut bytes, image::ImageFormat::Jpeg)
        .unwrap();
    bytes.into_inner()
}

fn error(answer: &Node) -> String {
    answer
        .get_optional_child("error")
        .map(|error| word(error, "code"))
        .unwrap_or_default()
}

#[tokio::test]
async fn who_is_looked_up_by_number_is_named_by_lid_where_that_was_asked_for() {
    let (simulator, [_, bob], mut device) = asker().await;
    for by_lid in [true, false] {
        let mut contact = NodeBuilder::new("contact");
        if by_lid {
            contact = contact.attr("addressing_mode", "lid");
        }
        let users = [bob.number(), "375449999999"].map(|number| {
            let asked = leaf("contact", format!("+{number}").as_bytes());
            NodeBuilder::new("user").children([asked]).build()
        });
        let usync = NodeBuilder::new("usync")
            .attr("sid", "1")
            .attr("mode", "query")
            .children([
                NodeBuilder::new("query")
                    .children([contact.build()])
                    .build(),
                NodeBuilder::new("list").children(users).build(),
            ]);
        let answer = device.ask("usync", "get", [usync.build()]).await;
        let list = answer
            .get_optional_child_by_tag(&["usync", "list"])
            .unwrap();
        let found: Vec<_> = list
            .get_children_by_tag("user")
            .map(|user| (word(user, "jid"), word(user, "pn_jid")))
            .collect();
        let nobody = "375449999999@s.whatsapp.net".to_owned();
        let expected = match by_lid {
            true => [(bob.lid(), bob.jid()), (String::new(), nobody)],
            false => [(bob.jid(), bob.jid()), (nobody, String::new())],
        };
        assert_eq!(found, expected);
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn the_name_in_a_presence_is_the_accounts_whatever_the_presence_says() {
    let (simulator, [alice, bob], mut device) = asker().await;
    let mut bobs = RawDevice::linked_to(&bob, &simulator).await;
    for (kind, name) in [
        (Some("available"), "Ally"),
        (None, "Alicia"),
        (Some("unavailable"), "Lissy"),
    ] {
        let mut presence = NodeBuilder::new("presence").attr("name", name);
        if let Some(kind) = kind {
            presence = presence.attr("type", kind);
        }
        device.client.send(&presence.build()).await;
        device.ask("w:p", "get", []).await;
        assert_eq!(alice.name(), name);
        let id = alice.sends_text(bob.number(), "who am I?").await.unwrap();
        let told = bobs
            .until(|node| node.tag == "message" && word(node, "id") == id)
            .await;
        assert_eq!(word(&told, "notify"), name);
    }
    // Without one it stays.
    device
        .client
        .send(
            &NodeBuilder::new("presence")
                .attr("type", "available")
                .attr("name", "")
                .build(),
        )
        .await;
    device.ask("w:p", "get", []).await;
    assert_eq!(alice.name(), "Lissy");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn an_order_says_when_it_was_placed() {
    let (simulator, [alice, bob], mut device) = asker().await;
    let mug = CatalogProduct {
        id: "1".to_owned(),
        name: "Mug".to_owned(),
        price: 9_000,
        ..CatalogProduct::default()
    };
    alice.fills_catalog(vec![mug]);
    let placed = bob
        .orders_products(alice.number(), &[("1", 2)], "please")
        .unwrap();
    let ask = NodeBuilder::new("order")
        .attr("op", "get")
        .attr("id", placed.id.as_str());
    let ask = ask
        .children([leaf("token", placed.token.as_bytes())])
        .build();
    let iq = NodeBuilder::new("iq")
        .attr("to", Jid::pn(""))
        .attr("xmlns", "fb:thrift_iq")
        .attr("type", "get");
    device
        .client
        .send(
            &iq.attr("smax_id", "5")
                .attr("id", "order-1")
                .children([ask])
                .build(),
        )
        .await;
    let answer = device.until(|node| word(node, "id") == "order-1").await;
    let order = answer.get_optional_child("order").unwrap();
    let seconds: i64 = word(order, "creation_ts").parse().unwrap();
    assert!(
        (0..60).contains(&(wacore::time::now_secs() - seconds)),
        "{order:?}"
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_picture_that_the_client_has_is_not_sent_again() {
    let (simulator, [_, bob], mut device) = asker().await;
    let id = bob.shows_picture(jpeg()).unwrap();
    let ask = async |device: &mut RawDevice, known: Option<&str>| {
        let mut picture = NodeBuilder::new("picture")
            .attr("type", "preview")
            .attr("query", "url");
        if let Some(known) = known {
            picture = picture.attr("id", known.to_owned());
        }
        let iq = NodeBuilder::new("iq")
            .attr("to", Jid::pn(""))
            .attr("target", bob.jid().parse::<Jid>().unwrap());
        let iq = iq
            .attr("xmlns", "w:profile:picture")
            .attr("type", "get")
            .attr("id", "picture");
        device
            .client
            .send(&iq.children([picture.build()]).build())
            .await;
        let answer = device.until(|node| word(node, "id") == "picture").await;
        assert_eq!(word(&answer, "type"), "result");
        answer
            .get_optional_child("picture")
            .map(|picture| word(picture, "id"))
    };
    assert_eq!(ask(&mut device, None).await, Some(id.clone()));
    assert_eq!(ask(&mut device, Some(&id)).await, None);
    assert_eq!(ask(&mut device, Some("1")).await, Some(id.clone()));
    let other = bob.shows_picture(jpeg()).unwrap();
    assert_eq!(ask(&mut device, Some(&id)).await, Some(other));
    simulator.finish().await.unwrap();
}

/// The settings of a device's account.
async fn settings(device: &mut RawDevice) -> Vec<(String, String)> {
    let answer = device
        .ask("privacy", "get", [NodeBuilder::new("privacy").build()])
        .await;
    let privacy = answer.get_optional_child("privacy").unwrap();
    privacy
        .get_children_by_tag("category")
        .map(|setting| (word(setting, "name"), word(setting, "value")))
        .collect()
}

fn choice(name: &'static str, value: &'static str) -> NodeBuilder {
    NodeBuilder::new("category")
        .attr("name", name)
        .attr("value", value)
}

async fn choose(device: &mut RawDevice, category: Node) -> Node {
    device
        .ask(
            "privacy",
            "set",
            [NodeBuilder::new("privacy").children([category]).build()],
        )
        .await
}

#[tokio::test]
async fn settings_of_privacy_are_kept_told_and_heeded() {
    let (simulator, [alice, bob], mut device) = asker().await;
    let mut other = RawDevice::linked_to(&alice, &simulator).await;
    let mut bobs = RawDevice::linked_to(&bob, &simulator).await;
    let names: Vec<_> = settings(&mut device)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let all = [
        "last",
        "online",
        "profile",
        "status",
        "readreceipts",
        "groupadd",
        "calladd",
        "messages",
        "defense",
        "stickers",
    ];
    assert_eq!(names, all);
    alice.sets_about("at the sea");
    for (name, value) in [
        ("last", "none"),
        ("online", "match_last_seen"),
        ("profile", "contacts"),
        ("status", "none"),
        ("defense", "on_standard"),
    ] {
        let answer = choose(&mut device, choice(name, value).build()).await;
        let chosen = answer
            .get_optional_child_by_tag(&["privacy", "category"])
            .unwrap();
        assert_eq!(
            (
                word(chosen, "name").as_str(),
                word(chosen, "value").as_str()
            ),
            (name, value)
        );
        assert_eq!(alice.privacy_setting(name), Some(value));
        let told = other.notification("account_sync").await;
        let told = told
            .get_optional_child_by_tag(&["privacy", "category"])
            .unwrap();
        assert_eq!(
            (word(told, "name").as_str(), word(told, "value").as_str()),
            (name, value)
        );
        assert!(
            settings(&mut other)
                .await
                .contains(&(name.to_owned(), value.to_owned()))
        );
    }
    for (name, value) in [
        ("last", "match_last_seen"),
        ("readreceipts", "contacts"),
        ("defense", "all"),
        ("hats", "all"),
    ] {
        assert_eq!(
            error(&choose(&mut device, choice(name, value).build()).await),
            "400",
            "{name} {value}"
        );
    }
    // What the account hides, others do not see.
    let about = NodeBuilder::new("status").children([NodeBuilder::new("user")
        .attr("jid", alice.jid().parse::<Jid>().unwrap())
        .build()]);
    let answer = bobs.ask("status", "get", [about.build()]).await;
    let seen = answer
        .get_optional_child_by_tag(&["status", "user", "status"])
        .unwrap();
    assert_eq!(seen.content, leaf("status", b"").content);
    // The last that is heard of a presence is what was asked: nothing comes.
    bobs.client
        .send(
            &NodeBuilder::new("presence")
                .attr("type", "subscribe")
                .attr("to", alice.jid().parse::<Jid>().unwrap())
                .build(),
        )
        .await;
    assert_eq!(bobs.next_word().await.tag, "iq");
    alice.chooses_privacy("last", "all").unwrap();
    let is_told = settings(&mut device)
        .await
        .contains(&("last".to_owned(), "all".to_owned()));
    assert!(is_told && alice.chooses_privacy("last", "some").is_err());
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn who_is_left_out_by_a_setting_is_kept_and_an_old_list_is_a_conflict() {
    let (simulator, [alice, bob], mut device) = asker().await;
    let user = |action: &'static str| {
        let user = NodeBuilder::new("user")
            .attr("action", action)
            .attr("jid", bob.lid().parse::<Jid>().unwrap());
        user.attr("pn_jid", bob.jid().parse::<Jid>().unwrap())
            .build()
    };
    let but_bob = choice("profile", "contact_blacklist")
        .attr("dhash", "none")
        .children([user("add")])
        .build();
    let answer = choose(&mut device, but_bob).await;
    let known = word(
        answer
            .get_optional_child_by_tag(&["privacy", "category"])
            .unwrap(),
        "dhash",
    );
    let listed = async |device: &mut RawDevice| {
        let list = NodeBuilder::new("list")
            .attr("name", "profile")
            .attr("value", "contact_blacklist")
            .build();
        let answer = device
            .ask(
                "privacy",
                "get",
                [NodeBuilder::new("privacy").children([list]).build()],
            )
            .await;
        let list = answer
            .get_optional_child_by_tag(&["privacy", "list"])
            .unwrap();
        let users: Vec<_> = list
            .get_children_by_tag("user")
            .map(|user| word(user, "jid"))
            .collect();
        (word(list, "dhash"), users)
    };
    assert_eq!(listed(&mut device).await, (known.clone(), vec![bob.lid()]));
    let old = choice("profile", "contact_blacklist")
        .attr("dhash", "0")
        .children([user("remove")])
        .build();
    assert_eq!(error(&choose(&mut device, old).await), "409");
    let mut bobs = RawDevice::linked_to(&bob, &simulator).await;
    alice.shows_picture(jpeg()).unwrap();
    let ask = || {
        let iq = NodeBuilder::new("iq")
            .attr("to", Jid::pn(""))
            .attr("target", alice.jid().parse::<Jid>().unwrap());
        let picture = NodeBuilder::new("picture")
            .attr("type", "preview")
            .attr("query", "url")
            .build();
        iq.attr("xmlns", "w:profile:picture")
            .attr("type", "get")
            .attr("id", "picture")
            .children([picture])
            .build()
    };
    bobs.client.send(&ask()).await;
    assert_eq!(
        error(&bobs.until(|node| word(node, "id") == "picture").await),
        "401"
    );
    let new = choice("profile", "contact_blacklist")
        .attr("dhash", known)
        .children([user("remove")])
        .build();
    assert_eq!(error(&choose(&mut device, new).await), "");
    assert_eq!(listed(&mut device).await.1, Vec::<String>::new());
    // The setting stays one for contacts, of whom Bob is none.
    alice.chooses_privacy("profile", "all").unwrap();
    bobs.client.send(&ask()).await;
    assert_eq!(
        error(&bobs.until(|node| word(node, "id") == "picture").await),
        ""
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_conflict_of_app_state_brings_all_that_is_missing() {
    let (simulator, [alice, bob], mut device) = asker().await;
    for archived in [true, false, true, false, true, false, true, false] {
        alice.archives_chat(bob.number(), archived).unwrap();
    }
    let collection = NodeBuilder::new("collection")
        .attr("name", "regular_low")
        .attr("version", "0");
    let collection = collection
        .attr("return_snapshot", "false")
        .children([leaf("patch", b"")])
        .build();
    let sync = NodeBuilder::new("sync").children([collection]).build();
    let answer = device.ask("w:sync:app:state", "set", [sync]).await;
    let collection = answer
        .get_optional_child_by_tag(&["sync", "collection"])
        .unwrap();
    assert_eq!(
        (
            word(collection, "type").as_str(),
            error(collection).as_str()
        ),
        ("error", "409")
    );
    let patches = collection
        .get_optional_child("patches")
        .unwrap()
        .get_children_by_tag("patch")
        .count();
    assert_eq!(
        (patches, word(collection, "has_more_patches")),
        (8, String::new())
    );
    simulator.finish().await.unwrap();
}
