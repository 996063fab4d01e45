//! `POST /v1/sessions/{session}/media`: takes a file in that is to be sent later.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use multer::{Field, Multipart};

use super::MediaInfo;
use super::budget::{Budgeted, Held};
use crate::fetch::{NoFile, Whose};
use crate::http::Gateway;
use crate::http::error::{FieldError, Problem};
use crate::http::extract::{Fields, Named};
use crate::http::query::Query;
use crate::media::{File, Intake, NotTaken, Taken, types};
use crate::message;
use crate::pace::TooSlow;
use crate::sessions::SessionName;

/// The part of a form that holds the file, and the one that says which hash it must have.
const FILE: &str = "file";
const SHA256: &str = "sha256";
/// The longest name of a file, in letters.
const LONGEST_NAME: usize = 255;

/// A file that has come in, and its name.
type WithName = (File, Option<String>);

/// A form with the part `file`, streamed to the disk, or `{"link": "https://…"}`, which is fetched at once; 201 with the file's id. With
/// `sha256`, only the file that has this hash is taken.
pub async fn upload(
    State(gateway): State<Gateway>,
    Named(session): Named,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    query.done()?;
    if gateway.sessions.find(&session).is_none() {
        return Err(Problem::NoSession);
    }
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (file, name) = if kind.starts_with("multipart/form-data") {
        let boundary = multer::parse_boundary(kind).map_err(|error| Problem::Body(error.to_string()))?;
        posted(&gateway, &session, request.into_body(), boundary, gateway.media.policy().largest).await?
    } else {
        linked(&gateway, &session, Fields::from_request(request, &()).await?).await?
    };
    kept(&gateway, &session, file, name).await
}

async fn kept(gateway: &Gateway, session: &SessionName, file: File, name: Option<String>) -> Result<Response, Problem> {
    let record = gateway.media.add(session.as_str(), file, name).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "an upload cannot be kept");
        Problem::NotReady { detail: "the file cannot be kept at the moment".to_owned() }
    })?;
    Ok((StatusCode::CREATED, Json(MediaInfo::from(record))).into_response())
}

async fn linked(gateway: &Gateway, session: &SessionName, mut fields: Fields) -> Result<WithName, Problem> {
    let (link, sha256) = (fields.text("link"), fields.optional_parsed(SHA256, message::sha256));
    fields.refuse_unknown();
    let link = fields.done(link)?;
    Ok((fetched(gateway, session, &link, sha256.as_deref()).await?, None))
}

/// The file at an address, which must have this hash if one is given.
pub async fn fetched(
    gateway: &Gateway,
    session: &SessionName,
    link: &str,
    sha256: Option<&str>,
) -> Result<File, Problem> {
    match gateway.fetcher.any_file(Whose::caller(session.as_str()), link, sha256).await {
        Ok(file) => Ok(file),
        Err(NoFile::OtherHash(found)) => Err(other_hash(&found)),
        Err(NoFile::NotKept(error)) => Err(NotTaken::Disk(error).into()),
        Err(NoFile::Crowded(most)) => Err(Problem::TooManyLinks(most)),
        Err(error) => Err(Problem::field("link", error.to_string())),
    }
}

/// Reads the file, which may come without its length being known, and the hash it must have, in whatever order.
pub async fn posted(
    gateway: &Gateway,
    session: &SessionName,
    body: Body,
    boundary: String,
    largest: u64,
) -> Result<WithName, Problem> {
    let (pieces, held) = Budgeted::new(body);
    let mut form = Multipart::new(pieces, boundary);
    let (mut found, mut sha256) = (None, None);
    while let Some(mut part) = form.next_field().await.map_err(broken)? {
        match part.name().unwrap_or_default() {
            FILE if found.is_none() => {
                let (file, name) = file(gateway, &mut part, &held, largest).await?;
                found = Some((file, name));
            }
            SHA256 if sha256.is_none() => sha256 = Some(hash(&mut part).await?),
            name => {
                let why =
                    if [FILE, SHA256].contains(&name) { "is there twice" } else { "is not a field of this route" };
                let field = name.chars().take(LONGEST_NAME).collect::<String>().into();
                return Err(Problem::Fields(vec![FieldError { field, detail: why.to_owned() }]));
            }
        }
    }
    let why = "is missing: the form must have a part of this name, with the file in it";
    let ((taken, mime_type), name) = found.ok_or_else(|| Problem::field(FILE, why))?;
    match sha256 {
        Some(sha256) if sha256 != taken.sha256 => Err(other_hash(&taken.sha256)),
        _ => Ok((File::new(taken, mime_type, gateway.media.workshop().of(session.as_str())), name)),
    }
}

fn other_hash(found: &str) -> Problem {
    Problem::field(SHA256, format!("is not that of the file that came, which is {found}; send the file again"))
}

async fn hash(part: &mut Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_NAME {
            break;
        }
    }
    message::sha256(String::from_utf8_lossy(&text).trim()).map_err(|why| Problem::field(SHA256, why))
}

/// A file and its type, and its name.
async fn file(
    gateway: &Gateway,
    part: &mut Field<'_>,
    held: &Held,
    largest: u64,
) -> Result<((Taken, String), Option<String>), Problem> {
    let said = part.content_type().map(|kind| kind.essence_str().to_owned());
    let filename = part.file_name().filter(|name| !name.is_empty());
    let filename = filename.map(|name| name.chars().take(LONGEST_NAME).collect());
    let mut intake = Intake::begin(gateway.media.workshop().place(), largest).await?;
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        held.used(piece.len());
        intake.take(&piece).await?;
    }
    let (taken, head) = intake.finish().await?;
    let mime_type = types::of(&head, said.as_deref());
    Ok(((taken, mime_type), filename))
}

fn broken(error: multer::Error) -> Problem {
    if TooSlow::is_behind(&error) {
        return Problem::TooSlow;
    }
    Problem::Body(format!("it is no whole form: {error}"))
}

impl From<NotTaken> for Problem {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::TooLarge(most) => Self::TooLarge(usize::try_from(most).unwrap_or(usize::MAX)),
            NotTaken::Disk(error) => {
                tracing::error!(%error, "an upload cannot be written to the disk");
                Self::NotReady { detail: "the file cannot be written to the disk at the moment".to_owned() }
            }
        }
    }
}
