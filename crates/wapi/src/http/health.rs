//! Whether the program is there and takes requests, for those who watch over it.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Gateway;
use super::error::Problem;

/// `GET /health/live`: the program runs.
pub async fn live() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: it takes requests; 503 until the saved sessions are listed, once it is stopping, or while nothing can be saved.
pub async fn ready(State(gateway): State<Gateway>) -> Result<Json<Value>, Problem> {
    if gateway.lifecycle.is_stopping() {
        return Err(Problem::Stopping);
    }
    if !gateway.sessions.are_listed() {
        return Err(Problem::Starting);
    }
    match gateway.store.trouble() {
        Some(error) => Err(Problem::NotReady { detail: error.to_string() }),
        None => Ok(Json(json!({"status": "ready"}))),
    }
}
