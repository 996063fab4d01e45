//! `/v1/sessions/{session}/profile/picture`: setting and removing the account's profile picture.

use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use futures_util::StreamExt;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1::media::upload::{fetch_link, parse_boundary, read_form};
use crate::http::v1::media::{ensure_stored, find_media};
use crate::media::link_download::size_limit;
use crate::media::{MediaFile, SpoolWriter, types};
use crate::model::message::MediaKind;
use crate::model::session_name::SessionName;

/// How long to wait for a file that is still on WhatsApp's servers.
const WAIT: Duration = Duration::from_secs(30);

/// `PUT`: takes the picture as the body, as a form with the part `file`, or as JSON with its `id`
/// or `link`. The centre of the picture becomes a square JPEG.
pub async fn set_picture(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    caller: Caller,
    query: QueryParameters,
    request: Request,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let jpeg = receive_avatar(&gateway, &session, &caller, request).await?;
    gateway
        .sessions
        .online(&session)?
        .set_picture(Some(jpeg))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE`: removes the profile picture.
pub async fn remove_picture(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    gateway.sessions.online(&session)?.set_picture(None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Receives the picture of a person or a group in a request, as a square JPEG.
pub(in crate::http) async fn receive_avatar(
    gateway: &Gateway,
    session: &SessionName,
    caller: &Caller,
    request: Request,
) -> Result<Vec<u8>, Problem> {
    if gateway.sessions.find(session).is_none() {
        return Err(Problem::NoSession);
    }
    let (file, field) = receive_picture(gateway, session, caller, request).await?;
    convert_avatar(file, field).await
}

/// Makes a square JPEG of a file that was uploaded or received before.
pub(in crate::http) async fn find_avatar(
    gateway: &Gateway,
    session: &SessionName,
    caller: &Caller,
    id: &str,
    field: &'static str,
) -> Result<Vec<u8>, Problem> {
    let largest = size_limit(MediaKind::Image, gateway.media.policy().largest);
    let file = find_stored_picture(gateway, session, caller, id, largest).await?;
    convert_avatar(file, field).await
}

async fn convert_avatar(file: MediaFile, field: &'static str) -> Result<Vec<u8>, Problem> {
    const UNREADABLE: &str =
        "is not a readable picture; JPEG, PNG, WebP, and GIF of at most 128 MiB unpacked are";
    let file = file
        .into_displayable()
        .await
        .map_err(|error| Problem::invalid_field(field, error.to_string()))?;
    file.to_avatar()
        .await
        .ok_or_else(|| Problem::invalid_field(field, UNREADABLE))
}

/// Returns the file, and the field name to use in errors about it.
async fn receive_picture(
    gateway: &Gateway,
    session: &SessionName,
    caller: &Caller,
    request: Request,
) -> Result<(MediaFile, &'static str), Problem> {
    let largest = size_limit(MediaKind::Image, gateway.media.policy().largest);
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if let Some(boundary) = parse_boundary(kind)? {
        return Ok((
            read_form(gateway, session, request.into_body(), boundary, largest).await?,
            "file",
        ));
    }
    let kind = types::type_essence(kind);
    if kind.starts_with("image/") || kind == "application/octet-stream" {
        return Ok((
            read_picture_body(gateway, session, request, largest).await?,
            "body",
        ));
    }
    let mut fields = JsonFields::from_request(request, &()).await?;
    if fields.has_value("id") == fields.has_value("link") {
        fields.ignore_field("link");
        fields.refuse_field(
            "id",
            "give one of id and link, or the picture itself as image/jpeg or image/png",
        );
    }
    let (id, link) = (fields.optional_text("id"), fields.optional_text("link"));
    fields.refuse_unknown();
    match fields.finish(id.map(Ok).or(link.map(Err)))? {
        Ok(id) => Ok((
            find_stored_picture(gateway, session, caller, &id, largest).await?,
            "id",
        )),
        Err(link) => Ok((fetch_link(gateway, session, &link, None).await?, "link")),
    }
}

/// Reads a body that is the picture itself.
async fn read_picture_body(
    gateway: &Gateway,
    session: &SessionName,
    request: Request,
    largest: u64,
) -> Result<MediaFile, Problem> {
    let mut intake =
        SpoolWriter::create(gateway.media.conversion_pool().reserve_file(), largest).await?;
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::from_body_error(&error))?;
        intake.write_piece(&piece).await?;
    }
    let (taken, head) = intake.finish().await?;
    Ok(gateway
        .media
        .conversion_pool()
        .for_session(session.as_str())
        .identify_file(taken, &head, None, None)
        .await)
}

/// Finds a file of this session, uploaded or received.
async fn find_stored_picture(
    gateway: &Gateway,
    session: &SessionName,
    caller: &Caller,
    id: &str,
    largest: u64,
) -> Result<MediaFile, Problem> {
    let record = find_media(gateway, caller, id).await?;
    if record.session.name() != session.as_str() {
        return Err(Problem::NoMedia);
    }
    let record = ensure_stored(gateway, record, WAIT).await?;
    if record.facts.size.is_some_and(|size| size > largest) {
        return Err(Problem::invalid_field("id", "is too large for a picture"));
    }
    gateway.media.open_file(&record).await.map_err(|error| {
        tracing::error!(%error, id, "failed to read a file");
        Problem::NotReady {
            detail: "the file cannot be read at the moment".to_owned(),
        }
    })
}
