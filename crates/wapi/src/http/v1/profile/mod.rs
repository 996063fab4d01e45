//! `/v1/sessions/{session}/profile`: the account's own profile, and the profile pictures of
//! contacts.

pub(in crate::http) mod devices;
pub(in crate::http) mod picture;
pub(in crate::http) mod privacy;

use axum::Json;
use axum::extract::State;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::media::headers;
use super::presence::ContactPath;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::event::ProfilePicture;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::store::MediaFacts;
use crate::whatsapp::PictureSize;

/// WhatsApp's own limits, in characters.
pub(in crate::http) const LONGEST_NAME: usize = 25;
pub(in crate::http) const LONGEST_ABOUT: usize = 139;

/// The account's public profile; `null` for values that are not set.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ProfileDocument {
    id: String,
    phone: String,
    lid: Option<String>,
    name: Option<String>,
    about: Option<String>,
    picture: Option<ProfilePicture>,
}

/// `GET …/profile`: shows the profile, querying WhatsApp each time.
pub(in crate::http) async fn show_profile(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<ProfileDocument>, Problem> {
    query.finish()?;
    let (account, profile) = gateway.sessions.own_profile(&session).await?;
    let id = ChatId::Phone(account.phone.clone()).to_string();
    let picture = profile
        .picture
        .map(|picture| ProfilePicture::new(session.as_str(), &account.phone, Some(picture)));
    let (phone, lid, name, about) = (account.phone, account.lid, account.name, profile.about);
    Ok(Json(ProfileDocument {
        id,
        phone,
        lid,
        name,
        about,
        picture,
    }))
}

/// `PUT …/profile {name?, about?}`: changes at least one of the two and keeps the other.
pub(in crate::http) async fn change_profile(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    const NOTHING: &str = "nothing is changed; give at least one of name and about";
    if !fields.has_value("name") && !fields.has_value("about") {
        fields.refuse_field("name", NOTHING);
    }
    let name = fields
        .has_value("name")
        .then(|| fields.text_up_to("name", LONGEST_NAME))
        .flatten();
    let about = fields
        .has_value("about")
        .then(|| fields.text_up_to("about", LONGEST_ABOUT))
        .flatten();
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    gateway
        .sessions
        .set_profile(&session, name.as_deref(), about.as_deref())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET …/contacts/{contact}/picture?size=full`: sends the profile picture itself, since WhatsApp's
/// links to it expire and are meant for this account.
pub(in crate::http) async fn show_contact_picture(
    State(gateway): State<Gateway>,
    ContactPath { session, contact }: ContactPath,
    query: QueryParameters,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    serve_picture(&gateway, &session, &contact, query, &request_headers).await
}

/// Answers with the picture of a person or a group.
pub(in crate::http::v1) async fn serve_picture(
    gateway: &Gateway,
    session: &SessionName,
    contact: &ChatId,
    mut query: QueryParameters,
    request_headers: &HeaderMap,
) -> Result<Response, Problem> {
    let size = match query.optional_text("size").as_deref() {
        None | Some("full") => PictureSize::Full,
        Some("preview") => PictureSize::Preview,
        Some(_) => return Err(Problem::invalid_field("size", "must be full or preview")),
    };
    query.finish()?;
    let picture = gateway
        .sessions
        .online(session)?
        .fetch_picture(contact, size)
        .await?
        .ok_or(Problem::NoPicture)?;
    let facts = MediaFacts {
        mime_type: Some("image/jpeg".to_owned()),
        ..MediaFacts::default()
    };
    // Ids are reduced to characters that are valid in a header.
    let tag: String = picture
        .id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let mut headers = headers::file_headers(&facts, &tag);
    // The picture may change at any time; its id then changes too.
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    headers.remove(header::ACCEPT_RANGES);
    if headers::is_not_modified(request_headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let bytes = gateway
        .sessions
        .online(session)?
        .download_picture(&picture)
        .await?;
    Ok((headers, bytes).into_response())
}
