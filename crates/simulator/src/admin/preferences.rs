//! Account preferences: default timer, status audience and business profile.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, Shared, phone};
use crate::preferences::{BusinessProfile, StatusAudience};
use crate::server::Server;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/preferences",
            get(preferences).patch(change),
        )
        .route("/phones/{number}/business", put(business))
}

async fn preferences(State(server): Shared, Path(number): Path<String>) -> Answer {
    let phone = phone(&server, &number)?;
    Ok(Json(
        json!({"default_timer": phone.default_timer(), "notices": phone.notices()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    default_timer: Option<u32>,
    statuses: Option<StatusAudience>,
}

async fn change(
    State(server): Shared,
    Path(number): Path<String>,
    Body(changes): Body<Changes>,
) -> Answer {
    let phone = phone(&server, &number)?;
    if let Some(seconds) = changes.default_timer {
        phone.keeps_new_chats_for(seconds);
    }
    if let Some(audience) = changes.statuses {
        phone.posts_statuses_to(audience);
    }
    preferences(State(server), Path(number)).await
}

async fn business(
    State(server): Shared,
    Path(number): Path<String>,
    Body(profile): Body<BusinessProfile>,
) -> Answer {
    phone(&server, &number)?.is_business(&profile);
    Ok(Json(json!({})))
}
