//! Profiles: name, about text, profile picture, blocklist and addressing of a phone.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{JsonBody, JsonResult, LARGEST_BODY, SharedServer, find_phone};
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::Server;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/profile",
            get(show_profile)
                .patch(change_profile)
                .layer(DefaultBodyLimit::max(LARGEST_BODY)),
        )
        .route(
            "/phones/{number}/blocked/{whom}",
            put(block_contact).delete(unblock_contact),
        )
        .route("/phones/{number}/addressing", put(set_addressing))
        .route("/phones/{number}/migration", post(migrate_to_lids))
}

fn describe_profile(phone: &Phone) -> Value {
    let picture = phone
        .picture()
        .map(|picture| json!({"id": picture.id, "base64": STANDARD.encode(picture.full)}));
    json!({"name": phone.name(), "about": phone.about(), "picture": picture, "blocked": phone.blocked_numbers()})
}

async fn show_profile(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    Ok(Json(describe_profile(&find_phone(&server, &number)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileUpdate {
    name: Option<String>,
    about: Option<String>,
    /// A JPEG in base64; `null` removes the profile picture.
    #[serde(default, deserialize_with = "given")]
    picture: Option<Option<String>>,
    hides_picture: Option<bool>,
    /// `null` gives the username up.
    #[serde(default, deserialize_with = "given")]
    username: Option<Option<String>>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn change_profile(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(changes): JsonBody<ProfileUpdate>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    if let Some(name) = changes.name {
        phone.sets_push_name(&name)?;
    }
    if let Some(about) = changes.about {
        phone.sets_about(&about);
    }
    if let Some(hidden) = changes.hides_picture {
        phone.hides_picture(hidden);
    }
    if let Some(username) = changes.username {
        phone.takes_username(username.as_deref());
    }
    match changes.picture {
        Some(Some(picture)) => {
            phone.shows_picture(STANDARD.decode(&picture).map_err(anyhow::Error::from)?)?;
        }
        Some(None) => phone.removes_picture(),
        None => {}
    }
    Ok(Json(describe_profile(&phone)))
}

async fn block_contact(
    State(server): SharedServer,
    Path((number, whom)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.blocks_contact(&whom, true)?;
    Ok(Json(json!({})))
}

async fn unblock_contact(
    State(server): SharedServer,
    Path((number, whom)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.blocks_contact(&whom, false)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressingUpdate {
    addressing: AddressingKind,
    /// Also gives the account's other address to the recipients of its messages.
    tells_both: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AddressingKind {
    Pn,
    Lid,
}

async fn set_addressing(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(address): JsonBody<AddressingUpdate>,
) -> JsonResult {
    let phone = find_phone(&server, &number)?;
    phone.uses_addressing(match address.addressing {
        AddressingKind::Pn => Addressing::PhoneNumber,
        AddressingKind::Lid => Addressing::Lid,
    });
    if let Some(both) = address.tells_both {
        phone.hides_number(!both);
    }
    Ok(Json(json!({})))
}

async fn migrate_to_lids(State(server): SharedServer, Path(number): Path<String>) -> JsonResult {
    find_phone(&server, &number)?.moves_to_lids()?;
    Ok(Json(json!({})))
}
