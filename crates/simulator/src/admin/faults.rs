//! Faults over HTTP: of one linked device, and of the whole server.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{AdminError, JsonBody, JsonResult, SharedServer};
use crate::model::faults::{AckFault, DeliveryFault, FallbackPolicy};
use crate::phone::faults::Faults;
use crate::server::Server;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/devices/{device}/faults",
            post(apply_device_fault),
        )
        .route("/faults", post(apply_server_fault))
}

#[derive(Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
enum DeviceFault {
    Cut,
    StreamError { code: u16 },
    Freeze { on: bool },
    Deafen,
}

async fn apply_device_fault(
    State(server): SharedServer,
    Path((number, device)): Path<(String, u16)>,
    JsonBody(fault): JsonBody<DeviceFault>,
) -> JsonResult {
    let faults = Faults { server };
    match fault {
        DeviceFault::Cut => faults.cut_connection(&number, device)?,
        DeviceFault::StreamError { code } => faults.fail_stream(&number, device, code)?,
        DeviceFault::Freeze { on: true } => faults.freeze_device(&number, device)?,
        DeviceFault::Freeze { on: false } => faults.thaw_device(&number, device)?,
        DeviceFault::Deafen => faults.deafen_device(&number, device)?,
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
enum ServerFault {
    RefuseConnections {
        on: bool,
    },
    IgnoreRegistrations {
        on: bool,
    },
    NewKey {
        fallback: bool,
    },
    Acks {
        mode: AckMode,
        ms: Option<u64>,
        code: Option<u16>,
    },
    Deliveries {
        mode: DeliveryMode,
    },
    LoseConfirmations {
        on: bool,
    },
    LosePosts {
        on: bool,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AckMode {
    Normal,
    Delay,
    Drop,
    Refuse,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeliveryMode {
    Normal,
    Repeat,
    Reorder,
}

async fn apply_server_fault(
    State(server): SharedServer,
    JsonBody(fault): JsonBody<ServerFault>,
) -> JsonResult {
    let faults = Faults { server };
    let missing =
        |field: &str| AdminError(StatusCode::BAD_REQUEST, format!("this mode needs {field}"));
    match fault {
        ServerFault::RefuseConnections { on } => faults.refuse_connections(on),
        ServerFault::IgnoreRegistrations { on } => faults.ignore_registrations(on),
        ServerFault::LoseConfirmations { on } => faults.lose_confirmations(on),
        ServerFault::LosePosts { on } => faults.lose_posts(on),
        ServerFault::NewKey { fallback: true } => faults.change_key(FallbackPolicy::Offered)?,
        ServerFault::NewKey { fallback: false } => faults.change_key(FallbackPolicy::Refused)?,
        ServerFault::Acks { mode, ms, code } => faults.set_ack_fault(match mode {
            AckMode::Normal => AckFault::None,
            AckMode::Delay => {
                AckFault::Delay(Duration::from_millis(ms.ok_or_else(|| missing("ms"))?))
            }
            AckMode::Drop => AckFault::Drop,
            AckMode::Refuse => AckFault::Refuse(code.ok_or_else(|| missing("code"))?),
        }),
        ServerFault::Deliveries { mode } => faults.set_delivery_fault(match mode {
            DeliveryMode::Normal => DeliveryFault::None,
            DeliveryMode::Repeat => DeliveryFault::Repeat,
            DeliveryMode::Reorder => DeliveryFault::Reorder,
        }),
    }
    Ok(Json(json!({})))
}
