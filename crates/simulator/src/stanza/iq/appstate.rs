//! App-state collections: every collection asked for stands in the answer, with the patches the client lacks.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::Addressing;
use crate::appstate::{Collections, Upload};
use crate::stanza::{Notice, Stanza, leaf, notify};

pub(super) fn sync(request: &Request<'_>) -> Answer {
    let Some(sync) = request.ask else {
        return Answer::Error(400, "bad-request");
    };
    let mut changed = Vec::new();
    let collections = {
        let mut world = request.server.world.lock();
        let Some(account) = world.account_mut(&request.device.number) else {
            return Answer::Error(404, "item-not-found");
        };
        let state = &mut account.app_state;
        let asked: Vec<&Node> = sync.all("collection").collect();
        asked.into_iter().filter_map(|collection| one(state, collection, &mut changed)).collect::<Vec<_>>()
    };
    tell_others(request, &changed);
    Answer::one(NodeBuilder::new("sync").children(collections).build())
}

fn one(state: &mut Collections, asked: &Node, changed: &mut Vec<(String, u64)>) -> Option<Node> {
    let name = asked.word("name")?.into_owned();
    // A first visit has no version; a client that asks for a snapshot gets all patches from the first on, which say the same.
    let known = asked.word("version").and_then(|version| version.parse().ok()).unwrap_or(0);
    let answer = NodeBuilder::new("collection").attr("name", name.as_str());
    let Some(patch) = asked.bytes("patch") else {
        let missing = state.after(&name, known);
        let answer = answer.attr("version", state.version(&name).to_string());
        return Some(if missing.is_empty() { answer } else { answer.children([patches(missing)]) }.build());
    };
    Some(match state.upload(&name, known, patch) {
        Upload::Accepted => {
            let version = state.version(&name);
            changed.push((name.clone(), version));
            answer.attr("version", version.to_string()).build()
        }
        Upload::Conflict => {
            let error = NodeBuilder::new("error").attr("code", "409").attr("text", "conflict").build();
            let missing = patches(state.after(&name, known));
            answer
                .attr("type", "error")
                .attr("version", state.version(&name).to_string())
                .children([error, missing])
                .build()
        }
        Upload::Malformed => {
            let error = NodeBuilder::new("error").attr("code", "400").attr("text", "bad-request").build();
            answer.attr("type", "error").children([error]).build()
        }
    })
}

fn patches(patches: Vec<Vec<u8>>) -> Node {
    NodeBuilder::new("patches")
        .children(patches.into_iter().map(|patch| leaf("patch", patch)).collect::<Vec<_>>())
        .build()
}

fn tell_others(request: &Request<'_>, changed: &[(String, u64)]) {
    if changed.is_empty() {
        return;
    }
    let (own, others) = {
        let world = request.server.world.lock();
        let Some(account) = world.account(&request.device.number) else {
            return;
        };
        (account.jid(Addressing::PhoneNumber, 0), account.others(request.device.device))
    };
    for (name, version) in changed {
        let collection =
            NodeBuilder::new("collection").attr("name", name.as_str()).attr("version", version.to_string()).build();
        for other in &others {
            notify(
                request.server,
                other,
                Notice { kind: "server_sync", from: own.clone(), lid: None },
                collection.clone(),
            );
        }
    }
}
