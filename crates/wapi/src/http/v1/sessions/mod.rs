//! `/v1/sessions`: session state and commands.

pub mod check;
pub mod connect_links;
pub mod limits;
pub mod pacing;
pub mod passkey;
pub mod proxy;
pub mod qr_code;
pub mod settings;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::access::auth::require_session_access;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::event::{Account, ConnectionInfo, HistoryProgress};
use crate::model::message::ChatId;
use crate::model::send_hold::Pacing;
use crate::model::session_name::SessionName;
use crate::sessions::{
    self, AppStateSync, LogoutMode, RemovalMode, Session, SessionMetadata, SessionPhase,
    SessionState,
};
use crate::store::{DisabledState, Endpoint, SyncProgress};
use proxy::ProxyInfo;

/// A session: three separate facts (`paired`, `connection`, `last_received_at`), and a status that
/// sums them up.
#[derive(Debug, Serialize)]
pub(in crate::http) struct SessionDocument {
    /// The name its owner gave it.
    id: SessionName,
    status: SessionPhase,
    /// Reason, where the status alone does not explain it.
    reason: Option<String>,
    /// Start of the current status.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    since: Timestamp,
    /// Whether it holds the keys of a linked device.
    paired: bool,
    connection: ConnectionInfo,
    /// `synced`, or `waiting` while the phone has not shared the keys to the app state; messages
    /// work in both. `null` while the session is not online.
    app_state: Option<AppStateSync>,
    /// The linked account; `null` before pairing.
    account: Option<Account>,
    /// When it last received a message, in this run of the program or an earlier one.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    last_received_at: Option<Timestamp>,
    /// The QR code that waits to be scanned; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<QrCodeInfo>,
    /// Progress of the history sync; `null` when none was requested.
    history: Option<HistoryProgress>,
    /// Webhooks that would receive its events and are disabled now; the events wait for them.
    disabled_webhooks: Vec<DisabledWebhookInfo>,
    /// The pace at which its messages leave; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pacing: Option<Pacing>,
    /// The proxy through which it leaves, without the password; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyInfo>,
    /// The owner's own data.
    metadata: SessionMetadata,
}

/// A disabled webhook.
#[derive(Debug, Serialize)]
struct DisabledWebhookInfo {
    id: String,
    /// `asked`, `gone` or `failing`.
    reason: &'static str,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    disabled_at: Timestamp,
}

impl DisabledWebhookInfo {
    /// Selects the endpoints that are for this session, or for all.
    fn list_for(session: &SessionName, disabled: &[Endpoint]) -> Vec<Self> {
        let concerned = disabled.iter().filter(|it| {
            it.session
                .as_deref()
                .is_none_or(|of| of == session.as_str())
        });
        let not_told = concerned.filter_map(|endpoint| {
            let DisabledState { since, reason } = endpoint.disabled.as_ref()?;
            Some(Self {
                id: endpoint.id.clone(),
                reason: reason.into_str(),
                disabled_at: *since,
            })
        });
        not_told.collect()
    }
}

async fn disabled_endpoints(gateway: &Gateway) -> Result<Vec<Endpoint>, Problem> {
    gateway
        .store
        .webhooks()
        .list_disabled_endpoints()
        .await
        .map_err(|error| Problem::NotReady {
            detail: error.to_string(),
        })
}

/// Path of a QR code, and its expiry.
#[derive(Debug, Serialize)]
struct QrCodeInfo {
    path: String,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    expires_at: Timestamp,
}

impl SessionDocument {
    fn from_session(gateway: &Gateway, session: &Session, disabled: &[Endpoint]) -> Self {
        Self::from_state(gateway, session, session.state(), disabled)
    }

    fn from_state(
        gateway: &Gateway,
        session: &Session,
        state: SessionState,
        disabled: &[Endpoint],
    ) -> Self {
        let path = format!("/v1/sessions/{}/qr", session.name.url_segment());
        let connection = ConnectionInfo {
            state: state.status.connection_state(),
            since: state.connection_since,
        };
        Self {
            id: session.name.clone(),
            status: state.status,
            reason: state.reason,
            since: state.since,
            paired: state.paired,
            connection,
            app_state: state.app_state,
            account: state.account,
            last_received_at: session.last_received_at(),
            qr: state.qr.map(|qr| QrCodeInfo {
                path,
                expires_at: qr.expires_at,
            }),
            history: state.sync_progress.as_ref().map(sessions::history_progress),
            disabled_webhooks: DisabledWebhookInfo::list_for(&session.name, disabled),
            pacing: Some(session.pacing()).filter(|pacing| *pacing != Pacing::default()),
            proxy: gateway
                .proxies
                .find(session.name.as_str())
                .map(|proxy| ProxyInfo::from_proxy(&proxy)),
            metadata: session.metadata.clone(),
        }
    }
}

/// All sessions, by name.
#[derive(Debug, Serialize)]
pub(in crate::http) struct SessionList {
    sessions: Vec<SessionDocument>,
}

/// `GET /v1/sessions`: lists sessions.
pub(in crate::http) async fn list_sessions(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: QueryParameters,
) -> Result<Json<SessionList>, Problem> {
    query.finish()?;
    let (all, disabled) = (
        gateway.sessions.all_sessions(),
        disabled_endpoints(&gateway).await?,
    );
    let reached = all
        .iter()
        .filter(|session| caller.can_reach(session.name.as_str()));
    let sessions = reached
        .map(|session| SessionDocument::from_session(&gateway, session, &disabled))
        .collect();
    Ok(Json(SessionList { sessions }))
}

/// `GET /v1/sessions/{session}`: shows a session.
pub(in crate::http) async fn show_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    query: QueryParameters,
) -> Result<Json<SessionDocument>, Problem> {
    query.finish()?;
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    Ok(Json(SessionDocument::from_session(
        &gateway,
        &session,
        &disabled_endpoints(&gateway).await?,
    )))
}

/// A created session, and its pairing code if one was requested.
#[derive(Debug, Serialize)]
struct CreatedSession {
    #[serde(flatten)]
    session: SessionDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairing_code: Option<String>,
}

/// Way of linking a new session.
enum PairingRequest {
    Qr,
    /// By a code typed into the phone with this number.
    Code(String),
}

/// `POST /v1/sessions` `{id, pairing?: {method: "qr"} | {method: "code", phone}, history?,
/// metadata?, pacing?, proxy?}`: creates a session. 201 at once, with the pairing code if one was requested.
pub(in crate::http) async fn create_session(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: JsonFields,
) -> Result<impl IntoResponse, Problem> {
    let name = fields.parse_required("id", SessionName::parse);
    let metadata = fields.optional_object("metadata").unwrap_or_default();
    let past = fields.flag_or_false("history").then(SyncProgress::default);
    let pairing = read_pairing(&mut fields);
    let pacing = pacing::read_pacing(&mut fields);
    let proxy = proxy::read_proxy(&mut fields, &gateway.proxies);
    fields.refuse_unknown();
    let (name, pairing) = fields.finish(name.zip(pairing))?;
    let name = require_session_access(&caller, name)?;
    if past.is_some() && !gateway.history.is_enabled() {
        return Err(Problem::HistoryOff);
    }
    let session = gateway
        .sessions
        .create(&name, metadata, past, pacing, proxy)
        .await?;
    if !caller.can_reach(name.as_str()) {
        // The key included this name before, and the session is new.
        gateway.give_session(&caller, &name).await?;
    }
    let pairing_code = match pairing {
        PairingRequest::Qr => None,
        PairingRequest::Code(phone) => {
            Some(gateway.sessions.request_pairing_code(&name, &phone).await?)
        }
    };
    let location: [(HeaderName, String); 1] = [(
        header::LOCATION,
        format!("/v1/sessions/{}", name.url_segment()),
    )];
    let session =
        SessionDocument::from_session(&gateway, &session, &disabled_endpoints(&gateway).await?);
    Ok((
        StatusCode::CREATED,
        location,
        Json(CreatedSession {
            session,
            pairing_code,
        }),
    ))
}

fn read_pairing(fields: &mut JsonFields) -> Option<PairingRequest> {
    let Some(mut inner) = fields.nested_fields("pairing") else {
        return Some(PairingRequest::Qr);
    };
    let pairing = match inner.parse_required("method", parse_method) {
        Some(PairingMethod::Qr) => Some(PairingRequest::Qr),
        Some(PairingMethod::Code) => inner
            .parse_required("phone", parse_phone)
            .map(PairingRequest::Code),
        None => None,
    };
    fields.absorb_errors("pairing", inner);
    pairing
}

#[derive(Clone, Copy)]
enum PairingMethod {
    Qr,
    Code,
}

fn parse_method(text: &str) -> Result<PairingMethod, &'static str> {
    match text {
        "qr" => Ok(PairingMethod::Qr),
        "code" => Ok(PairingMethod::Code),
        _ => Err("must be `qr` or `code`"),
    }
}

/// Returns the digits of an international number in any spelling.
pub(in crate::http) fn parse_phone(text: &str) -> Result<String, String> {
    match ChatId::parse(text) {
        Ok(ChatId::Phone(number)) => Ok(number),
        Ok(_) => Err(
            "must be an international phone number that starts with the country's code".to_owned(),
        ),
        Err(error) => Err(format!(
            "must be an international phone number that starts with the country's code: {error}"
        )),
    }
}

/// `DELETE /v1/sessions/{session}`: removes a session; 204. `?logout=true` first removes it from
/// the account's list of devices. Events it has received are still delivered, but `?purge=true`
/// removes everything stored under its name, of all accounts it was ever linked to.
pub(in crate::http) async fn remove_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    mut query: QueryParameters,
) -> Result<StatusCode, Problem> {
    let log_out = match query.optional_text("logout").as_deref() {
        Some("true") => LogoutMode::First,
        None | Some("false") => LogoutMode::No,
        Some(_) => {
            return Err(Problem::invalid_field(
                "logout",
                "must be `true` or `false`",
            ));
        }
    };
    let leave = match query.optional_text("purge").as_deref() {
        Some("true") => RemovalMode::Purge,
        None | Some("false") => RemovalMode::KeepLives,
        Some(_) => return Err(Problem::invalid_field("purge", "must be `true` or `false`")),
    };
    query.finish()?;
    gateway.sessions.remove(&name, log_out, leave).await?;
    Ok(StatusCode::NO_CONTENT)
}

type SessionAnswer = Result<Json<SessionDocument>, Problem>;

/// `POST /v1/sessions/{session}/start`: starts the session, now and at every start of the program.
pub(in crate::http) async fn start_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> SessionAnswer {
    let state = gateway.sessions.start(&name).await?;
    session_answer(&gateway, &name, state).await
}

/// `POST /v1/sessions/{session}/stop`: stops the session; it stays stopped when the program
/// restarts.
pub(in crate::http) async fn stop_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> SessionAnswer {
    let state = gateway.sessions.stop(&name).await?;
    session_answer(&gateway, &name, state).await
}

/// `POST /v1/sessions/{session}/restart`: closes the session's connection and opens a new one.
pub(in crate::http) async fn restart_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> SessionAnswer {
    let state = gateway.sessions.restart(&name).await?;
    session_answer(&gateway, &name, state).await
}

/// `POST /v1/sessions/{session}/logout`: unlinks the session.
pub(in crate::http) async fn log_out_session(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> SessionAnswer {
    let state = gateway.sessions.log_out(&name).await?;
    session_answer(&gateway, &name, state).await
}

async fn session_answer(
    gateway: &Gateway,
    name: &SessionName,
    state: SessionState,
) -> SessionAnswer {
    let session = gateway.sessions.find(name).ok_or(Problem::NoSession)?;
    Ok(Json(SessionDocument::from_state(
        gateway,
        &session,
        state,
        &disabled_endpoints(gateway).await?,
    )))
}

/// The code that the owner of the phone types.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PairingCodeDocument {
    code: String,
}

/// `POST /v1/sessions/{session}/pairing-code` `{phone}`: creates a code to type into that phone
/// instead of scanning.
pub(in crate::http) async fn create_pairing_code(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    mut fields: JsonFields,
) -> Result<Json<PairingCodeDocument>, Problem> {
    let phone = fields.parse_required("phone", parse_phone);
    fields.refuse_unknown();
    let phone = fields.finish(phone)?;
    Ok(Json(PairingCodeDocument {
        code: gateway.sessions.request_pairing_code(&name, &phone).await?,
    }))
}
