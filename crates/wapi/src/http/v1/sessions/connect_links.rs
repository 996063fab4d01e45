//! `/v1/sessions/{session}/connect-links`: links with which the owner of a phone links the session.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::connect_page::hash_token;
use crate::http::error::Problem;
use crate::http::request::extract::{OptionalJson, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::ids;
use crate::model::session_name::SessionName;
use crate::store::{ConnectLink, StoreError};

/// The time for which a link is valid, in seconds.
const DEFAULT_VALIDITY: u64 = 3600;
const VALIDITY: std::ops::RangeInclusive<u64> = 60..=7 * 24 * 3600;

/// A link, without its token.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ConnectLinkInfo {
    id: String,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    expires_at: Timestamp,
    /// When a phone linked the session, which ended the link.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    used_at: Option<Timestamp>,
}

impl From<ConnectLink> for ConnectLinkInfo {
    fn from(link: ConnectLink) -> Self {
        Self {
            id: link.id,
            created_at: link.created_at,
            expires_at: link.expires_at,
            used_at: link.used_at,
        }
    }
}

/// A newly created link.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CreatedConnectLink {
    #[serde(flatten)]
    info: ConnectLinkInfo,
    /// Path of its page on this gateway. Shown only in this answer.
    path: String,
}

/// All links of a session, oldest first.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ConnectLinkList {
    connect_links: Vec<ConnectLinkInfo>,
}

fn store_problem(error: StoreError) -> Problem {
    Problem::NotReady {
        detail: error.to_string(),
    }
}

/// `GET /v1/sessions/{session}/connect-links`: lists the links of the session.
pub(in crate::http) async fn list_connect_links(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    query: QueryParameters,
) -> Result<Json<ConnectLinkList>, Problem> {
    query.finish()?;
    gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let links = gateway
        .store
        .connect_links()
        .list_connect_links(name.as_str())
        .await
        .map_err(store_problem)?;
    Ok(Json(ConnectLinkList {
        connect_links: links.into_iter().map(ConnectLinkInfo::from).collect(),
    }))
}

/// `POST /v1/sessions/{session}/connect-links` `{expires_in?}`: creates a link. Returns 201 with the
/// path of its page.
pub(in crate::http) async fn create_connect_link(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    OptionalJson(mut fields): OptionalJson,
) -> Result<
    (
        StatusCode,
        [(HeaderName, &'static str); 1],
        Json<CreatedConnectLink>,
    ),
    Problem,
> {
    let validity = fields
        .optional_number("expires_in", VALIDITY)
        .unwrap_or(DEFAULT_VALIDITY);
    fields.refuse_unknown();
    let validity = Duration::from_secs(fields.finish(Some(validity))?);
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    if session.state().paired {
        return Err(Problem::AlreadyPaired);
    }
    let (created_at, token) = (gateway.clock.now(), ids::new_connect_token());
    let link = ConnectLink {
        id: ids::new_connect_link_id(),
        session: name.as_str().to_owned(),
        created_at,
        expires_at: created_at
            .saturating_add(validity)
            .unwrap_or(Timestamp::MAX),
        used_at: None,
    };
    gateway
        .store
        .connect_links()
        .add_connect_link(link.clone(), hash_token(&token))
        .await
        .map_err(store_problem)?;
    let created = CreatedConnectLink {
        info: link.into(),
        path: format!("/connect/{token}"),
    };
    let head = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, head, Json(created)))
}

/// `DELETE /v1/sessions/{session}/connect-links/{id}`: revokes a link; 204.
pub(in crate::http) async fn remove_connect_link(
    State(gateway): State<Gateway>,
    Path((session, id)): Path<(String, String)>,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let name = SessionName::parse(&session)
        .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
    gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let removed = gateway
        .store
        .connect_links()
        .remove_connect_link(name.as_str(), &id)
        .await
        .map_err(store_problem)?;
    if removed {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NoConnectLink)
    }
}
