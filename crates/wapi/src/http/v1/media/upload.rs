//! `POST /v1/sessions/{session}/media`: uploading a file for a later message.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use multer::{Field, Multipart};

use super::MediaDocument;
use super::form_budget::{BudgetedBody, HeldBytes};
use crate::http::Gateway;
use crate::http::error::{FieldError, Problem};
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::media::filename::{self, ContentDisposition};
use crate::media::link_download::{FetchError, FetchRequester};
use crate::media::types::type_essence;
use crate::media::{MediaFile, ReceivedFile, SpoolError, SpoolWriter};
use crate::model::message;
use crate::model::session_name::SessionName;
use crate::net::pace::TooSlowError;
use crate::store::{Life, MediaRecord};

/// Form fields: the file, and its expected SHA-256 hash.
const FILE: &str = "file";
const SHA256: &str = "sha256";
/// Maximum length, in bytes, of the form's `sha256` field, and in characters of a field name
/// repeated in an error.
const LONGEST_NAME: usize = 255;
/// Maximum length of any other text, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// `POST …/media`: takes a form with the part `file`, streamed to disk, or `{"link": "https://…"}`,
/// which is downloaded at once. With `sha256`, a file with another hash is refused. Returns 201
/// with the file's id.
pub async fn upload_media(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
    request: Request,
) -> Result<Response, Problem> {
    query.finish()?;
    let life = gateway.current_life(&session)?;
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let file = match parse_boundary(kind)? {
        Some(boundary) => {
            read_form(
                &gateway,
                &session,
                request.into_body(),
                boundary,
                gateway.media.policy().largest,
            )
            .await?
        }
        None => {
            fetch_json_link(
                &gateway,
                &session,
                JsonFields::from_request(request, &()).await?,
            )
            .await?
        }
    };
    let record = store_upload(&gateway, &life, file).await?;
    Ok((StatusCode::CREATED, Json(MediaDocument::from(record))).into_response())
}

/// Returns the boundary of a multipart form; `None` if the content type is not a form's.
pub fn parse_boundary(content_type: &str) -> Result<Option<String>, Problem> {
    if type_essence(content_type) != "multipart/form-data" {
        return Ok(None);
    }
    let boundary = filename::parse_parameters(content_type)
        .into_iter()
        .find(|(name, _)| name == "boundary");
    let boundary = boundary
        .map(|(_, boundary)| boundary)
        .filter(|boundary| (1..=200).contains(&boundary.len()));
    let missing = || {
        Problem::InvalidBody(
            "its Content-Type says multipart/form-data without a boundary".to_owned(),
        )
    };
    boundary.map(Some).ok_or_else(missing)
}

/// Stores an uploaded file for a later message.
pub async fn store_upload(
    gateway: &Gateway,
    life: &Life,
    file: MediaFile,
) -> Result<MediaRecord, Problem> {
    gateway.media.add_upload(life, file).await.map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "failed to store an upload");
        Problem::NotReady {
            detail: "the file cannot be stored at the moment".to_owned(),
        }
    })
}

async fn fetch_json_link(
    gateway: &Gateway,
    session: &SessionName,
    mut fields: JsonFields,
) -> Result<MediaFile, Problem> {
    let (link, sha256) = (
        fields.required_text("link"),
        fields.parse_optional(SHA256, message::parse_sha256),
    );
    fields.refuse_unknown();
    let link = fields.finish(link)?;
    fetch_link(gateway, session, &link, sha256.as_deref()).await
}

/// Downloads the file at a link, checking its hash if one is given.
pub async fn fetch_link(
    gateway: &Gateway,
    session: &SessionName,
    link: &str,
    sha256: Option<&str>,
) -> Result<MediaFile, Problem> {
    match gateway
        .fetcher
        .fetch_any_file(FetchRequester::for_caller(session.as_str()), link, sha256)
        .await
    {
        Ok(file) => Ok(file),
        Err(FetchError::OtherHash(found)) => Err(hash_problem(&found)),
        Err(FetchError::Disk(error)) => Err(SpoolError::Disk(error).into()),
        Err(FetchError::QueueFull(limit)) => Err(Problem::TooManyLinks(limit)),
        Err(error) => Err(Problem::invalid_field("link", error.to_string())),
    }
}

/// Reads a form's file, whose length need not be known, and its expected hash, in either order.
pub async fn read_form(
    gateway: &Gateway,
    session: &SessionName,
    body: Body,
    boundary: String,
    largest: u64,
) -> Result<MediaFile, Problem> {
    let form = read_form_with_texts(gateway, session, body, boundary, largest, &[]);
    form.await.map(|(file, _)| file)
}

/// The same for a form that may also have texts of these names.
pub async fn read_form_with_texts(
    gateway: &Gateway,
    session: &SessionName,
    body: Body,
    boundary: String,
    largest: u64,
    names: &[&'static str],
) -> Result<(MediaFile, BTreeMap<&'static str, String>), Problem> {
    let (pieces, held) = BudgetedBody::new(body);
    let mut form = Multipart::new(pieces, boundary);
    let (mut found, mut sha256, mut texts) = (None, None, BTreeMap::new());
    while let Some(mut part) = form.next_field().await.map_err(form_problem)? {
        let disposition = part
            .headers()
            .get(header::CONTENT_DISPOSITION)
            .map(|value| ContentDisposition::parse(value.as_bytes()));
        let ContentDisposition { name, filename } = disposition.unwrap_or_default();
        match name.as_deref().unwrap_or_default() {
            FILE if found.is_none() => {
                found = Some(read_file_part(gateway, &mut part, &held, filename, largest).await?)
            }
            SHA256 if sha256.is_none() => sha256 = Some(read_hash(&mut part).await?),
            name if names.contains(&name) && !texts.contains_key(name) => {
                let known = names.iter().find(|known| **known == name);
                let text = read_text(&mut part, LONGEST_TEXT).await?;
                texts.extend(known.map(|known| (*known, text)));
            }
            name => {
                let why = if [FILE, SHA256].contains(&name) {
                    "is given twice"
                } else {
                    "is not a field of this route"
                };
                let field = name.chars().take(LONGEST_NAME).collect::<String>().into();
                return Err(Problem::InvalidFields(vec![FieldError {
                    field,
                    detail: why.to_owned(),
                }]));
            }
        }
    }
    let why = "is missing: the form must have a part of this name that contains the file";
    let PostedFile {
        taken,
        head,
        filename,
        declared_type,
    } = found.ok_or_else(|| Problem::invalid_field(FILE, why))?;
    match sha256 {
        Some(sha256) if sha256 != taken.sha256 => Err(hash_problem(&taken.sha256)),
        _ => {
            let pool = gateway
                .media
                .conversion_pool()
                .for_session(session.as_str());
            let file = pool
                .identify_file(taken, &head, filename, declared_type.as_deref())
                .await;
            Ok((file, texts))
        }
    }
}

fn hash_problem(found: &str) -> Problem {
    Problem::invalid_field(
        SHA256,
        format!("does not match the uploaded file, whose hash is {found}; send the file again"),
    )
}

async fn read_hash(part: &mut Field<'_>) -> Result<String, Problem> {
    let text = read_text(part, LONGEST_NAME).await?;
    message::parse_sha256(text.trim()).map_err(|why| Problem::invalid_field(SHA256, why))
}

/// Reads a text, or its beginning if it is longer than `limit` bytes.
async fn read_text(part: &mut Field<'_>, limit: usize) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(form_problem)? {
        text.extend_from_slice(&piece);
        if text.len() > limit {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// An uploaded file with the name and type that the form gives.
struct PostedFile {
    taken: ReceivedFile,
    /// The file's first bytes.
    head: Vec<u8>,
    filename: Option<String>,
    declared_type: Option<String>,
}

async fn read_file_part(
    gateway: &Gateway,
    part: &mut Field<'_>,
    held: &HeldBytes,
    filename: Option<String>,
    largest: u64,
) -> Result<PostedFile, Problem> {
    let declared_type = part
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .map(str::to_owned);
    let mut intake =
        SpoolWriter::create(gateway.media.conversion_pool().reserve_file(), largest).await?;
    while let Some(piece) = part.chunk().await.map_err(form_problem)? {
        held.mark_consumed(piece.len());
        intake.write_piece(&piece).await?;
    }
    let (taken, head) = intake.finish().await?;
    Ok(PostedFile {
        taken,
        head,
        filename,
        declared_type,
    })
}

fn form_problem(error: multer::Error) -> Problem {
    if TooSlowError::is_cause_of(&error) {
        return Problem::BodyTooSlow;
    }
    // The underlying error says more than that of the form reader.
    let cause =
        std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
    Problem::InvalidBody(match cause {
        Some(cause) => format!("it is not a complete form: {error}: {cause}"),
        None => format!("it is not a complete form: {error}"),
    })
}

impl From<SpoolError> for Problem {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::TooLarge(limit) => {
                Self::BodyTooLarge(usize::try_from(limit).unwrap_or(usize::MAX))
            }
            SpoolError::Disk(error) => {
                tracing::error!(%error, "failed to write an upload to the disk");
                Self::NotReady {
                    detail: "the file cannot be written to the disk at the moment".to_owned(),
                }
            }
        }
    }
}
