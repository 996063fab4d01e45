//! Newsletters: creates, follows and unfollows them on behalf of phones.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, Refusal, Shared, phone};
use crate::newsletters::all_newsletters;
use crate::server::Server;

pub(super) fn routes() -> Router<std::sync::Arc<Server>> {
    Router::new()
        .route("/newsletters", get(list))
        .route("/phones/{number}/newsletters", post(create))
        .route(
            "/phones/{number}/newsletters/{newsletter}",
            put(follow).delete(unfollow),
        )
}

async fn list(State(server): Shared) -> Json<Value> {
    Json(json!({"newsletters": all_newsletters(&server)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    #[serde(default)]
    description: String,
}

async fn create(
    State(server): Shared,
    Path(number): Path<String>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let id = phone(&server, &number)?.creates_newsletter(&new.name, &new.description);
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

async fn follow(
    State(server): Shared,
    Path((number, newsletter)): Path<(String, String)>,
) -> Answer {
    phone(&server, &number)?.follows(&newsletter)?;
    Ok(Json(json!({})))
}

async fn unfollow(
    State(server): Shared,
    Path((number, newsletter)): Path<(String, String)>,
) -> Answer {
    phone(&server, &number)?.unfollows(&newsletter)?;
    Ok(Json(json!({})))
}
