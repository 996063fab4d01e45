//! `POST /v1/sessions/{session}/media`: uploading a file for a later message.

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
use crate::media::filename::{self, Disposition};
use crate::media::types::essence;
use crate::media::{File, Intake, NotTaken, Taken};
use crate::message;
use crate::pace::TooSlow;
use crate::sessions::SessionName;
use crate::store::Life;

/// Form fields: the file, and its expected SHA-256 hash.
const FILE: &str = "file";
const SHA256: &str = "sha256";
/// Maximum length, in bytes, of the form's `sha256` field, and in characters of a field name
/// repeated in an error.
const LONGEST_NAME: usize = 255;

/// `POST …/media`: takes a form with the part `file`, streamed to disk, or `{"link": "https://…"}`,
/// which is downloaded at once. With `sha256`, a file with another hash is refused. Returns 201
/// with the file's id.
pub async fn upload(
    State(gateway): State<Gateway>,
    Named(session): Named,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    query.done()?;
    let life = gateway.life(&session)?;
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let file = match boundary(kind)? {
        Some(boundary) => {
            posted(
                &gateway,
                &session,
                request.into_body(),
                boundary,
                gateway.media.policy().largest,
            )
            .await?
        }
        None => {
            linked(
                &gateway,
                &session,
                Fields::from_request(request, &()).await?,
            )
            .await?
        }
    };
    kept(&gateway, &life, file).await
}

/// Returns the boundary of a multipart form; `None` if the content type is not a form's.
pub fn boundary(content_type: &str) -> Result<Option<String>, Problem> {
    if essence(content_type) != "multipart/form-data" {
        return Ok(None);
    }
    let boundary = filename::parameters(content_type)
        .into_iter()
        .find(|(name, _)| name == "boundary");
    let boundary = boundary
        .map(|(_, boundary)| boundary)
        .filter(|boundary| (1..=200).contains(&boundary.len()));
    let missing =
        || Problem::Body("its Content-Type says multipart/form-data without a boundary".to_owned());
    boundary.map(Some).ok_or_else(missing)
}

async fn kept(gateway: &Gateway, life: &Life, file: File) -> Result<Response, Problem> {
    let record = gateway.media.add(life, file).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "an upload cannot be kept");
        Problem::NotReady {
            detail: "the file cannot be kept at the moment".to_owned(),
        }
    })?;
    Ok((StatusCode::CREATED, Json(MediaInfo::from(record))).into_response())
}

async fn linked(
    gateway: &Gateway,
    session: &SessionName,
    mut fields: Fields,
) -> Result<File, Problem> {
    let (link, sha256) = (
        fields.text("link"),
        fields.optional_parsed(SHA256, message::sha256),
    );
    fields.refuse_unknown();
    let link = fields.done(link)?;
    fetched(gateway, session, &link, sha256.as_deref()).await
}

/// Downloads the file at a link, checking its hash if one is given.
pub async fn fetched(
    gateway: &Gateway,
    session: &SessionName,
    link: &str,
    sha256: Option<&str>,
) -> Result<File, Problem> {
    match gateway
        .fetcher
        .any_file(Whose::caller(session.as_str()), link, sha256)
        .await
    {
        Ok(file) => Ok(file),
        Err(NoFile::OtherHash(found)) => Err(other_hash(&found)),
        Err(NoFile::NotKept(error)) => Err(NotTaken::Disk(error).into()),
        Err(NoFile::Crowded(most)) => Err(Problem::TooManyLinks(most)),
        Err(error) => Err(Problem::field("link", error.to_string())),
    }
}

/// Reads a form's file, whose length need not be known, and its expected hash, in either order.
pub async fn posted(
    gateway: &Gateway,
    session: &SessionName,
    body: Body,
    boundary: String,
    largest: u64,
) -> Result<File, Problem> {
    let (pieces, held) = Budgeted::new(body);
    let mut form = Multipart::new(pieces, boundary);
    let (mut found, mut sha256) = (None, None);
    while let Some(mut part) = form.next_field().await.map_err(broken)? {
        let disposition = part
            .headers()
            .get(header::CONTENT_DISPOSITION)
            .map(|value| Disposition::read(value.as_bytes()));
        let Disposition { name, filename } = disposition.unwrap_or_default();
        match name.as_deref().unwrap_or_default() {
            FILE if found.is_none() => {
                found = Some(file(gateway, &mut part, &held, filename, largest).await?)
            }
            SHA256 if sha256.is_none() => sha256 = Some(hash(&mut part).await?),
            name => {
                let why = if [FILE, SHA256].contains(&name) {
                    "is there twice"
                } else {
                    "is not a field of this route"
                };
                let field = name.chars().take(LONGEST_NAME).collect::<String>().into();
                return Err(Problem::Fields(vec![FieldError {
                    field,
                    detail: why.to_owned(),
                }]));
            }
        }
    }
    let why = "is missing: the form must have a part of this name, with the file in it";
    let Posted {
        taken,
        head,
        filename,
        said,
    } = found.ok_or_else(|| Problem::field(FILE, why))?;
    match sha256 {
        Some(sha256) if sha256 != taken.sha256 => Err(other_hash(&taken.sha256)),
        _ => {
            let workshop = gateway.media.workshop().of(session.as_str());
            Ok(workshop.file(taken, &head, filename, said.as_deref()).await)
        }
    }
}

fn other_hash(found: &str) -> Problem {
    Problem::field(
        SHA256,
        format!("is not that of the file that came, which is {found}; send the file again"),
    )
}

async fn hash(part: &mut Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_NAME {
            break;
        }
    }
    message::sha256(String::from_utf8_lossy(&text).trim())
        .map_err(|why| Problem::field(SHA256, why))
}

/// An uploaded file with the name and type that the form gives.
struct Posted {
    taken: Taken,
    /// The file's first bytes.
    head: Vec<u8>,
    filename: Option<String>,
    said: Option<String>,
}

async fn file(
    gateway: &Gateway,
    part: &mut Field<'_>,
    held: &Held,
    filename: Option<String>,
    largest: u64,
) -> Result<Posted, Problem> {
    let said = part
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .map(str::to_owned);
    let mut intake = Intake::begin(gateway.media.workshop().place(), largest).await?;
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        held.used(piece.len());
        intake.take(&piece).await?;
    }
    let (taken, head) = intake.finish().await?;
    Ok(Posted {
        taken,
        head,
        filename,
        said,
    })
}

fn broken(error: multer::Error) -> Problem {
    if TooSlow::is_behind(&error) {
        return Problem::TooSlow;
    }
    // The underlying error says more than that of the form reader.
    let cause =
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    Problem::Body(match cause {
        Some(cause) => format!("it is no whole form: {error}: {cause}"),
        None => format!("it is no whole form: {error}"),
    })
}

impl From<NotTaken> for Problem {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::TooLarge(most) => Self::TooLarge(usize::try_from(most).unwrap_or(usize::MAX)),
            NotTaken::Disk(error) => {
                tracing::error!(%error, "an upload cannot be written to the disk");
                Self::NotReady {
                    detail: "the file cannot be written to the disk at the moment".to_owned(),
                }
            }
        }
    }
}
