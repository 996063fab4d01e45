//! App state: chat settings, contacts and the push name that all devices of an account share.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{Answer, Body, Shared, phone};
use crate::server::Server;
use crate::settings::KeyShare;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/chats/{chat}",
            get(show).patch(change).delete(delete),
        )
        .route("/phones/{number}/contacts/{whom}", put(name).delete(forget))
        .route("/phones/{number}/push-name", put(push_name))
        .route("/phones/{number}/app-state-keys", post(renew))
}

async fn show(State(server): Shared, Path((number, chat)): Path<(String, String)>) -> Answer {
    Ok(Json(json!(phone(&server, &number)?.chat_settings(&chat)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    archived: Option<bool>,
    pinned: Option<bool>,
    /// Milliseconds since 1970; -1 mutes without an end, `null` unmutes.
    #[serde(default, deserialize_with = "given")]
    muted_until: Option<Option<i64>>,
    unread: Option<bool>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn change(
    State(server): Shared,
    Path((number, chat)): Path<(String, String)>,
    Body(changes): Body<Changes>,
) -> Answer {
    let phone = phone(&server, &number)?;
    if let Some(archived) = changes.archived {
        phone.archives(&chat, archived)?;
    }
    if let Some(pinned) = changes.pinned {
        phone.pins_chat(&chat, pinned)?;
    }
    if let Some(until) = changes.muted_until {
        phone.mutes(&chat, until)?;
    }
    if let Some(unread) = changes.unread {
        phone.marks_unread(&chat, unread)?;
    }
    Ok(Json(json!(phone.chat_settings(&chat)?)))
}

async fn delete(State(server): Shared, Path((number, chat)): Path<(String, String)>) -> Answer {
    phone(&server, &number)?.deletes_chat(&chat)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

async fn name(
    State(server): Shared,
    Path((number, whom)): Path<(String, String)>,
    Body(name): Body<Name>,
) -> Answer {
    phone(&server, &number)?.names_contact(&whom, &name.name)?;
    Ok(Json(json!({})))
}

async fn forget(State(server): Shared, Path((number, whom)): Path<(String, String)>) -> Answer {
    phone(&server, &number)?.forgets_contact(&whom)?;
    Ok(Json(json!({})))
}

async fn push_name(
    State(server): Shared,
    Path(number): Path<String>,
    Body(name): Body<Name>,
) -> Answer {
    phone(&server, &number)?.calls_itself(&name.name)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    share: bool,
}

async fn renew(
    State(server): Shared,
    Path(number): Path<String>,
    Body(key): Body<NewKey>,
) -> Answer {
    let share = if key.share {
        KeyShare::Now
    } else {
        KeyShare::OnRequest
    };
    phone(&server, &number)?.renews_app_state_key(share)?;
    Ok(Json(json!({})))
}
