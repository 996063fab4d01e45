//! Account preferences: default timer, status audience and business profile.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{JsonBody, JsonResult, SharedServer, find_phone};
use crate::server::Server;
use crate::server::account::preferences::{BusinessProfile, StatusAudience};

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/preferences",
            get(show_preferences).patch(change_preferences),
        )
        .route("/phones/{number}/business", put(set_business_profile))
}

async fn show_preferences(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    Ok(Json(
        json!({"default_timer": phone.default_timer(), "notices": phone.accepted_notices()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreferencesUpdate {
    default_timer: Option<u32>,
    statuses: Option<StatusAudience>,
}

async fn change_preferences(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(changes): JsonBody<PreferencesUpdate>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    if let Some(seconds) = changes.default_timer {
        phone.sets_default_timer(seconds);
    }
    if let Some(audience) = changes.statuses {
        phone.posts_statuses_to(audience);
    }
    show_preferences(State(server), Path(number)).await
}

async fn set_business_profile(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(profile): JsonBody<BusinessProfile>,
) -> JsonResult {
    find_phone(&server, &number)?.becomes_business(&profile);
    Ok(Json(json!({})))
}
