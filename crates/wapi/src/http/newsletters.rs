//! `/v1/sessions/{session}/newsletters`: the newsletters an account follows.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::{NOT_TEXT, Named};
use super::query::Query;
use crate::event::Newsletter;
use crate::message::ChatId;
use crate::sessions::{AskError, SessionName};

#[derive(Debug, Serialize)]
pub(super) struct NewsletterList {
    newsletters: Vec<Newsletter>,
}

/// `GET …/newsletters`: lists newsletters by address, querying WhatsApp each time.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Named(session): Named,
    query: Query,
) -> Result<Json<NewsletterList>, Problem> {
    query.done()?;
    Ok(Json(NewsletterList {
        newsletters: gateway.sessions.newsletters(&session).await?,
    }))
}

/// `GET …/newsletters/{newsletter}`: shows a newsletter, followed or not.
pub(super) async fn read(
    State(gateway): State<Gateway>,
    NamedNewsletter {
        session,
        newsletter,
    }: NamedNewsletter,
    query: Query,
) -> Result<Json<Newsletter>, Problem> {
    query.done()?;
    Ok(Json(
        gateway
            .sessions
            .newsletter(&session, &newsletter)
            .await
            .map_err(unknown)?,
    ))
}

/// `PUT …/newsletters/{newsletter}/follow`: follows a newsletter.
pub(super) async fn follow(
    State(gateway): State<Gateway>,
    NamedNewsletter {
        session,
        newsletter,
    }: NamedNewsletter,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    gateway
        .sessions
        .follow(&session, &newsletter, true)
        .await
        .map_err(unknown)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE …/newsletters/{newsletter}/follow`: unfollows a newsletter.
pub(super) async fn unfollow(
    State(gateway): State<Gateway>,
    NamedNewsletter {
        session,
        newsletter,
    }: NamedNewsletter,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    gateway
        .sessions
        .follow(&session, &newsletter, false)
        .await
        .map_err(unknown)?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown(error: AskError) -> Problem {
    match error {
        AskError::NotAnswered(why) if why.is_of_nothing() => Problem::NoNewsletter,
        error => error.into(),
    }
}

/// Session and newsletter named by a path.
pub(super) struct NamedNewsletter {
    session: SessionName,
    /// The part of the address before `@newsletter`.
    newsletter: String,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedNewsletter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::field("session", NOT_TEXT);
        let Path((session, newsletter)) =
            Path::<(String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::field("session", error.to_string()))?;
        match ChatId::parse(&newsletter) {
            Ok(ChatId::Newsletter(newsletter)) => Ok(Self {
                session,
                newsletter,
            }),
            _ => Err(Problem::field(
                "newsletter",
                "is no newsletter's address; use …@newsletter",
            )),
        }
    }
}
