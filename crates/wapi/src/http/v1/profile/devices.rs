//! `/v1/sessions/{session}/devices`: the devices of the account.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::model::event::AccountDevice;

#[derive(Debug, Serialize)]
pub(in crate::http) struct DeviceList {
    devices: Vec<AccountDevice>,
}

/// `GET …/devices`: lists the account's devices, the phone first.
pub(in crate::http) async fn list_devices(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<DeviceList>, Problem> {
    query.finish()?;
    Ok(Json(DeviceList {
        devices: gateway
            .sessions
            .online(&session)?
            .fetch_own_devices()
            .await?,
    }))
}
