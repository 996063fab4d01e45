//! Health checks: whether the program runs and is ready for requests.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::system::lifecycle::run_blocking;

/// How long the disk may take to answer whether the data folder exists.
const FOLDER_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /health/live`: the program runs.
pub async fn check_liveness() -> Json<Value> {
    Json(json!({"status": "live"}))
}

/// `GET /health/ready`: the program takes requests. Returns 503 until the saved sessions are
/// loaded, once the program is stopping, or while nothing can be saved, for example because the
/// data folder is gone.
pub async fn check_readiness(State(gateway): State<Gateway>) -> Result<Json<Value>, Problem> {
    if gateway.lifecycle.is_stopping() {
        return Err(Problem::Stopping);
    }
    if !gateway.sessions.are_listed() {
        return Err(Problem::Starting);
    }
    let trouble = gateway.store.write_error().map(|error| error.to_string());
    if let Some(detail) = trouble.or_else(|| gateway.sessions.write_failure()) {
        return Err(Problem::NotReady { detail });
    }
    let folder = gateway.folder.clone();
    match gateway.clock.timeout(FOLDER_CHECK_TIMEOUT, run_blocking(move || folder.is_in_place())).await {
        Ok(Some(true)) => Ok(Json(json!({"status": "ready"}))),
        Ok(_) => Err(Problem::NotReady {
            detail: "the data folder was moved, removed or unmounted; stop the program, put the folder back, and start it again".to_owned(),
        }),
        Err(_) => Err(Problem::NotReady { detail: format!("the disk of the data folder has not answered for {FOLDER_CHECK_TIMEOUT:?}") }),
    }
}
