//! App-state collections: the answer holds every requested collection, with the patches the client
//! lacks.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest};
use crate::crypto::media_cipher::MediaStore;
use crate::model::ids::DeviceId;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::app_state::{self, CollectionStore, PatchOutcome};
use crate::server::stanza::{NotificationHeader, notify_device};
use crate::wire::{StanzaExt, leaf_node};

pub(crate) fn sync_collections(request: &IqRequest<'_>) -> IqAnswer {
    let Some(sync) = request.operation else {
        return IqAnswer::Error(400, "bad-request");
    };
    let mut changed = Vec::new();
    let collections = {
        let mut world = request.server.world.lock();
        let Some(account) = world.account_mut(&request.device.number) else {
            return IqAnswer::Error(404, "item-not-found");
        };
        let state = &mut account.app_state;
        let asked: Vec<&Node> = sync.children_named("collection").collect();
        let media = &request.server.media;
        asked
            .into_iter()
            .filter_map(|collection| sync_collection(state, media, collection, &mut changed))
            .collect::<Vec<_>>()
    };
    notify_other_devices(request.server, request.device, &changed);
    for (name, _) in &changed {
        app_state::catch_up(request.server, &request.device.number, name);
    }
    request.server.changed.notify_waiters();
    IqAnswer::with_child(NodeBuilder::new("sync").children(collections).build())
}

fn sync_collection(
    state: &mut CollectionStore,
    media: &MediaStore,
    asked: &Node,
    changed: &mut Vec<(String, u64)>,
) -> Option<Node> {
    let name = asked.attr_text("name")?.into_owned();
    // A first sync has no version.
    let known = asked
        .attr_text("version")
        .and_then(|version| version.parse().ok())
        .unwrap_or(0);
    let answer = NodeBuilder::new("collection").attr("name", name.as_str());
    let Some(patch) = asked.child_bytes("patch") else {
        let wants_snapshot = asked.attr_text("return_snapshot").as_deref() == Some("true");
        return Some(missing_patches(state, media, &name, known, wants_snapshot));
    };
    Some(match state.upload_patch(&name, known, patch) {
        PatchOutcome::Accepted => {
            let version = state.newest_version(&name);
            changed.push((name.clone(), version));
            answer.attr("version", version.to_string()).build()
        }
        PatchOutcome::Conflict => {
            // All patches: some clients apply this page, write once more, and give up if they are
            // outdated again.
            let missing = patches_node(state.patches_after(&name, known));
            let answer = answer
                .attr("type", "error")
                .attr("version", state.newest_version(&name).to_string());
            answer
                .children([error_node("409", "conflict")].into_iter().chain(missing))
                .build()
        }
        PatchOutcome::Malformed => answer
            .attr("type", "error")
            .children([error_node("400", "bad-request")])
            .build(),
    })
}

/// Returns the patches that a client at version `known` lacks. A snapshot is sent only on request.
fn missing_patches(
    state: &CollectionStore,
    media: &MediaStore,
    name: &str,
    known: u64,
    wants_snapshot: bool,
) -> Node {
    let snapshot = match wants_snapshot {
        true => state.upload_snapshot(name, media).unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "no snapshot could be made");
            None
        }),
        false => None,
    };
    let known = snapshot.as_ref().map_or(known, |(version, _)| *version);
    let page = state.patch_page(name, known);
    let mut answer = NodeBuilder::new("collection")
        .attr("name", name)
        .attr("version", state.newest_version(name).to_string());
    if page.has_more {
        answer = answer.attr("has_more_patches", "true");
    }
    let snapshot = snapshot.map(|(_, reference)| leaf_node("snapshot", reference));
    let children: Vec<Node> = snapshot
        .into_iter()
        .chain(patches_node(page.patches))
        .collect();
    if children.is_empty() {
        answer.build()
    } else {
        answer.children(children).build()
    }
}

fn error_node(code: &'static str, text: &'static str) -> Node {
    NodeBuilder::new("error")
        .attr("code", code)
        .attr("text", text)
        .build()
}

fn patches_node(patches: Vec<Vec<u8>>) -> Option<Node> {
    let patches: Vec<Node> = patches
        .into_iter()
        .map(|patch| leaf_node("patch", patch))
        .collect();
    (!patches.is_empty()).then(|| NodeBuilder::new("patches").children(patches).build())
}

/// Notifies the account's linked devices of new versions, except the one that wrote them.
pub(crate) fn notify_other_devices(server: &Server, writer: &DeviceId, changed: &[(String, u64)]) {
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
            account.other_devices(writer.device),
        )
    };
    for (name, version) in changed {
        let collection = NodeBuilder::new("collection")
            .attr("name", name.as_str())
            .attr("version", version.to_string())
            .build();
        for other in &others {
            let notice = NotificationHeader {
                kind: "server_sync",
                from: own.clone(),
                lid: None,
            };
            notify_device(server, other, notice, collection.clone());
        }
    }
}
