//! Files that are sent from the composer.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::composer::{lead_to_sent, quote};
use super::list::chat_address;
use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::documents::read_response;
use crate::http::dashboard::form::{ONCE_FIELD, PAGE_FIELD, SentTexts, take_once};
use crate::http::dashboard::login::forms::{FormFields, TOKEN_FIELD, json_fields};
use crate::http::dashboard::login::{DashboardVisit, check_form_token};
use crate::http::dashboard::texts::PageText;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::v1;
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
    let names = [TOKEN_FIELD, PAGE_FIELD, ONCE_FIELD, CAPTION, KIND, REPLY_TO];
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
    let headers = take_once(&mut fields);
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
    let kind = match wish.as_deref() {
        None => message_kind(&file.mime_type),
        Some(VOICE) => "audio",
        Some(wish) => wish,
    };
    let (is_voice, name) = (wish.as_deref() == Some(VOICE), file.name.clone());
    let to = path.chat.to_string();
    let message_with = |id: Value| {
        let mut file = json!({"id": id});
        // Else the chat would show a document without its name.
        if let (DOCUMENT, Some(name)) = (kind, &name) {
            file["filename"] = json!(name);
        }
        if let Some(caption) = &caption {
            file[CAPTION] = json!(caption);
        }
        if is_voice {
            file[VOICE] = json!(true);
        }
        let mut message = json!({"to": to, kind: file});
        quote(&mut message, quoted.clone());
        json_fields(message)
    };
    let request = message_with(json!(file.received_sha256()));
    let message = async {
        let record = store_upload(&gateway, &life, file).await?;
        Ok(message_with(json!(record.id)))
    };
    let (state, session) = (State(gateway.clone()), SessionPath(path.session.clone()));
    let sent = v1::messages::send_with_file(state, session, caller, headers, &request, message);
    let document = read_response(Box::pin(sent).await).await?;
    Ok(lead_to_sent(&chat_address(&path.session, &to), &document))
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
