//! `/v1/sessions/{session}/newsletters`: creating, changing and deleting newsletters, their
//! followers, and the public directory.

use axum::Json;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Serialize;

use super::{NewsletterList, NewsletterPath, admin_problem, newsletter_problem};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1::profile::picture::receive_avatar;
use crate::model::event::{Newsletter, NewsletterRole, Person};
use crate::model::message::ChatId;
use crate::whatsapp::NewsletterFollower;

/// Longest name and description, in characters.
pub(in crate::http) const LONGEST_NAME: usize = 100;
pub(in crate::http) const LONGEST_DESCRIPTION: usize = 2_048;
/// Default and maximum number of followers per answer.
pub(in crate::http) const FOLLOWER_LIMIT: (u32, u32) = (50, 500);
/// Default and maximum number of results of a search.
pub(in crate::http) const RESULT_LIMIT: (u32, u32) = (20, 50);

/// `POST …/newsletters {name, description?}`: creates a newsletter.
pub(in crate::http) async fn create_newsletter(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<Newsletter>), Problem> {
    let name = fields.text_up_to("name", LONGEST_NAME);
    let description = fields.optional_text_up_to("description", LONGEST_DESCRIPTION);
    fields.refuse_unknown();
    let name = fields.finish(name)?;
    let created = gateway
        .sessions
        .online(&session)?
        .create_newsletter(&name, description.as_deref())
        .await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// `PATCH …/newsletters/{newsletter} {name?, description?}`: changes an own newsletter.
pub(in crate::http) async fn change_newsletter(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    mut fields: JsonFields,
) -> Result<Json<Newsletter>, Problem> {
    const NOTHING: &str = "nothing is changed; give at least one of name and description";
    let name = fields
        .has_value("name")
        .then(|| fields.text_up_to("name", LONGEST_NAME))
        .flatten();
    // An empty description removes it.
    let description = match fields.optional_text("description") {
        Some(text) if text.chars().count() > LONGEST_DESCRIPTION => {
            let detail = format!("is longer than {LONGEST_DESCRIPTION} characters");
            fields.refuse_field("description", detail);
            None
        }
        description => description,
    };
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    if name.is_none() && description.is_none() {
        return Err(Problem::invalid_field("name", NOTHING));
    }
    let changed = gateway
        .sessions
        .online(&session)?
        .update_newsletter(&newsletter, name.as_deref(), description.as_deref())
        .await
        .map_err(admin_problem)?;
    Ok(Json(changed))
}

/// `DELETE …/newsletters/{newsletter}`: deletes an own newsletter for everybody.
pub(in crate::http) async fn delete_newsletter(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
) -> Result<StatusCode, Problem> {
    gateway
        .sessions
        .online(&session)?
        .delete_newsletter(&newsletter)
        .await
        .map_err(admin_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/newsletters/{newsletter}/picture`: sets the picture, in the forms of a profile picture.
pub(in crate::http) async fn set_newsletter_picture(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, Problem> {
    let jpeg = receive_avatar(&gateway, &session, &caller, request).await?;
    gateway
        .sessions
        .online(&session)?
        .set_newsletter_picture(&newsletter, Some(jpeg))
        .await
        .map_err(admin_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE …/newsletters/{newsletter}/picture`: removes the picture.
pub(in crate::http) async fn remove_newsletter_picture(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
) -> Result<StatusCode, Problem> {
    gateway
        .sessions
        .online(&session)?
        .set_newsletter_picture(&newsletter, None)
        .await
        .map_err(admin_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/newsletters/{newsletter}/mute`: mutes a followed newsletter on the account's phone.
pub(in crate::http) async fn mute_newsletter(
    state: State<Gateway>,
    path: NewsletterPath,
) -> Result<StatusCode, Problem> {
    set_muted(state, path, true).await
}

/// `DELETE …/newsletters/{newsletter}/mute`: unmutes it.
pub(in crate::http) async fn unmute_newsletter(
    state: State<Gateway>,
    path: NewsletterPath,
) -> Result<StatusCode, Problem> {
    set_muted(state, path, false).await
}

async fn set_muted(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    muted: bool,
) -> Result<StatusCode, Problem> {
    gateway
        .sessions
        .online(&session)?
        .set_newsletter_muted(&newsletter, muted)
        .await
        .map_err(newsletter_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT …/newsletters/{newsletter}/owner {contact}`: transfers a newsletter to one of its admins.
pub(in crate::http) async fn change_newsletter_owner(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    let contact = fields.parse_required("contact", parse_person);
    fields.refuse_unknown();
    let contact = fields.finish(contact)?;
    gateway
        .sessions
        .online(&session)?
        .change_newsletter_owner(&newsletter, &contact)
        .await
        .map_err(admin_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE …/newsletters/{newsletter}/admins/{contact}`: makes an admin a follower again.
pub(in crate::http) async fn demote_newsletter_admin(
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
        .demote_newsletter_admin(&newsletter, &contact)
        .await
        .map_err(admin_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A follower of a newsletter.
#[derive(Debug, Serialize)]
pub(in crate::http) struct FollowerDocument {
    #[serde(flatten)]
    person: Person,
    role: NewsletterRole,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    followed_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct FollowerList {
    followers: Vec<FollowerDocument>,
}

/// `GET …/newsletters/{newsletter}/followers?limit=`: lists followers of an own newsletter.
pub(in crate::http) async fn list_followers(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    mut query: QueryParameters,
) -> Result<Json<FollowerList>, Problem> {
    let limit = query.list_limit(FOLLOWER_LIMIT);
    query.finish()?;
    let found = gateway
        .sessions
        .online(&session)?
        .fetch_followers(&newsletter, limit)
        .await
        .map_err(admin_problem)?;
    let followers = found.into_iter().map(
        |NewsletterFollower {
             person,
             role,
             followed_at,
         }| FollowerDocument {
            person,
            role,
            followed_at,
        },
    );
    Ok(Json(FollowerList {
        followers: followers.collect(),
    }))
}

/// `GET …/newsletters/search?q=&limit=`: searches WhatsApp's public directory.
pub(in crate::http) async fn search_newsletters(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<NewsletterList>, Problem> {
    let limit = query.list_limit(RESULT_LIMIT);
    let text = query
        .optional_text("q")
        .filter(|text| !text.trim().is_empty());
    query.finish()?;
    let text =
        text.ok_or_else(|| Problem::invalid_field("q", "is missing; give the text to search for"))?;
    let newsletters = gateway
        .sessions
        .online(&session)?
        .search_newsletters(&text, limit)
        .await?;
    Ok(Json(NewsletterList { newsletters }))
}

fn parse_person(text: &str) -> Result<ChatId, String> {
    match ChatId::parse(text) {
        Ok(person) if person.is_person() => Ok(person),
        Ok(_) => Err("is not a person".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Session, newsletter and person named by a path.
pub(in crate::http) struct NewsletterAdminPath {
    pub(super) newsletter: NewsletterPath,
    pub(super) contact: ChatId,
}

impl<S: Send + Sync> FromRequestParts<S> for NewsletterAdminPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, newsletter, contact)) =
            Path::<(String, String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        let contact =
            parse_person(&contact).map_err(|detail| Problem::invalid_field("contact", detail))?;
        Ok(Self {
            newsletter: NewsletterPath::parse(&session, &newsletter)?,
            contact,
        })
    }
}
