//! Trust: restrictions on writing, audiences of profile picture and presence, and feature
//! properties.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{JsonBody, JsonResult, SharedServer, find_phone};
use crate::server::Server;
use crate::server::account::new_chat_cap::NewChatCap;
use crate::server::account::trust::{AccountRestriction, Audience};

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/restriction",
            get(show_restriction).put(set_restriction),
        )
        .route(
            "/phones/{number}/cap",
            get(show_cap).put(set_cap).delete(lift_cap),
        )
        .route("/phones/{number}/audiences", put(set_audiences))
        .route(
            "/phones/{number}/properties/{code}",
            put(set_property).delete(drop_property),
        )
}

async fn show_restriction(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    Ok(Json(json!(
        find_phone(&server, &number)?.current_restriction()
    )))
}

async fn set_restriction(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(restriction): JsonBody<AccountRestriction>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    phone.gets_restriction(restriction);
    Ok(Json(json!(phone.current_restriction())))
}

async fn show_cap(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    Ok(Json(json!(find_phone(&server, &number)?.current_cap())))
}

async fn set_cap(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(cap): JsonBody<NewChatCap>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    phone.gets_cap(Some(cap));
    Ok(Json(json!(phone.current_cap())))
}

async fn lift_cap(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    find_phone(&server, &number)?.gets_cap(None);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AudienceUpdate {
    picture: Option<Audience>,
    presence: Option<Audience>,
}

async fn set_audiences(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(change): JsonBody<AudienceUpdate>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    if let Some(audience) = change.picture {
        phone.shows_picture_to(audience);
    }
    if let Some(audience) = change.presence {
        phone.shows_presence_to(audience);
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PropertyRequest {
    value: String,
}

async fn set_property(
    State(server): SharedServer,
    Path((number, code)): Path<(String, u32)>,
    JsonBody(property): JsonBody<PropertyRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.sets_property(code, Some(&property.value));
    Ok(Json(json!({})))
}

async fn drop_property(
    State(server): SharedServer,
    Path((number, code)): Path<(String, u32)>,
) -> JsonResult {
    find_phone(&server, &number)?.sets_property(code, None);
    Ok(Json(json!({})))
}
