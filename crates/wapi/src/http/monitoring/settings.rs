//! `GET /v1/settings`: the settings in effect, and where each comes from.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;

/// All settings, in the order of the reference.
#[derive(Debug, Serialize)]
pub struct SettingsDocument {
    settings: Vec<SettingInfo>,
}

#[derive(Debug, Serialize)]
struct SettingInfo {
    name: String,
    /// Secrets are hidden; `null`: it is not set.
    value: Option<String>,
    /// `default`, `environment`, `.env`, or the path of the settings file.
    source: String,
}

/// `GET /v1/settings`: lists the settings. A change needs another start of the program.
pub async fn list_settings(
    State(gateway): State<Gateway>,
    query: QueryParameters,
) -> Result<Json<SettingsDocument>, Problem> {
    query.finish()?;
    let settings = gateway.settings.iter().cloned();
    let info = |setting: crate::config::SettingValue| SettingInfo {
        name: setting.name,
        value: setting.value,
        source: setting.source,
    };
    Ok(Json(SettingsDocument {
        settings: settings.map(info).collect(),
    }))
}
