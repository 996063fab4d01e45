//! `/v1/sessions`: session state and commands.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;

use super::Gateway;
use super::auth::reached;
use super::error::Problem;
use super::extract::{Fields, Named};
use super::query::Query;
use crate::event::{Account, ConnectionInfo, HistoryProgress};
use crate::keys::Caller;
use crate::message::ChatId;
use crate::sessions::{
    self, AppState, Inbound, Leave, LogOut, Metadata, Session, SessionName, SessionState, Status,
};
use crate::store::{Disabled, Endpoint, Past};

/// A session: three separate facts (`paired`, `connection`, `last_received_at`), and a status that
/// sums them up.
#[derive(Debug, Serialize)]
pub(super) struct SessionDocument {
    /// The name its owner gave it.
    id: SessionName,
    /// `starting`, `scan_qr`, `connecting`, `online`, `offline`, `logged_out`, `failed` or
    /// `stopped`.
    status: Status,
    /// Reason, where the status alone does not explain it.
    reason: Option<String>,
    /// Start of the current status.
    #[serde(serialize_with = "crate::stamp::serialize")]
    since: Timestamp,
    /// Whether it holds the keys of a linked device.
    paired: bool,
    connection: ConnectionInfo,
    /// `synced`, or `waiting` while the phone has not shared the keys to the app state; messages
    /// work in both. `null` while the session is not online.
    app_state: Option<AppState>,
    /// The linked account; `null` before pairing.
    account: Option<Account>,
    /// When it last received a message, in this run of the program or an earlier one.
    #[serde(serialize_with = "crate::stamp::optional")]
    last_received_at: Option<Timestamp>,
    /// The QR code that waits to be scanned; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<Waiting>,
    /// Progress of the history sync; `null` when none was requested.
    history: Option<HistoryProgress>,
    /// Webhooks that would receive its events and are disabled now; the events wait for them.
    disabled_webhooks: Vec<NotTold>,
    /// The owner's own data.
    metadata: Metadata,
}

/// A disabled webhook.
#[derive(Debug, Serialize)]
struct NotTold {
    id: String,
    /// `asked`, `gone` or `failing`.
    reason: &'static str,
    #[serde(serialize_with = "crate::stamp::serialize")]
    disabled_at: Timestamp,
}

impl NotTold {
    /// Selects the endpoints that are for this session, or for all.
    fn of(session: &SessionName, disabled: &[Endpoint]) -> Vec<Self> {
        let concerned = disabled.iter().filter(|it| {
            it.session
                .as_deref()
                .is_none_or(|of| of == session.as_str())
        });
        let not_told = concerned.filter_map(|endpoint| {
            let Disabled { since, reason } = endpoint.disabled.as_ref()?;
            Some(Self {
                id: endpoint.id.clone(),
                reason: reason.word(),
                disabled_at: *since,
            })
        });
        not_told.collect()
    }
}

async fn disabled(gateway: &Gateway) -> Result<Vec<Endpoint>, Problem> {
    gateway
        .store
        .disabled_endpoints()
        .await
        .map_err(|error| Problem::NotReady {
            detail: error.to_string(),
        })
}

/// Path of a QR code, and its expiry.
#[derive(Debug, Serialize)]
struct Waiting {
    path: String,
    #[serde(serialize_with = "crate::stamp::serialize")]
    expires_at: Timestamp,
}

impl SessionDocument {
    fn of(session: &Session, disabled: &[Endpoint]) -> Self {
        Self::with(session, session.state(), disabled)
    }

    fn with(session: &Session, state: SessionState, disabled: &[Endpoint]) -> Self {
        let path = format!("/v1/sessions/{}/qr", session.name.url_segment());
        let connection = ConnectionInfo {
            state: state.status.connection().word(),
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
            qr: state.qr.map(|qr| Waiting {
                path,
                expires_at: qr.expires_at,
            }),
            history: state.past.as_ref().map(sessions::shown),
            disabled_webhooks: NotTold::of(&session.name, disabled),
            metadata: session.metadata.clone(),
        }
    }
}

/// All sessions, by name.
#[derive(Debug, Serialize)]
pub(super) struct SessionList {
    sessions: Vec<SessionDocument>,
}

/// `GET /v1/sessions`: lists sessions.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: Query,
) -> Result<Json<SessionList>, Problem> {
    query.done()?;
    let (all, disabled) = (gateway.sessions.all(), disabled(&gateway).await?);
    let reached = all
        .iter()
        .filter(|session| caller.reaches(session.name.as_str()));
    let sessions = reached
        .map(|session| SessionDocument::of(session, &disabled))
        .collect();
    Ok(Json(SessionList { sessions }))
}

/// `GET /v1/sessions/{session}`: shows a session.
pub(super) async fn read(
    State(gateway): State<Gateway>,
    Named(name): Named,
    query: Query,
) -> Result<Json<SessionDocument>, Problem> {
    query.done()?;
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    Ok(Json(SessionDocument::of(
        &session,
        &disabled(&gateway).await?,
    )))
}

/// A created session, and its pairing code if one was requested.
#[derive(Debug, Serialize)]
struct Created {
    #[serde(flatten)]
    session: SessionDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    pairing_code: Option<String>,
}

/// Way of linking a new session.
enum Pairing {
    Qr,
    /// By a code typed into the phone with this number.
    Code(String),
}

/// `POST /v1/sessions` `{id, pairing?: {method: "qr"} | {method: "code", phone}, history?,
/// metadata?}`: creates a session. 201 at once, with the pairing code if one was requested.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: Fields,
) -> Result<impl IntoResponse, Problem> {
    let name = fields.parsed("id", SessionName::parse);
    let metadata = fields.optional_object("metadata").unwrap_or_default();
    let past = fields.flag("history").then(Past::default);
    let pairing = pairing(&mut fields);
    fields.refuse_unknown();
    let (name, pairing) = fields.done(name.zip(pairing))?;
    let name = reached(&caller, name)?;
    if past.is_some() && !gateway.history.is_on() {
        return Err(Problem::HistoryOff);
    }
    let session = gateway.sessions.create(&name, metadata, past).await?;
    if !caller.reaches(name.as_str()) {
        // The key included this name before, and the session is new.
        gateway.give(&caller, &name).await?;
    }
    let pairing_code = match pairing {
        Pairing::Qr => None,
        Pairing::Code(phone) => Some(gateway.sessions.pairing_code(&name, &phone).await?),
    };
    let location: [(HeaderName, String); 1] = [(
        header::LOCATION,
        format!("/v1/sessions/{}", name.url_segment()),
    )];
    let session = SessionDocument::of(&session, &disabled(&gateway).await?);
    Ok((
        StatusCode::CREATED,
        location,
        Json(Created {
            session,
            pairing_code,
        }),
    ))
}

fn pairing(fields: &mut Fields) -> Option<Pairing> {
    let Some(mut inner) = fields.inner("pairing") else {
        return Some(Pairing::Qr);
    };
    let pairing = match inner.parsed("method", method) {
        Some(Method::Qr) => Some(Pairing::Qr),
        Some(Method::Code) => inner.parsed("phone", phone).map(Pairing::Code),
        None => None,
    };
    fields.absorb("pairing", inner);
    pairing
}

#[derive(Clone, Copy)]
enum Method {
    Qr,
    Code,
}

fn method(text: &str) -> Result<Method, &'static str> {
    match text {
        "qr" => Ok(Method::Qr),
        "code" => Ok(Method::Code),
        _ => Err("must be `qr` or `code`"),
    }
}

/// Returns the digits of an international number in any spelling.
fn phone(text: &str) -> Result<String, String> {
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
pub(super) async fn remove(
    State(gateway): State<Gateway>,
    Named(name): Named,
    mut query: Query,
) -> Result<StatusCode, Problem> {
    let log_out = match query.text("logout").as_deref() {
        Some("true") => LogOut::First,
        None | Some("false") => LogOut::No,
        Some(_) => return Err(Problem::field("logout", "must be `true` or `false`")),
    };
    let leave = match query.text("purge").as_deref() {
        Some("true") => Leave::Nothing,
        None | Some("false") => Leave::Lives,
        Some(_) => return Err(Problem::field("purge", "must be `true` or `false`")),
    };
    query.done()?;
    gateway.sessions.remove(&name, log_out, leave).await?;
    Ok(StatusCode::NO_CONTENT)
}

type Answer = Result<Json<SessionDocument>, Problem>;

/// `POST /v1/sessions/{session}/start`: starts the session, now and at every start of the program.
pub(super) async fn start(State(gateway): State<Gateway>, Named(name): Named) -> Answer {
    let state = gateway.sessions.start(&name).await?;
    document(&gateway, &name, state).await
}

/// `POST /v1/sessions/{session}/stop`: stops the session; it stays stopped when the program
/// restarts.
pub(super) async fn stop(State(gateway): State<Gateway>, Named(name): Named) -> Answer {
    let state = gateway.sessions.stop(&name).await?;
    document(&gateway, &name, state).await
}

/// `POST /v1/sessions/{session}/restart`: closes the session's connection and opens a new one.
pub(super) async fn restart(State(gateway): State<Gateway>, Named(name): Named) -> Answer {
    let state = gateway.sessions.restart(&name).await?;
    document(&gateway, &name, state).await
}

/// `POST /v1/sessions/{session}/logout`: unlinks the session.
pub(super) async fn log_out(State(gateway): State<Gateway>, Named(name): Named) -> Answer {
    let state = gateway.sessions.log_out(&name).await?;
    document(&gateway, &name, state).await
}

async fn document(gateway: &Gateway, name: &SessionName, state: SessionState) -> Answer {
    let session = gateway.sessions.find(name).ok_or(Problem::NoSession)?;
    Ok(Json(SessionDocument::with(
        &session,
        state,
        &disabled(gateway).await?,
    )))
}

/// Result of a check; `ok` when every part is proven.
#[derive(Debug, Serialize)]
pub(super) struct CheckDocument {
    ok: bool,
    #[serde(serialize_with = "crate::stamp::serialize")]
    checked_at: Timestamp,
    /// A round trip to WhatsApp.
    socket: Part,
    /// A write that reached the disk: nothing is acknowledged to WhatsApp without one.
    store: Part,
    /// Proof that messages arrive, are decrypted and saved. `proof` is `phone`, which answered a
    /// probe, or `traffic`.
    inbound: Part,
}

/// One part of a check: its duration, or its fault.
#[derive(Debug, Default, Serialize)]
struct Part {
    ok: bool,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Part {
    fn proven(took: Duration) -> Self {
        Self {
            ok: true,
            ms: Some((took.as_secs_f64() * 1e6).round() / 1e3),
            ..Self::default()
        }
    }

    fn failed(detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::default()
        }
    }

    fn of<E: std::fmt::Display>(result: &Result<Duration, E>) -> Self {
        result.as_ref().map_or_else(
            |error| Self::failed(error.to_string()),
            |took| Self::proven(*took),
        )
    }

    fn of_inbound(inbound: Inbound) -> Self {
        match inbound {
            Inbound::Answered(took) => Self {
                proof: Some("phone"),
                ..Self::proven(took)
            },
            Inbound::Heard(_) => Self {
                ok: true,
                proof: Some("traffic"),
                ..Self::default()
            },
            Inbound::Silent(limit) => Self::failed(format!(
                "the phone did not answer within {limit:?}: it is off, or nothing comes in on this connection"
            )),
            Inbound::Unknown => Self::failed("there is no connection to find out on"),
        }
    }
}

/// `POST /v1/sessions/{session}/check`: checks every part of the inbound path; 200 whether it works
/// or not. Faults trigger a recovery.
pub(super) async fn check(
    State(gateway): State<Gateway>,
    Named(name): Named,
) -> Result<Json<CheckDocument>, Problem> {
    let check = gateway.sessions.check(&name).await?;
    Ok(Json(CheckDocument {
        ok: check.is_ok(),
        checked_at: check.at,
        socket: Part::of(&check.socket),
        store: Part::of(&check.store),
        inbound: Part::of_inbound(check.inbound),
    }))
}

/// The code that the owner of the phone types.
#[derive(Debug, Serialize)]
pub(super) struct PairingCode {
    code: String,
}

/// `POST /v1/sessions/{session}/pairing-code` `{phone}`: creates a code to type into that phone
/// instead of scanning.
pub(super) async fn pairing_code(
    State(gateway): State<Gateway>,
    Named(name): Named,
    mut fields: Fields,
) -> Result<Json<PairingCode>, Problem> {
    let phone = fields.parsed("phone", phone);
    fields.refuse_unknown();
    let phone = fields.done(phone)?;
    Ok(Json(PairingCode {
        code: gateway.sessions.pairing_code(&name, &phone).await?,
    }))
}
