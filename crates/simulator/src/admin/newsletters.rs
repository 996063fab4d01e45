//! Newsletters: creates, follows and unfollows them on behalf of phones.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AdminError, JsonBody, JsonResult, SharedServer, find_phone};
use crate::phone::newsletters::all_newsletters;
use crate::server::Server;

pub(super) fn routes() -> Router<std::sync::Arc<Server>> {
    Router::new()
        .route("/newsletters", get(list_newsletters))
        .route("/phones/{number}/newsletters", post(create_newsletter))
        .route(
            "/phones/{number}/newsletters/{newsletter}",
            put(follow_newsletter).delete(unfollow_newsletter),
        )
}

async fn list_newsletters(State(server): SharedServer) -> Json<Value> {
    Json(json!({"newsletters": all_newsletters(&server)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNewsletter {
    name: String,
    #[serde(default)]
    description: String,
}

async fn create_newsletter(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(new): JsonBody<NewNewsletter>,
) -> Result<(StatusCode, Json<Value>), AdminError> {
    let id = find_phone(&server, &number)?.creates_newsletter(&new.name, &new.description);
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

async fn follow_newsletter(
    State(server): SharedServer,
    Path((number, newsletter)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.follows_newsletter(&newsletter)?;
    Ok(Json(json!({})))
}

async fn unfollow_newsletter(
    State(server): SharedServer,
    Path((number, newsletter)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.unfollows_newsletter(&newsletter)?;
    Ok(Json(json!({})))
}
