//! App state: chat settings, contacts and the push name that all devices of an account share.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{JsonBody, JsonResult, SharedServer, find_phone};
use crate::phone::chat_settings::KeyShare;
use crate::server::Server;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/chats/{chat}",
            get(show_chat).patch(change_chat).delete(delete_chat),
        )
        .route(
            "/phones/{number}/contacts/{whom}",
            put(save_contact).delete(forget_contact),
        )
        .route("/phones/{number}/push-name", put(set_push_name))
        .route("/phones/{number}/app-state-keys", post(renew_app_state_key))
}

async fn show_chat(
    State(server): SharedServer,
    Path((number, chat)): Path<(String, String)>,
) -> JsonResult {
    Ok(Json(json!(
        find_phone(&server, &number)?.chat_settings(&chat)?
    )))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatUpdate {
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

async fn change_chat(
    State(server): SharedServer,
    Path((number, chat)): Path<(String, String)>,
    JsonBody(changes): JsonBody<ChatUpdate>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    if let Some(archived) = changes.archived {
        phone.archives_chat(&chat, archived)?;
    }
    if let Some(pinned) = changes.pinned {
        phone.pins_chat(&chat, pinned)?;
    }
    if let Some(until) = changes.muted_until {
        phone.mutes_chat(&chat, until)?;
    }
    if let Some(unread) = changes.unread {
        phone.marks_unread(&chat, unread)?;
    }
    Ok(Json(json!(phone.chat_settings(&chat)?)))
}

async fn delete_chat(
    State(server): SharedServer,
    Path((number, chat)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.deletes_chat(&chat)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRequest {
    name: String,
}

async fn save_contact(
    State(server): SharedServer,
    Path((number, whom)): Path<(String, String)>,
    JsonBody(name): JsonBody<NameRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.names_contact(&whom, &name.name)?;
    Ok(Json(json!({})))
}

async fn forget_contact(
    State(server): SharedServer,
    Path((number, whom)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.forgets_contact(&whom)?;
    Ok(Json(json!({})))
}

async fn set_push_name(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(name): JsonBody<NameRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.sets_push_name(&name.name)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKeyRequest {
    share: bool,
}

async fn renew_app_state_key(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(key): JsonBody<NewKeyRequest>,
) -> JsonResult {
    let share = if key.share {
        KeyShare::Now
    } else {
        KeyShare::OnRequest
    };
    find_phone(&server, &number)?.renews_app_state_key(share)?;
    Ok(Json(json!({})))
}
