//! What is in the stanzas about groups: clients drop a whole notification for one attribute that is missing.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wapi_simulator::{Phone, Simulator, SimulatorOptions};

use crate::companion::two_phones;
use crate::raw::{RawDevice, word};

/// Alice and Bob with a device each; founding is Alice's.
async fn devices() -> (Simulator, [Phone; 2], [RawDevice; 2]) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let devices = [
        RawDevice::linked_to(&alice, &simulator).await,
        RawDevice::linked_to(&bob, &simulator).await,
    ];
    (simulator, [alice, bob], devices)
}

fn participant(jid: &str) -> Node {
    NodeBuilder::new("participant")
        .attr("jid", jid.parse::<Jid>().unwrap())
        .build()
}

fn bare(tag: &'static str) -> Node {
    NodeBuilder::new(tag).build()
}

fn approval(state: &'static str) -> Node {
    let join = NodeBuilder::new("group_join").attr("state", state).build();
    NodeBuilder::new("membership_approval_mode")
        .children([join])
        .build()
}

fn add_mode(mode: &str) -> Node {
    NodeBuilder::new("member_add_mode")
        .bytes(mode.as_bytes().to_vec())
        .build()
}

fn ephemeral(seconds: &'static str) -> Node {
    NodeBuilder::new("ephemeral")
        .attr("expiration", seconds)
        .build()
}

fn tags(node: &Node) -> Vec<&str> {
    node.children()
        .unwrap_or_default()
        .iter()
        .map(|child| child.tag.as_ref())
        .collect()
}

fn error(answer: &Node) -> String {
    answer
        .get_optional_child("error")
        .map(|error| word(error, "code"))
        .unwrap_or_default()
}

async fn found(device: &mut RawDevice, children: Vec<Node>) -> Node {
    let create = NodeBuilder::new("create")
        .attr("subject", "club")
        .attr("key", "KEY")
        .children(children)
        .build();
    device.ask_at("g.us", "w:g2", "set", create).await
}

#[tokio::test]
async fn a_group_is_founded_as_it_was_asked_for_and_named_by_lid() {
    let (simulator, [alice, bob], [mut alices, mut bobs]) = devices().await;
    let community = found(&mut alices, vec![bare("parent")]).await;
    let community = word(community.get_optional_child("group").unwrap(), "id");
    let body = NodeBuilder::new("body").bytes(b"rules".to_vec()).build();
    let parent: Jid = format!("{community}@g.us").parse().unwrap();
    let asked = vec![
        participant(&bob.jid()),
        participant("375449999999@s.whatsapp.net"),
        bare("announcement"),
        bare("locked"),
        ephemeral("604800"),
        approval("on"),
        add_mode("admin_add"),
        NodeBuilder::new("description")
            .attr("id", "D1")
            .children([body])
            .build(),
        NodeBuilder::new("linked_parent")
            .attr("jid", parent)
            .build(),
    ];
    let answer = found(&mut alices, asked).await;
    let told = bobs.notification("w:gp2").await;
    let create = told.get_optional_child("create").unwrap();
    assert_eq!(word(create, "key"), "KEY");
    for (group, names_nobody) in [
        (answer.get_optional_child("group").unwrap(), true),
        (create.get_optional_child("group").unwrap(), false),
    ] {
        assert_eq!(word(group, "addressing_mode"), "lid");
        assert!(
            !word(group, "a_v_id").is_empty() && !word(group, "p_v_id").is_empty(),
            "{group:?}"
        );
        for tag in [
            "announcement",
            "locked",
            "membership_approval_mode",
            "linked_parent",
        ] {
            assert!(tags(group).contains(&tag), "{tag} in {group:?}");
        }
        assert_eq!(
            word(group.get_optional_child("ephemeral").unwrap(), "expiration"),
            "604800"
        );
        assert_eq!(
            word(group.get_optional_child("description").unwrap(), "id"),
            "D1"
        );
        let members = group.get_children_by_tag("participant");
        let mut members: Vec<_> = members
            .map(|member| (word(member, "jid"), word(member, "error")))
            .collect();
        members.sort();
        let mut expected = vec![(alice.lid(), String::new()), (bob.lid(), String::new())];
        if names_nobody {
            expected.push(("375449999999@s.whatsapp.net".to_owned(), "404".to_owned()));
        }
        expected.sort();
        assert_eq!(members, expected);
    }
    assert_eq!(
        error(&found(&mut alices, vec![ephemeral("60")]).await),
        "400"
    );
    let nowhere: Jid = "120363000@g.us".parse().unwrap();
    let linked = NodeBuilder::new("linked_parent")
        .attr("jid", nowhere)
        .build();
    assert_eq!(error(&found(&mut alices, vec![linked]).await), "404");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn every_change_says_what_clients_need_to_take_it() {
    let (simulator, [_, bob], [mut alices, mut bobs]) = devices().await;
    let answer = found(&mut alices, vec![participant(&bob.jid())]).await;
    let group = word(answer.get_optional_child("group").unwrap(), "id");
    bobs.notification("w:gp2").await;
    let group = format!("{group}@g.us");
    let description = |id: &str, prev: &str, text: Option<&str>| {
        let mut node = NodeBuilder::new("description").attr("id", id.to_owned());
        if !prev.is_empty() {
            node = node.attr("prev", prev.to_owned());
        }
        match text {
            Some(text) => node
                .children([NodeBuilder::new("body")
                    .bytes(text.as_bytes().to_vec())
                    .build()])
                .build(),
            None => node.attr("delete", "true").build(),
        }
    };
    let changes: [(Node, &str, &[&str]); 9] = [
        (bare("announcement"), "announcement", &["v_id"]),
        (bare("not_announcement"), "not_announcement", &["v_id"]),
        (description("D1", "", Some("rules")), "description", &["id"]),
        (description("D2", "D1", None), "description", &["id"]),
        (ephemeral("86400"), "ephemeral", &["expiration"]),
        (approval("on"), "membership_approval_mode", &[]),
        (add_mode("admin_add"), "member_add_mode", &[]),
        (
            NodeBuilder::new("promote")
                .children([participant(&bob.jid())])
                .build(),
            "promote",
            &["v_id", "prev_v_id"],
        ),
        (bare("locked"), "locked", &[]),
    ];
    for (change, told, attributes) in changes {
        assert_eq!(
            error(&alices.ask_at(&group, "w:g2", "set", change).await),
            "",
            "{told}"
        );
        let news = bobs.notification("w:gp2").await;
        let child = news
            .get_optional_child(told)
            .unwrap_or_else(|| panic!("{told} in {news:?}"));
        for attribute in attributes {
            assert!(
                !word(child, attribute).is_empty(),
                "{attribute} of {child:?}"
            );
        }
    }
    let late = description("D3", "D1", Some("too late"));
    assert_eq!(
        error(&alices.ask_at(&group, "w:g2", "set", late).await),
        "409"
    );
    assert_eq!(
        error(&alices.ask_at(&group, "w:g2", "set", ephemeral("60")).await),
        "400"
    );
    let stranger = NodeBuilder::new("add")
        .children([participant("375449999999@s.whatsapp.net")])
        .build();
    let answer = alices.ask_at(&group, "w:g2", "set", stranger).await;
    let refused = answer
        .get_optional_child_by_tag(&["add", "participant"])
        .unwrap();
    assert_eq!(
        (
            word(refused, "jid").as_str(),
            word(refused, "error").as_str()
        ),
        ("375449999999@s.whatsapp.net", "404")
    );
    simulator.finish().await.unwrap();
}
