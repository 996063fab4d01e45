//! Passkeys over HTTP: registered, removed, and asked for an assertion.

use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AdminError, JsonBody, JsonResult, SharedServer, find_phone};
use crate::server::Server;
use crate::server::stanza::passkey;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/passkey",
            put(set_passkey).delete(remove_passkey),
        )
        .route("/phones/{number}/passkey/assertion", post(make_assertion))
        .route("/phones/{number}/passkey/code", get(show_code))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPasskey {
    id: Option<String>,
    public_key: Option<String>,
}

/// Registers the passkey of an authenticator; without one, the simulator is the authenticator.
async fn set_passkey(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(new): JsonBody<NewPasskey>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    match (new.id, new.public_key) {
        (Some(id), Some(key)) => phone.registers_passkey(&id, &key)?,
        (None, None) => drop(phone.creates_passkey()?),
        _ => {
            let why = "give both id and public_key, or neither";
            return Err(AdminError(StatusCode::BAD_REQUEST, why.to_owned()));
        }
    }
    Ok(Json(json!({"id": phone.passkey().map(|it| it.id())})))
}

async fn remove_passkey(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    find_phone(&server, &number)?.removes_passkey();
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssertionRequest {
    options: Value,
}

/// Answers WhatsApp's options with the simulator's own passkey.
async fn make_assertion(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(asked): JsonBody<AssertionRequest>,
) -> JsonResult {
    let passkey = find_phone(&server, &number)?.passkey();
    let passkey = passkey.context("the account has no passkey")?;
    Ok(Json(json!({"assertion": passkey.signs(&asked.options)?})))
}

/// Shows the code on the phone's screen; `null` while there is none.
async fn show_code(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    find_phone(&server, &number)?;
    let code = passkey::shown_code(&server.world.lock(), &number);
    Ok(Json(json!({"code": code})))
}
