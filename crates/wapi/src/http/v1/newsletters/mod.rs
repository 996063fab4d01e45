//! `/v1/sessions/{session}/newsletters`: the newsletters an account follows.

pub mod admin;
pub mod invites;
pub mod posts;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::event::Newsletter;
use crate::model::message::ChatId;
use crate::model::send_failure::SendFailure;
use crate::model::session_name::SessionName;
use crate::whatsapp::RequestError;

#[derive(Debug, Serialize)]
pub(in crate::http) struct NewsletterList {
    newsletters: Vec<Newsletter>,
}

/// `GET …/newsletters`: lists newsletters by address, querying WhatsApp each time.
pub(in crate::http) async fn list_newsletters(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<NewsletterList>, Problem> {
    query.finish()?;
    Ok(Json(NewsletterList {
        newsletters: gateway
            .sessions
            .online(&session)?
            .fetch_newsletters()
            .await?,
    }))
}

/// `GET …/newsletters/{newsletter}`: shows a newsletter, followed or not.
pub(in crate::http) async fn show_newsletter(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    query: QueryParameters,
) -> Result<Json<Newsletter>, Problem> {
    query.finish()?;
    Ok(Json(
        gateway
            .sessions
            .online(&session)?
            .fetch_newsletter(&newsletter)
            .await
            .map_err(newsletter_problem)?,
    ))
}

/// `PUT …/newsletters/{newsletter}/follow`: follows a newsletter.
pub(in crate::http) async fn follow_newsletter(
    state: State<Gateway>,
    path: NewsletterPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    set_following(state, path, query, true).await
}

/// `DELETE …/newsletters/{newsletter}/follow`: unfollows a newsletter.
pub(in crate::http) async fn unfollow_newsletter(
    state: State<Gateway>,
    path: NewsletterPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    set_following(state, path, query, false).await
}

async fn set_following(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    query: QueryParameters,
    follow: bool,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    gateway
        .sessions
        .online(&session)?
        .set_following(&newsletter, follow)
        .await
        .map_err(newsletter_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

fn newsletter_problem(error: RequestError) -> Problem {
    match error {
        error if error.is_not_found() => Problem::NoNewsletter,
        error => error.into(),
    }
}

/// The problem of a request that only admins of a newsletter may make.
fn admin_problem(error: RequestError) -> Problem {
    const FORBIDDEN: u16 = 403;
    match error {
        RequestError::Refused(FORBIDDEN) => Problem::NotSent {
            failure: SendFailure::NotNewsletterAdmin,
            detail: "the account is not an admin of the newsletter, or not its owner".to_owned(),
        },
        error => newsletter_problem(error),
    }
}

/// Session and newsletter named by a path.
pub(in crate::http) struct NewsletterPath {
    session: SessionName,
    /// The part of the address before `@newsletter`.
    newsletter: String,
}

impl NewsletterPath {
    fn parse(session: &str, newsletter: &str) -> Result<Self, Problem> {
        const WRONG: &str = "is not the address of a newsletter; use …@newsletter";
        let session = SessionName::parse(session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        match ChatId::parse(newsletter) {
            Ok(ChatId::Newsletter(newsletter)) => Ok(Self {
                session,
                newsletter,
            }),
            _ => Err(Problem::invalid_field("newsletter", WRONG)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for NewsletterPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, newsletter)) =
            Path::<(String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        Self::parse(&session, &newsletter)
    }
}
