//! App-state collections: every collection asked for stands in the answer, with the patches the client lacks.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::Addressing;
use crate::appstate::{Collections, Upload};
use crate::server::Server;
use crate::stanza::{Notice, Stanza, leaf, notify};
use crate::world::DeviceId;

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
    for collection in &changed {
        tell_others(request.server, request.device, collection);
    }
    Answer::one(NodeBuilder::new("sync").children(collections).build())
}

fn one(state: &mut Collections, asked: &Node, changed: &mut Vec<String>) -> Option<Node> {
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
            changed.push(name.clone());
            answer.attr("version", state.version(&name).to_string()).build()
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

/// Tells the account's other devices that a collection has changed.
pub(crate) fn tell_others(server: &Server, changer: &DeviceId, collection: &str) {
    let (own, others, version) = {
        let world = server.world.lock();
        let Some(account) = world.account(&changer.number) else {
            return;
        };
        let version = account.app_state.version(collection);
        (account.jid(Addressing::PhoneNumber, 0), account.others(changer.device), version)
    };
    for other in &others {
        let changed = NodeBuilder::new("collection").attr("name", collection).attr("version", version.to_string());
        notify(server, other, Notice { kind: "server_sync", from: own.clone(), lid: None }, changed.build());
    }
}
