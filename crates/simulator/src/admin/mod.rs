//! The admin API: the actions of a test, over HTTP. Its reference is the crate's README.

mod catalog;
mod chat_settings;
mod faults;
mod groups;
mod mock_phone;
mod newsletters;
mod passkeys;
mod preferences;
mod presence;
mod profile;
mod trust;

use std::sync::Arc;

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

use crate::model::behaviour::{PeerRequests, ReceiptPolicy};
use crate::model::device::Device;
use crate::model::ids::PairingError;
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::phone::account::add_phone;
use crate::phone::load::{self, BurstRequest};
use crate::phone::messages::files::{FileKind, MediaFile};
use crate::server::Server;

/// The largest request body, in bytes: profile pictures and images come as base64 in JSON.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

type SharedServer = State<Arc<Server>>;

pub(crate) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/phones", get(list_phones).post(create_phone))
        .route("/phones/{number}/scan", post(scan_qr))
        .route("/phones/{number}/link-code", post(enter_code))
        .route(
            "/phones/{number}/messages",
            get(list_messages)
                .post(send_message)
                .layer(DefaultBodyLimit::max(LARGEST_BODY)),
        )
        .route("/phones/{number}/read", post(mark_read))
        .route("/phones/{number}/delivered", post(confirm_delivery))
        .route(
            "/phones/{number}/receipts",
            get(list_receipts).put(set_receipt_policy),
        )
        .route(
            "/phones/{number}/peer-requests",
            axum::routing::put(set_peer_policy),
        )
        .route("/phones/{number}/devices", get(list_devices))
        .route(
            "/phones/{number}/devices/{device}",
            axum::routing::delete(log_out),
        )
        .route("/bursts", post(run_burst))
        .route("/unknown-requests", get(list_unknown_requests))
        .merge(faults::routes())
        .merge(groups::routes())
        .merge(mock_phone::routes())
        .merge(preferences::routes())
        .merge(profile::routes())
        .merge(newsletters::routes())
        .merge(passkeys::routes())
        .merge(chat_settings::routes())
        .merge(catalog::routes())
        .merge(presence::routes())
        .merge(trust::routes())
}

/// An error answer: a status and one sentence.
struct AdminError(StatusCode, String);

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<anyhow::Error> for AdminError {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("{error:#}"))
    }
}

impl From<PairingError> for AdminError {
    fn from(error: PairingError) -> Self {
        let status = match error {
            PairingError::InvalidQr(_) => StatusCode::BAD_REQUEST,
            PairingError::Expired => StatusCode::NOT_FOUND,
            _ => StatusCode::CONFLICT,
        };
        Self(status, error.to_string())
    }
}

type JsonResult = Result<Json<Value>, AdminError>;

/// A JSON body. A body that does not parse is refused in the same form as every other error.
struct JsonBody<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(AdminError(rejection.status(), rejection.body_text())),
        }
    }
}

fn find_phone(server: &Arc<Server>, number: &str) -> Result<Phone, AdminError> {
    let world = server.world.lock();
    let account = world.account(number);
    let account = account
        .ok_or_else(|| AdminError(StatusCode::NOT_FOUND, format!("there is no phone {number}")))?;
    Ok(Phone {
        server: server.clone(),
        number: account.number.clone(),
        lid: account.lid.clone(),
    })
}

fn describe_phone(phone: &Phone) -> Value {
    json!({"number": phone.number(), "jid": phone.jid(), "lid": phone.lid()})
}

async fn list_phones(State(server): SharedServer) -> Json<Value> {
    let world = server.world.lock();
    let phones = world.accounts().map(|account| {
        json!({
            "number": *account.number,
            "jid": account.jid(Addressing::PhoneNumber, 0).to_string(),
            "lid": account.jid(Addressing::Lid, 0).to_string(),
            "name": account.push_name,
            "devices": account.devices.len(),
            "connected": account.devices.values().filter(|device| device.connection.is_some()).count(),
            "queued": account.devices.values().map(Device::queue_length).sum::<usize>(),
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
    State(server): SharedServer,
    JsonBody(new): JsonBody<NewPhone>,
) -> Result<(StatusCode, Json<Value>), AdminError> {
    let phone = add_phone(&server, &new.name, new.number.as_deref())?;
    Ok((StatusCode::CREATED, Json(describe_phone(&phone))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanRequest {
    qr: String,
}

async fn scan_qr(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(scan): JsonBody<ScanRequest>,
) -> JsonResult {
    let device = find_phone(&server, &number)?.scans_qr(&scan.qr).await?;
    Ok(Json(json!(device)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkCodeRequest {
    code: String,
}

async fn enter_code(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(code): JsonBody<LinkCodeRequest>,
) -> JsonResult {
    let device = find_phone(&server, &number)?
        .enters_code(&code.code)
        .await?;
    Ok(Json(json!(device)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendRequest {
    to: String,
    text: Option<String>,
    image: Option<ImageFile>,
    document: Option<RandomDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageFile {
    base64: String,
    mime: String,
    caption: Option<String>,
}

/// A file of random bytes, never the same twice. It is made here, so that tests need not post large
/// files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RandomDocument {
    /// In bytes.
    size: usize,
    caption: Option<String>,
}

impl RandomDocument {
    /// The largest size, in bytes: the file is held in memory.
    const LARGEST: usize = 64 * 1024 * 1024;

    fn into_file(self) -> Result<MediaFile, AdminError> {
        if self.size > Self::LARGEST {
            let why = format!("document.size must be at most {}", Self::LARGEST);
            return Err(AdminError(StatusCode::BAD_REQUEST, why));
        }
        let mut bytes = vec![0; self.size];
        rand::fill(&mut bytes[..]);
        Ok(MediaFile {
            caption: self.caption,
            ..MediaFile::new(FileKind::Document, bytes, "application/octet-stream")
        })
    }
}

async fn send_message(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(message): JsonBody<SendRequest>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
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
        (None, None, Some(document)) => {
            phone.sends_file(&message.to, document.into_file()?).await?
        }
        _ => {
            return Err(AdminError(
                StatusCode::BAD_REQUEST,
                "give one of text, image and document".to_owned(),
            ));
        }
    };
    Ok(Json(json!({"id": id})))
}

/// Sends a burst and answers when its last message has left.
async fn run_burst(
    State(server): SharedServer,
    JsonBody(burst): JsonBody<BurstRequest>,
) -> JsonResult {
    let sending = tokio::task::spawn_blocking(move || {
        load::send_burst(&server, &burst, |number| find_phone(&server, number).ok())
            .map(|sent| Json(json!(sent)))
    });
    let lost = |_| {
        AdminError(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the burst came to no end".to_owned(),
        )
    };
    Ok(sending.await.map_err(lost)??)
}

#[derive(Deserialize)]
struct MessagesQuery {
    after: Option<usize>,
    /// At most so many, the newest.
    last: Option<usize>,
}

async fn list_messages(
    State(server): SharedServer,
    Path(number): Path<String>,
    Query(page): Query<MessagesQuery>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    let mut messages = phone.received_since(page.after.unwrap_or(0));
    let surplus = messages
        .len()
        .saturating_sub(page.last.unwrap_or(usize::MAX));
    messages.drain(..surplus);
    Ok(Json(
        json!({"messages": messages, "failures": phone.failures()}),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptRequest {
    chat: String,
    ids: Vec<String>,
}

async fn mark_read(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(read): JsonBody<ReceiptRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.reads_messages(&read.chat, &read.ids)?;
    Ok(Json(json!({})))
}

async fn confirm_delivery(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(read): JsonBody<ReceiptRequest>,
) -> JsonResult {
    find_phone(&server, &number)?.confirms_delivery(&read.chat, &read.ids)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptPolicyRequest {
    automatic: bool,
}

async fn set_receipt_policy(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(policy): JsonBody<ReceiptPolicyRequest>,
) -> JsonResult {
    let policy = if policy.automatic {
        ReceiptPolicy::Automatic
    } else {
        ReceiptPolicy::Withheld
    };
    find_phone(&server, &number)?.sets_receipt_policy(policy);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerPolicyRequest {
    answered: bool,
}

async fn set_peer_policy(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(policy): JsonBody<PeerPolicyRequest>,
) -> JsonResult {
    let policy = if policy.answered {
        PeerRequests::Answered
    } else {
        PeerRequests::Ignored
    };
    find_phone(&server, &number)?.sets_peer_requests(policy);
    Ok(Json(json!({})))
}

async fn list_receipts(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    Ok(Json(json!(find_phone(&server, &number)?.receipts())))
}

async fn list_devices(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    Ok(Json(json!(find_phone(&server, &number)?.linked_devices())))
}

async fn log_out(
    State(server): SharedServer,
    Path((number, device)): Path<(String, u16)>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    let outcome = phone.logs_out(device).await;
    outcome.map_err(|error| AdminError(StatusCode::NOT_FOUND, error.to_string()))?;
    Ok(Json(json!({})))
}

async fn list_unknown_requests(State(server): SharedServer) -> Json<Value> {
    Json(json!(server.world.lock().unknown_requests()))
}
