//! App-state collections: the answer holds every requested collection, with the patches the client
//! lacks.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::Addressing;
use crate::appstate::{self, Collections, Upload};
use crate::media::MediaStore;
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
        let media = &request.server.media;
        asked
            .into_iter()
            .filter_map(|collection| one(state, media, collection, &mut changed))
            .collect::<Vec<_>>()
    };
    tell_others(request.server, request.device, &changed);
    for (name, _) in &changed {
        appstate::catch_up(request.server, &request.device.number, name);
    }
    request.server.changed.notify_waiters();
    Answer::one(NodeBuilder::new("sync").children(collections).build())
}

fn one(
    state: &mut Collections,
    media: &MediaStore,
    asked: &Node,
    changed: &mut Vec<(String, u64)>,
) -> Option<Node> {
    let name = asked.word("name")?.into_owned();
    // A first sync has no version.
    let known = asked
        .word("version")
        .and_then(|version| version.parse().ok())
        .unwrap_or(0);
    let answer = NodeBuilder::new("collection").attr("name", name.as_str());
    let Some(patch) = asked.bytes("patch") else {
        let wants_snapshot = asked.word("return_snapshot").as_deref() == Some("true");
        return Some(news(state, media, &name, known, wants_snapshot));
    };
    Some(match state.upload(&name, known, patch) {
        Upload::Accepted => {
            let version = state.version(&name);
            changed.push((name.clone(), version));
            answer.attr("version", version.to_string()).build()
        }
        Upload::Conflict => {
            // All patches: some clients apply this page, write once more, and give up if they are
            // outdated again.
            let missing = patches(state.after(&name, known));
            let answer = answer
                .attr("type", "error")
                .attr("version", state.version(&name).to_string());
            answer
                .children([error("409", "conflict")].into_iter().chain(missing))
                .build()
        }
        Upload::Malformed => answer
            .attr("type", "error")
            .children([error("400", "bad-request")])
            .build(),
    })
}

/// Returns the patches that a client at version `known` lacks. A snapshot is sent only on request.
fn news(
    state: &Collections,
    media: &MediaStore,
    name: &str,
    known: u64,
    wants_snapshot: bool,
) -> Node {
    let snapshot = match wants_snapshot {
        true => state.snapshot(name, media).unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "no snapshot could be made");
            None
        }),
        false => None,
    };
    let known = snapshot.as_ref().map_or(known, |(version, _)| *version);
    let page = state.page(name, known);
    let mut answer = NodeBuilder::new("collection")
        .attr("name", name)
        .attr("version", state.version(name).to_string());
    if page.has_more {
        answer = answer.attr("has_more_patches", "true");
    }
    let snapshot = snapshot.map(|(_, reference)| leaf("snapshot", reference));
    let children: Vec<Node> = snapshot.into_iter().chain(patches(page.patches)).collect();
    if children.is_empty() {
        answer.build()
    } else {
        answer.children(children).build()
    }
}

fn error(code: &'static str, text: &'static str) -> Node {
    NodeBuilder::new("error")
        .attr("code", code)
        .attr("text", text)
        .build()
}

fn patches(patches: Vec<Vec<u8>>) -> Option<Node> {
    let patches: Vec<Node> = patches
        .into_iter()
        .map(|patch| leaf("patch", patch))
        .collect();
    (!patches.is_empty()).then(|| NodeBuilder::new("patches").children(patches).build())
}

/// Notifies the account's linked devices of new versions, except the one that wrote them.
pub(crate) fn tell_others(server: &Server, writer: &DeviceId, changed: &[(String, u64)]) {
    if changed.is_empty() {
        return;
    }
    let (own, others) = {
        let world = server.world.lock();
        let Some(account) = world.account(&writer.number) else {
            return;
        };
        (
            account.jid(Addressing::PhoneNumber, 0),
            account.others(writer.device),
        )
    };
    for (name, version) in changed {
        let collection = NodeBuilder::new("collection")
            .attr("name", name.as_str())
            .attr("version", version.to_string())
            .build();
        for other in &others {
            let notice = Notice {
                kind: "server_sync",
                from: own.clone(),
                lid: None,
            };
            notify(server, other, notice, collection.clone());
        }
    }
}
