//! Typing, presence and calls of phones.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{JsonBody, JsonResult, SharedServer, find_phone};
use crate::model::behaviour::TypingState;
use crate::server::Server;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/phones/{number}/signals", get(list_activity))
        .route("/phones/{number}/typing", post(show_typing))
        .route("/phones/{number}/presence", put(set_presence))
        .route("/phones/{number}/watch", post(watch_presence))
        .route("/phones/{number}/calls", post(start_call))
        .route("/phones/{number}/calls/{call}/end", post(hang_up))
}

async fn list_activity(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    Ok(Json(
        json!({"signals": find_phone(&server, &number)?.shown_activity()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypingRequest {
    chat: String,
    state: TypingState,
}

async fn show_typing(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(types): JsonBody<TypingRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.shows_typing(&types.chat, types.state)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceRequest {
    available: bool,
}

async fn set_presence(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(presence): JsonBody<PresenceRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.sets_presence(presence.available);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonRequest {
    whom: String,
    #[serde(default)]
    video: bool,
}

async fn watch_presence(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(whom): JsonBody<PersonRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.watches_presence(&whom.whom)?;
    Ok(Json(json!({})))
}

async fn start_call(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(whom): JsonBody<PersonRequest>,
) -> JsonResult {
    let id = find_phone(&server, &number)?.starts_call(&whom.whom, whom.video)?;
    Ok(Json(json!({"id": id})))
}

async fn hang_up(
    State(server): SharedServer,
    Path((number, call)): Path<(String, String)>,
    JsonBody(whom): JsonBody<PersonRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.hangs_up(&whom.whom, &call)?;
    Ok(Json(json!({})))
}
