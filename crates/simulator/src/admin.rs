//! The admin API: the actions of a test, over HTTP. Its reference is the crate's README.

mod groups;
mod mock_phone;
mod newsletters;
mod preferences;
mod profile;
mod settings;
mod shop;
mod signals;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Addressing;
use crate::burst::{self, Burst};
use crate::device::Device;
use crate::faults::{AckFault, DeliveryFault, Fallback, Faults};
use crate::files::{File, FileKind};
use crate::phone::{PeerRequests, Phone, Receipts};
use crate::server::Server;
use crate::simulator::add_phone;
use crate::world::PairingError;

/// The largest request body, in bytes: profile pictures and images come as base64 in JSON.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

type Shared = State<Arc<Server>>;

pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/phones", get(list_phones).post(create_phone))
        .route("/phones/{number}/scan", post(scan))
        .route("/phones/{number}/link-code", post(enter_code))
        .route(
            "/phones/{number}/messages",
            get(list_messages)
                .post(send)
                .layer(DefaultBodyLimit::max(LARGEST_BODY)),
        )
        .route("/phones/{number}/read", post(read))
        .route("/phones/{number}/delivered", post(delivered))
        .route(
            "/phones/{number}/receipts",
            get(list_receipts).put(receipt_policy),
        )
        .route(
            "/phones/{number}/peer-requests",
            axum::routing::put(peer_policy),
        )
        .route("/phones/{number}/devices", get(list_devices))
        .route(
            "/phones/{number}/devices/{device}",
            axum::routing::delete(log_out),
        )
        .route(
            "/phones/{number}/devices/{device}/faults",
            post(device_fault),
        )
        .route("/bursts", post(burst))
        .route("/faults", post(fault))
        .route("/unknown-requests", get(unknown_requests))
        .merge(groups::routes())
        .merge(mock_phone::routes())
        .merge(preferences::routes())
        .merge(profile::routes())
        .merge(newsletters::routes())
        .merge(settings::routes())
        .merge(shop::routes())
        .merge(signals::routes())
        .merge(trust::routes())
}

/// An error answer: a status and one sentence.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("{error:#}"))
    }
}

impl From<PairingError> for Refusal {
    fn from(error: PairingError) -> Self {
        let status = match error {
            PairingError::NotAQr(_) => StatusCode::BAD_REQUEST,
            PairingError::Expired => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self(status, error.to_string())
    }
}

type Answer = Result<Json<Value>, Refusal>;

/// A JSON body. A body that does not parse is refused in the same form as every other error.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(Refusal(rejection.status(), rejection.body_text())),
        }
    }
}

fn phone(server: &Arc<Server>, number: &str) -> Result<Phone, Refusal> {
    let world = server.world.lock();
    let account = world.account(number);
    let account = account
        .ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("there is no phone {number}")))?;
    Ok(Phone {
        server: server.clone(),
        number: account.number.clone(),
        lid: account.lid.clone(),
    })
}

fn described(phone: &Phone) -> Value {
    json!({"number": phone.number(), "jid": phone.jid(), "lid": phone.lid()})
}

async fn list_phones(State(server): Shared) -> Json<Value> {
    let world = server.world.lock();
    let phones = world.accounts().map(|account| {
        json!({
            "number": *account.number,
            "jid": account.jid(Addressing::PhoneNumber, 0).to_string(),
            "lid": account.jid(Addressing::Lid, 0).to_string(),
            "name": account.push_name,
            "devices": account.devices.len(),
            "connected": account.devices.values().filter(|device| device.connection.is_some()).count(),
            "queued": account.devices.values().map(Device::queued).sum::<usize>(),
        })
    });
    Json(phones.collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPhone {
    name: String,
    number: Option<String>,
}

async fn create_phone(
    State(server): Shared,
    Body(new): Body<NewPhone>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let phone = add_phone(&server, &new.name, new.number.as_deref())?;
    Ok((StatusCode::CREATED, Json(described(&phone))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    qr: String,
}

async fn scan(State(server): Shared, Path(number): Path<String>, Body(scan): Body<Scan>) -> Answer {
    let device = phone(&server, &number)?.scans(&scan.qr).await?;
    Ok(Json(json!(device)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

async fn enter_code(
    State(server): Shared,
    Path(number): Path<String>,
    Body(code): Body<Code>,
) -> Answer {
    let device = phone(&server, &number)?.enters_code(&code.code).await?;
    Ok(Json(json!(device)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outgoing {
    to: String,
    text: Option<String>,
    image: Option<Image>,
    document: Option<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    base64: String,
    mime: String,
    caption: Option<String>,
}

/// A file of random bytes, never the same twice. It is made here, so that tests need not post large
/// files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// In bytes.
    size: usize,
    caption: Option<String>,
}

impl Document {
    /// The largest size, in bytes: the file is held in memory.
    const LARGEST: usize = 64 * 1024 * 1024;

    fn made(self) -> Result<File, Refusal> {
        if self.size > Self::LARGEST {
            let why = format!("document.size must be at most {}", Self::LARGEST);
            return Err(Refusal(StatusCode::BAD_REQUEST, why));
        }
        let mut bytes = vec![0; self.size];
        rand::fill(&mut bytes[..]);
        Ok(File {
            caption: self.caption,
            ..File::new(FileKind::Document, bytes, "application/octet-stream")
        })
    }
}

async fn send(
    State(server): Shared,
    Path(number): Path<String>,
    Body(message): Body<Outgoing>,
) -> Answer {
    let phone = phone(&server, &number)?;
    let id = match (message.text, message.image, message.document) {
        (Some(text), None, None) => phone.sends_text(&message.to, &text).await?,
        (None, Some(image), None) => {
            let bytes = STANDARD
                .decode(&image.base64)
                .map_err(anyhow::Error::from)?;
            phone
                .sends_image(&message.to, bytes, &image.mime, image.caption.as_deref())
                .await?
        }
        (None, None, Some(document)) => phone.sends_file(&message.to, document.made()?).await?,
        _ => {
            return Err(Refusal(
                StatusCode::BAD_REQUEST,
                "give one of text, image and document".to_owned(),
            ));
        }
    };
    Ok(Json(json!({"id": id})))
}

/// Sends a burst and answers when its last message has left.
async fn burst(State(server): Shared, Body(burst): Body<Burst>) -> Answer {
    let sending = tokio::task::spawn_blocking(move || {
        burst::send(&server, &burst, |number| phone(&server, number).ok())
            .map(|sent| Json(json!(sent)))
    });
    let lost = |_| {
        Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the burst came to no end".to_owned(),
        )
    };
    Ok(sending.await.map_err(lost)??)
}

#[derive(Deserialize)]
struct Page {
    after: Option<usize>,
}

async fn list_messages(
    State(server): Shared,
    Path(number): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let phone = phone(&server, &number)?;
    let messages = phone.received_since(page.after.unwrap_or(0));
    Ok(Json(
        json!({"messages": messages, "failures": phone.failures()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    chat: String,
    ids: Vec<String>,
}

async fn read(State(server): Shared, Path(number): Path<String>, Body(read): Body<Read>) -> Answer {
    phone(&server, &number)?.reads(&read.chat, &read.ids)?;
    Ok(Json(json!({})))
}

async fn delivered(
    State(server): Shared,
    Path(number): Path<String>,
    Body(read): Body<Read>,
) -> Answer {
    phone(&server, &number)?.confirms(&read.chat, &read.ids)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    automatic: bool,
}

async fn receipt_policy(
    State(server): Shared,
    Path(number): Path<String>,
    Body(policy): Body<Policy>,
) -> Answer {
    let policy = if policy.automatic {
        Receipts::Automatic
    } else {
        Receipts::Withheld
    };
    phone(&server, &number)?.receipts_are(policy);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerPolicy {
    answered: bool,
}

async fn peer_policy(
    State(server): Shared,
    Path(number): Path<String>,
    Body(policy): Body<PeerPolicy>,
) -> Answer {
    let policy = if policy.answered {
        PeerRequests::Answered
    } else {
        PeerRequests::Ignored
    };
    phone(&server, &number)?.peer_requests_are(policy);
    Ok(Json(json!({})))
}

async fn list_receipts(State(server): Shared, Path(number): Path<String>) -> Answer {
    Ok(Json(json!(phone(&server, &number)?.receipts())))
}

async fn list_devices(State(server): Shared, Path(number): Path<String>) -> Answer {
    Ok(Json(json!(phone(&server, &number)?.devices())))
}

async fn log_out(State(server): Shared, Path((number, device)): Path<(String, u16)>) -> Answer {
    let phone = phone(&server, &number)?;
    let outcome = phone.logs_out(device).await;
    outcome.map_err(|error| Refusal(StatusCode::NOT_FOUND, error.to_string()))?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
enum DeviceFault {
    Cut,
    StreamError { code: u16 },
    Freeze { on: bool },
    Deafen,
}

async fn device_fault(
    State(server): Shared,
    Path((number, device)): Path<(String, u16)>,
    Body(fault): Body<DeviceFault>,
) -> Answer {
    let faults = Faults { server };
    match fault {
        DeviceFault::Cut => faults.cut(&number, device)?,
        DeviceFault::StreamError { code } => faults.fail_stream(&number, device, code)?,
        DeviceFault::Freeze { on: true } => faults.freeze(&number, device)?,
        DeviceFault::Freeze { on: false } => faults.thaw(&number, device)?,
        DeviceFault::Deafen => faults.deafen(&number, device)?,
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

async fn fault(State(server): Shared, Body(fault): Body<ServerFault>) -> Answer {
    let faults = Faults { server };
    let missing =
        |field: &str| Refusal(StatusCode::BAD_REQUEST, format!("this mode needs {field}"));
    match fault {
        ServerFault::RefuseConnections { on } => faults.refuse_connections(on),
        ServerFault::IgnoreRegistrations { on } => faults.ignore_registrations(on),
        ServerFault::LosePosts { on } => faults.lose_posts(on),
        ServerFault::NewKey { fallback: true } => faults.change_key(Fallback::Offered)?,
        ServerFault::NewKey { fallback: false } => faults.change_key(Fallback::Refused)?,
        ServerFault::Acks { mode, ms, code } => faults.acks(match mode {
            AckMode::Normal => AckFault::None,
            AckMode::Delay => {
                AckFault::Delay(Duration::from_millis(ms.ok_or_else(|| missing("ms"))?))
            }
            AckMode::Drop => AckFault::Drop,
            AckMode::Refuse => AckFault::Refuse(code.ok_or_else(|| missing("code"))?),
        }),
        ServerFault::Deliveries { mode } => faults.deliveries(match mode {
            DeliveryMode::Normal => DeliveryFault::None,
            DeliveryMode::Repeat => DeliveryFault::Repeat,
            DeliveryMode::Reorder => DeliveryFault::Reorder,
        }),
    }
    Ok(Json(json!({})))
}

async fn unknown_requests(State(server): Shared) -> Json<Value> {
    Json(json!(server.world.lock().unknown_requests()))
}
