//! `PATCH /v1/sessions/{session}`: the pace of a session's messages, and its proxy.

use axum::extract::State;

use super::{SessionAnswer, pacing, proxy, session_answer};
use crate::http::Gateway;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::sessions::SettingsChange;

/// `PATCH /v1/sessions/{session}` `{pacing?, proxy?}`: replaces these settings; `null` turns the pace
/// off, and removes the session's own proxy. A session with another proxy reconnects.
pub(in crate::http) async fn change_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    mut fields: JsonFields,
) -> SessionAnswer {
    let (has_pacing, has_proxy) = (fields.has_field("pacing"), fields.has_field("proxy"));
    if !has_pacing && !has_proxy {
        fields.refuse_field("pacing", "nothing is changed; give pacing or proxy");
    }
    let (pacing, proxy) = (
        pacing::read_pacing(&mut fields),
        proxy::read_proxy(&mut fields, &gateway.proxies),
    );
    fields.refuse_unknown();
    let change = fields.finish(Some(SettingsChange {
        pacing: has_pacing.then_some(pacing),
        proxy: has_proxy.then_some(proxy),
    }))?;
    let state = gateway.sessions.change_settings(&name, change).await?;
    session_answer(&gateway, &name, state).await
}
