//! `/v1/sessions/{session}/newsletters/{newsletter}/messages`: posts read back, changed, deleted,
//! and reacted to.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Serialize;

use super::{NewsletterPath, admin_problem, newsletter_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT};
use crate::http::request::query::QueryParameters;
use crate::model::event::NewsletterPost;
use crate::model::message::emoji::is_one_emoji;
use crate::whatsapp::RequestError;

/// Default and maximum number of posts per answer.
pub(in crate::http) const POST_LIMIT: (u32, u32) = (50, 100);
/// Longest text of a post, in characters.
pub(in crate::http) const LONGEST_POST: usize = 65_536;

#[derive(Debug, Serialize)]
pub(in crate::http) struct PostPage {
    messages: Vec<NewsletterPost>,
    /// `before` of the call for older posts; `null` when there are no more.
    before: Option<u64>,
}

/// `GET …/messages?before=&limit=`: lists the posts of a newsletter, the newest first, querying
/// WhatsApp each time.
pub(in crate::http) async fn list_posts(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
    mut query: QueryParameters,
) -> Result<Json<PostPage>, Problem> {
    const WRONG: &str = "must be the number of a post";
    let limit = query.list_limit(POST_LIMIT);
    let before = query.optional_text("before");
    query.finish()?;
    let before = before
        .map(|text| {
            text.parse()
                .map_err(|_| Problem::invalid_field("before", WRONG))
        })
        .transpose()?;
    let messages = gateway
        .sessions
        .online(&session)?
        .fetch_posts(&newsletter, before, limit)
        .await
        .map_err(newsletter_problem)?;
    let before = (messages.len() == limit as usize)
        .then(|| messages.last().map(|post| post.post))
        .flatten();
    Ok(Json(PostPage { messages, before }))
}

/// `PATCH …/messages/{post} {text}`: replaces the text of a post, or the caption of its file.
pub(in crate::http) async fn edit_post(
    State(gateway): State<Gateway>,
    PostPath { newsletter, post }: PostPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    if !fields.has_value("text") {
        fields.refuse_field("text", "is missing; give {\"body\": …}");
    }
    let text = fields.nested_fields("text").and_then(|mut text| {
        let body = text.text_up_to("body", LONGEST_POST);
        fields.absorb_errors("text", text);
        body
    });
    fields.refuse_unknown();
    let text = fields.finish(text)?;
    let edited = gateway
        .sessions
        .online(&newsletter.session)?
        .edit_post(&newsletter.newsletter, &post, &text)
        .await;
    answer_change(edited)
}

/// `DELETE …/messages/{post}`: deletes a post for everybody.
pub(in crate::http) async fn delete_post(
    State(gateway): State<Gateway>,
    PostPath { newsletter, post }: PostPath,
) -> Result<StatusCode, Problem> {
    let deleted = gateway
        .sessions
        .online(&newsletter.session)?
        .delete_post(&newsletter.newsletter, &post)
        .await;
    answer_change(deleted)
}

/// `PUT …/messages/{post}/reaction {emoji}`: reacts to a post, in place of an earlier reaction.
pub(in crate::http) async fn react_to_post(
    State(gateway): State<Gateway>,
    PostPath { newsletter, post }: PostPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    let emoji = fields.required_text("emoji").and_then(|emoji| {
        let is_one = is_one_emoji(&emoji);
        let wrong = || "must be one emoji".to_owned();
        fields.ok_or_record("emoji", is_one.then_some(emoji).ok_or_else(wrong))
    });
    fields.refuse_unknown();
    let emoji = fields.finish(emoji)?;
    let reacted = gateway
        .sessions
        .online(&newsletter.session)?
        .react_to_post(&newsletter.newsletter, &post, &emoji)
        .await;
    answer_change(reacted)
}

/// `DELETE …/messages/{post}/reaction`: removes the reaction.
pub(in crate::http) async fn remove_post_reaction(
    State(gateway): State<Gateway>,
    PostPath { newsletter, post }: PostPath,
) -> Result<StatusCode, Problem> {
    let reacted = gateway
        .sessions
        .online(&newsletter.session)?
        .react_to_post(&newsletter.newsletter, &post, "")
        .await;
    answer_change(reacted)
}

fn answer_change(done: Result<bool, RequestError>) -> Result<StatusCode, Problem> {
    match done {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(Problem::NoMessage),
        Err(error) => Err(admin_problem(error)),
    }
}

/// The end of a subscription.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CountsWatch {
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    expires_at: Timestamp,
}

/// `PUT …/newsletters/{newsletter}/counts`: subscribes to the counts of reactions for a few
/// minutes; they are published as `newsletter.counts`.
pub(in crate::http) async fn watch_counts(
    State(gateway): State<Gateway>,
    NewsletterPath {
        session,
        newsletter,
    }: NewsletterPath,
) -> Result<Json<CountsWatch>, Problem> {
    let period = gateway
        .sessions
        .online(&session)?
        .watch_counts(&newsletter)
        .await
        .map_err(newsletter_problem)?;
    let expires_at = gateway.clock.now().saturating_add(period);
    Ok(Json(CountsWatch {
        expires_at: expires_at.unwrap_or(Timestamp::MAX),
    }))
}

/// A post named by a path: by its number or its id.
pub(in crate::http) struct PostPath {
    newsletter: NewsletterPath,
    post: String,
}

impl<S: Send + Sync> FromRequestParts<S> for PostPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, newsletter, post)) =
            Path::<(String, String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        Ok(Self {
            newsletter: NewsletterPath::parse(&session, &newsletter)?,
            post,
        })
    }
}
