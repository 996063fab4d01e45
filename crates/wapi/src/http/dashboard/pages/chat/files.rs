//! Files that are sent from the composer.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::composer::{quote, send_message};
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::form::{PAGE_FIELD, SentTexts};
use crate::http::dashboard::login::forms::{FormFields, TOKEN_FIELD};
use crate::http::dashboard::login::{DashboardVisit, check_form_token};
use crate::http::dashboard::texts::PageText;
use crate::http::error::Problem;
use crate::http::v1::chats::ChatPath;
use crate::http::v1::media::upload::{parse_boundary, read_form_with_texts, store_upload};
use crate::media::MediaFile;
use crate::store::Life;

const CAPTION: &str = "caption";
const DOCUMENT: &str = "document";
const KIND: &str = "kind";
const REPLY_TO: &str = "reply_to";

/// Kinds that a file may be sent as, whatever its type.
pub const FILE_KINDS: [(&str, PageText); 6] = [
    ("image", texts::PICTURE),
    ("video", texts::VIDEO),
    ("audio", texts::AUDIO),
    (VOICE, texts::VOICE_NOTE),
    (DOCUMENT, texts::DOCUMENT),
    ("sticker", texts::STICKER),
];
/// An audio file that is shown as a voice note.
const VOICE: &str = "voice";

/// `POST …/file`: uploads a file, and sends it as the kind of message that its type suggests.
pub async fn send_file(
    State(gateway): State<Gateway>,
    path: ChatPath,
    caller: Caller,
    Extension(reader): Extension<DashboardVisit>,
    request: Request,
) -> Result<Response, Problem> {
    let life = gateway.current_life(&path.session)?;
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let boundary = parse_boundary(kind)?.ok_or(Problem::StaleForm)?;
    let largest = gateway.media.policy().largest;
    let names = [TOKEN_FIELD, PAGE_FIELD, CAPTION, KIND, REPLY_TO];
    let body = request.into_body();
    let form = read_form_with_texts(&gateway, &path.session, body, boundary, largest, &names);
    // Two routes in one: the futures of both would be large together.
    let (file, mut texts) = Box::pin(form).await?;
    let token = texts.remove(TOKEN_FIELD).unwrap_or_default();
    check_form_token(&reader.form_token, &token)?;
    let fields: FormFields = texts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect();
    let sent = send_upload(gateway, path, caller, life, file, fields.clone());
    Ok(match Box::pin(sent).await {
        Ok(sent) => sent,
        Err(problem) => {
            let mut answer = problem.into_response();
            answer.extensions_mut().insert(SentTexts(fields));
            answer
        }
    })
}

/// Saves a file, and sends it with the texts of its form.
async fn send_upload(
    gateway: Gateway,
    path: ChatPath,
    caller: Caller,
    life: Life,
    file: MediaFile,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let (caption, wish, quoted) = (
        fields.take(CAPTION),
        fields.take(KIND),
        fields.take(REPLY_TO),
    );
    if let Some(wish) = &wish
        && !FILE_KINDS.iter().any(|(kind, _)| kind == wish)
    {
        return Err(Problem::invalid_field(KIND, "is not a kind of file"));
    }
    let record = store_upload(&gateway, &life, file).await?;
    let suggested = message_kind(record.facts.mime_type.as_deref().unwrap_or_default());
    let is_voice = wish.as_deref() == Some(VOICE);
    let kind = match wish.as_deref() {
        None => suggested,
        Some(VOICE) => "audio",
        Some(wish) => wish,
    };
    let mut file = json!({"id": record.id});
    // Else the chat would show a document without its name.
    if let (DOCUMENT, Some(name)) = (kind, &record.facts.filename) {
        file["filename"] = json!(name);
    }
    if let Some(caption) = caption {
        file[CAPTION] = json!(caption);
    }
    if is_voice {
        file[VOICE] = json!(true);
    }
    let mut message = json!({kind: file});
    quote(&mut message, quoted);
    send_message(State(gateway), path, caller, HeaderMap::new(), message).await
}

/// Returns the kind of message that suits a file of this type.
fn message_kind(mime_type: &str) -> &'static str {
    match mime_type.split('/').next() {
        Some("image") if mime_type != "image/svg+xml" => "image",
        Some("video") => "video",
        Some("audio") => "audio",
        _ => DOCUMENT,
    }
}
