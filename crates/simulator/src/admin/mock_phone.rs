//! The mock phone: an endpoint that scans a QR with a phone it creates if needed, as other
//! projects' mocks of WhatsApp have it.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use super::{JsonResult, SharedServer, describe_phone, find_phone};
use crate::phone::account::add_phone;
use crate::server::Server;
use crate::server::stanza::pairing;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new().route("/mock-phone/scan-qr", post(scan_qr))
}

/// Scans a QR, as other projects' test suites do it. The phone is chosen by the push name of the
/// client that shows the QR.
async fn scan_qr(State(server): SharedServer, qr: String) -> JsonResult {
    let name = pairing::find_push_name(&server, &qr)?;
    let known = name.as_deref().and_then(|name| {
        let world = server.world.lock();
        let account = world.accounts().find(|account| account.push_name == name)?;
        Some(account.number.to_string())
    });
    let phone = match known {
        Some(number) => find_phone(&server, &number)?,
        None => add_phone(
            &server,
            &name.unwrap_or_else(|| format!("Phone {:04x}", rand::random::<u16>())),
            None,
        )?,
    };
    let device = phone.scans_qr(&qr).await?;
    let mut answer = describe_phone(&phone);
    answer["device"] = json!(device);
    Ok(Json(answer))
}
