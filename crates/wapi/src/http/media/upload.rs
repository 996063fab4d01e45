//! `POST /v1/sessions/{session}/media`: takes a file in that is to be sent later.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use multer::Multipart;

use super::MediaInfo;
use crate::fetch::NoFile;
use crate::http::Gateway;
use crate::http::error::{FieldError, Problem};
use crate::http::extract::{Fields, Named};
use crate::http::query::Query;
use crate::media::{File, Intake, NotTaken, types};
use crate::sessions::SessionName;

/// The part of a form that holds the file.
const FILE: &str = "file";
/// The longest name of a file, in letters.
const LONGEST_NAME: usize = 255;

/// A file that has come in, and its name.
type WithName = (File, Option<String>);

/// A form with the part `file`, streamed to the disk, or `{"link": "https://…"}`, which is fetched at once; 201 with the file's id.
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
        posted(&gateway, Multipart::new(request.into_body().into_data_stream(), boundary)).await?
    } else {
        linked(&gateway, Fields::from_request(request, &()).await?).await?
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

async fn linked(gateway: &Gateway, mut fields: Fields) -> Result<WithName, Problem> {
    let link = fields.text("link");
    fields.refuse_unknown();
    let link = fields.done(link)?;
    match gateway.fetcher.any_file(&link).await {
        Ok(file) => Ok((file, None)),
        Err(NoFile::NotKept(error)) => Err(NotTaken::Disk(error).into()),
        Err(error) => Err(Problem::field("link", error.to_string())),
    }
}

/// Reads the one part there is; it may come without its length being known.
async fn posted(gateway: &Gateway, mut form: Multipart<'_>) -> Result<WithName, Problem> {
    let mut found = None;
    while let Some(mut part) = form.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name != FILE || found.is_some() {
            let why = if name == FILE { "is there twice" } else { "is not a field of this route" };
            let field = name.chars().take(LONGEST_NAME).collect::<String>().into();
            return Err(Problem::Fields(vec![FieldError { field, detail: why.to_owned() }]));
        }
        let said = part.content_type().map(|kind| kind.essence_str().to_owned());
        let filename = part.file_name().filter(|name| !name.is_empty());
        let filename = filename.map(|name| name.chars().take(LONGEST_NAME).collect());
        let mut intake = Intake::begin(gateway.media.workshop().place(), gateway.media.policy().largest).await?;
        while let Some(piece) = part.chunk().await.map_err(broken)? {
            intake.take(&piece).await?;
        }
        let (taken, head) = intake.finish().await?;
        let mime_type = types::of(&head, said.as_deref());
        found = Some((File::new(taken, mime_type, gateway.media.workshop().clone()), filename));
    }
    found.ok_or_else(|| Problem::field(FILE, "is missing: the form must have a part of this name, with the file in it"))
}

fn broken(error: multer::Error) -> Problem {
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
