//! Typing, presence and calls of phones.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, Shared, phone};
use crate::server::Server;
use crate::signals::Typing;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/phones/{number}/signals", get(list))
        .route("/phones/{number}/typing", post(types))
        .route("/phones/{number}/presence", put(presence))
        .route("/phones/{number}/watch", post(watch))
        .route("/phones/{number}/calls", post(call))
        .route("/phones/{number}/calls/{call}/end", post(hang_up))
}

async fn list(State(server): Shared, Path(number): Path<String>) -> Answer {
    Ok(Json(json!({"signals": phone(&server, &number)?.signals()})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Types {
    chat: String,
    state: Typing,
}

async fn types(
    State(server): Shared,
    Path(number): Path<String>,
    Body(types): Body<Types>,
) -> Answer {
    phone(&server, &number)?.types(&types.chat, types.state)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    available: bool,
}

async fn presence(
    State(server): Shared,
    Path(number): Path<String>,
    Body(presence): Body<Presence>,
) -> Answer {
    phone(&server, &number)?.is_there(presence.available);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whom {
    whom: String,
    #[serde(default)]
    video: bool,
}

async fn watch(
    State(server): Shared,
    Path(number): Path<String>,
    Body(whom): Body<Whom>,
) -> Answer {
    phone(&server, &number)?.watches(&whom.whom)?;
    Ok(Json(json!({})))
}

async fn call(State(server): Shared, Path(number): Path<String>, Body(whom): Body<Whom>) -> Answer {
    let id = phone(&server, &number)?.calls(&whom.whom, whom.video)?;
    Ok(Json(json!({"id": id})))
}

async fn hang_up(
    State(server): Shared,
    Path((number, call)): Path<(String, String)>,
    Body(whom): Body<Whom>,
) -> Answer {
    phone(&server, &number)?.hangs_up(&whom.whom, &call)?;
    Ok(Json(json!({})))
}
