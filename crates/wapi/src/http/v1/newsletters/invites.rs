//! `/v1/sessions/{session}/newsletters/{newsletter}/invites`: invitations to become an admin of a
//! newsletter; and its statistics, which only admins see.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::admin::NewsletterAdminPath;
use super::{NewsletterPath, admin_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::account::newsletter_insights::NewsletterInsights;
use crate::model::event::{Newsletter, Person};
use crate::whatsapp::RequestError;

/// People who are invited to be admins and have not answered.
#[derive(Debug, Serialize)]
pub(in crate::http) struct InviteList {
    invites: Vec<Person>,
}

/// An invitation that WhatsApp has accepted.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CreatedInvite {
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    expires_at: Option<Timestamp>,
}

/// `GET …/newsletters/{newsletter}/invites`: lists the people who are invited to be admins.
pub(in crate::http) async fn list_invites(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    query: QueryParameters,
) -> Result<Json<InviteList>, Problem> {
    query.finish()?;
    let invites = gateway
        .sessions
        .online(&session)?
        .fetch_newsletter_invites(&newsletter)
        .await
        .map_err(admin_problem)?;
    Ok(Json(InviteList { invites }))
}

/// `PUT …/newsletters/{newsletter}/invites/{contact}`: invites a person to be an admin.
pub(in crate::http) async fn invite_admin(
    State(gateway): State<Gateway>,
    NewsletterAdminPath {
        newsletter: NewsletterPath {
            session,
            newsletter,
        },
        contact,
    }: NewsletterAdminPath,
) -> Result<Json<CreatedInvite>, Problem> {
    let expires_at = gateway
        .sessions
        .online(&session)?
        .invite_newsletter_admin(&newsletter, &contact)
        .await
        .map_err(admin_problem)?;
    Ok(Json(CreatedInvite { expires_at }))
}

/// `DELETE …/newsletters/{newsletter}/invites/{contact}`: revokes an invitation.
pub(in crate::http) async fn revoke_invite(
    State(gateway): State<Gateway>,
    NewsletterAdminPath {
        newsletter: NewsletterPath {
            session,
            newsletter,
        },
        contact,
    }: NewsletterAdminPath,
) -> Result<StatusCode, Problem> {
    gateway
        .sessions
        .online(&session)?
        .revoke_newsletter_invite(&newsletter, &contact)
        .await
        .map_err(|error| match error {
            error if error.is_not_found() => Problem::NoInvite,
            error => admin_problem(error),
        })?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/newsletters/{newsletter}/invites/accept`: accepts the invitation of the account.
pub(in crate::http) async fn accept_invite(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
) -> Result<Json<Newsletter>, Problem> {
    const FORBIDDEN: u16 = 403;
    let accepted = gateway
        .sessions
        .online(&session)?
        .accept_newsletter_invite(&newsletter)
        .await
        .map_err(|error| match error {
            RequestError::Refused(FORBIDDEN) => Problem::NoInvite,
            error if error.is_not_found() => Problem::NoInvite,
            error => error.into(),
        })?;
    Ok(Json(accepted))
}

/// `GET …/newsletters/{newsletter}/insights`: shows WhatsApp's statistics of an own newsletter.
pub(in crate::http) async fn show_insights(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    query: QueryParameters,
) -> Result<Json<NewsletterInsights>, Problem> {
    query.finish()?;
    let insights = gateway
        .sessions
        .online(&session)?
        .fetch_newsletter_insights(&newsletter)
        .await
        .map_err(admin_problem)?;
    Ok(Json(insights))
}
