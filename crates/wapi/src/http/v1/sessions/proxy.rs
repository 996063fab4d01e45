//! `/v1/sessions/{session}/proxy`: the proxy of a session, and a try of it.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::net::proxy::{
    LinkRoute, ProxyAddress, ProxyDescription, ProxyOrigin, SessionProxies, SessionProxy,
};
use crate::whatsapp::ProxyCheck;

/// The proxy of a session, without its password.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct ProxyInfo {
    #[serde(flatten)]
    address: ProxyDescription,
    /// `session`: the session's own; `settings`: that of `WAPI_PROXY`.
    source: ProxyOrigin,
}

impl ProxyInfo {
    pub fn from_proxy(proxy: &SessionProxy) -> Self {
        Self {
            address: proxy.address.describe(),
            source: proxy.origin,
        }
    }
}

/// Reads the proxy of a session.
pub(super) fn read_proxy(
    fields: &mut JsonFields,
    proxies: &SessionProxies,
) -> Option<ProxyAddress> {
    let mut inner = fields.nested_fields("proxy")?;
    let proxy = inner.parse_required("url", |text| proxies.parse_own(text));
    fields.absorb_errors("proxy", inner);
    proxy
}

/// Result of a try; `ok` when WhatsApp answered through the proxy.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct ProxyCheckDocument {
    ok: bool,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    checked_at: Timestamp,
    proxy: ProxyInfo,
    /// Whether a connection to the proxy was made.
    reached: bool,
    /// Whether the proxy accepted the login, or needed none; `null` if that is unknown.
    authenticated: Option<bool>,
    /// Whether the proxy connected to WhatsApp.
    connected: bool,
    /// Where names are resolved: by the `proxy`, or by the `gateway`.
    names: NameResolution,
    /// The way of callers' links, and of pages for previews.
    links: LinkRoute,
    /// How links are kept out of private networks: by the `address` to which they lead, or by their
    /// `name` alone, since the proxy resolves names.
    links_judged_by: LinkJudgement,
    /// Milliseconds.
    ms: f64,
    /// The kind of the fault; `null` without one.
    fault: Option<&'static str>,
    /// The fault in words, without the login.
    detail: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NameResolution {
    Proxy,
    Gateway,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LinkJudgement {
    Address,
    Name,
}

/// The fault of a try in which the proxy worked, and WhatsApp did not answer.
pub(in crate::http) const UNANSWERED: &str = "whatsapp_silent";

impl ProxyCheckDocument {
    fn from_check(check: &ProxyCheck, now: Timestamp) -> Self {
        let ProxyCheck {
            proxy,
            links,
            took,
            opened,
            unanswered,
        } = check;
        let fault = opened.as_ref().err().map(|error| &error.fault);
        let is_resolving_here = proxy.address.is_resolving_here();
        let is_judged_by_address = is_resolving_here || *links == LinkRoute::Direct;
        let detail = opened.as_ref().err().map(ToString::to_string);
        let failed = unanswered
            .as_ref()
            .map(|error| format!("WhatsApp does not answer through the proxy: {error}"));
        Self {
            ok: opened.is_ok() && unanswered.is_none(),
            checked_at: now,
            proxy: ProxyInfo::from_proxy(proxy),
            reached: fault.is_none_or(|fault| fault.is_reached()),
            authenticated: fault.map_or(Some(true), |fault| fault.is_authenticated()),
            connected: opened.is_ok(),
            names: if is_resolving_here {
                NameResolution::Gateway
            } else {
                NameResolution::Proxy
            },
            links: *links,
            links_judged_by: if is_judged_by_address {
                LinkJudgement::Address
            } else {
                LinkJudgement::Name
            },
            ms: (took.as_secs_f64() * 1e6).round() / 1e3,
            fault: fault
                .map(|fault| fault.code())
                .or(unanswered.as_ref().map(|_| UNANSWERED)),
            detail: detail.or(failed),
        }
    }
}

/// `POST …/proxy/check`: connects to WhatsApp through the session's proxy; 200 whether it works or
/// not.
pub(in crate::http) async fn check_proxy(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> Result<Json<ProxyCheckDocument>, Problem> {
    let check = gateway.sessions.check_proxy(&name).await?;
    let now = gateway.clock.now();
    Ok(Json(ProxyCheckDocument::from_check(&check, now)))
}
