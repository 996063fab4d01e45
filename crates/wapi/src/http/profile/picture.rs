//! `/v1/sessions/{session}/profile/picture`: setting and removing the account's profile picture.

use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use futures_util::StreamExt;

use crate::fetch::most;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::extract::{Fields, Named};
use crate::http::media::upload::{boundary, fetched, posted};
use crate::http::media::{find, here};
use crate::http::query::Query;
use crate::keys::Caller;
use crate::media::{File, Intake, types};
use crate::message::MediaKind;
use crate::sessions::SessionName;

/// How long to wait for a file that is still on WhatsApp's servers.
const WAIT: Duration = Duration::from_secs(30);

/// `PUT`: takes the picture as the body, as a form with the part `file`, or as JSON with its `id`
/// or `link`. The centre of the picture becomes a square JPEG.
pub async fn set(
    State(gateway): State<Gateway>,
    Named(session): Named,
    caller: Caller,
    query: Query,
    request: Request,
) -> Result<StatusCode, Problem> {
    const UNREADABLE: &str = "is not a picture that can be read; JPEG, PNG, WebP and GIF are, that take at most 128 MiB unpacked";
    query.done()?;
    if gateway.sessions.find(&session).is_none() {
        return Err(Problem::NoSession);
    }
    let (file, field) = taken(&gateway, &session, &caller, request).await?;
    let file = file
        .into_shown()
        .await
        .map_err(|error| Problem::field(field, error.to_string()))?;
    let jpeg = file
        .as_portrait()
        .await
        .ok_or_else(|| Problem::field(field, UNREADABLE))?;
    gateway.sessions.set_picture(&session, Some(jpeg)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE`: removes the profile picture.
pub async fn remove(
    State(gateway): State<Gateway>,
    Named(session): Named,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    gateway.sessions.set_picture(&session, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the file, and the field name to use in errors about it.
async fn taken(
    gateway: &Gateway,
    session: &SessionName,
    caller: &Caller,
    request: Request,
) -> Result<(File, &'static str), Problem> {
    let largest = most(MediaKind::Image, gateway.media.policy().largest);
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if let Some(boundary) = boundary(kind)? {
        return Ok((
            posted(gateway, session, request.into_body(), boundary, largest).await?,
            "file",
        ));
    }
    let kind = types::essence(kind);
    if kind.starts_with("image/") || kind == "application/octet-stream" {
        return Ok((sent(gateway, session, request, largest).await?, "body"));
    }
    let mut fields = Fields::from_request(request, &()).await?;
    if fields.has("id") == fields.has("link") {
        fields.ignore("link");
        fields.refuse(
            "id",
            "give one of id and link, or the picture itself as image/jpeg or image/png",
        );
    }
    let (id, link) = (fields.optional_text("id"), fields.optional_text("link"));
    fields.refuse_unknown();
    match fields.done(id.map(Ok).or(link.map(Err)))? {
        Ok(id) => Ok((stored(gateway, session, caller, &id, largest).await?, "id")),
        Err(link) => Ok((fetched(gateway, session, &link, None).await?, "link")),
    }
}

/// Reads a body that is the picture itself.
async fn sent(
    gateway: &Gateway,
    session: &SessionName,
    request: Request,
    largest: u64,
) -> Result<File, Problem> {
    let mut intake = Intake::begin(gateway.media.workshop().place(), largest).await?;
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::broken_off(&error))?;
        intake.take(&piece).await?;
    }
    let (taken, head) = intake.finish().await?;
    Ok(gateway
        .media
        .workshop()
        .of(session.as_str())
        .file(taken, &head, None, None)
        .await)
}

/// Finds a file of this session, uploaded or received.
async fn stored(
    gateway: &Gateway,
    session: &SessionName,
    caller: &Caller,
    id: &str,
    largest: u64,
) -> Result<File, Problem> {
    let record = find(gateway, caller, id).await?;
    if record.session.name() != session.as_str() {
        return Err(Problem::NoMedia);
    }
    let record = here(gateway, record, WAIT).await?;
    if record.facts.size.is_some_and(|size| size > largest) {
        return Err(Problem::field("id", "is too large for a picture"));
    }
    gateway.media.file(&record).await.map_err(|error| {
        tracing::error!(%error, id, "a file cannot be read");
        Problem::NotReady {
            detail: "the file cannot be read at the moment".to_owned(),
        }
    })
}
