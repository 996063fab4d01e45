//! Profiles: name, about text, profile picture, blocklist and addressing of a phone.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{Answer, Body, LARGEST_BODY, Shared, phone};
use crate::Addressing;
use crate::phone::Phone;
use crate::server::Server;

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/profile",
            get(show)
                .patch(change)
                .layer(DefaultBodyLimit::max(LARGEST_BODY)),
        )
        .route(
            "/phones/{number}/blocked/{whom}",
            put(block).delete(unblock),
        )
        .route("/phones/{number}/addressing", put(address))
        .route("/phones/{number}/migration", post(migrate))
}

fn described(phone: &Phone) -> Value {
    let picture = phone
        .picture()
        .map(|picture| json!({"id": picture.id, "base64": STANDARD.encode(picture.full)}));
    json!({"name": phone.name(), "about": phone.about(), "picture": picture, "blocked": phone.blocked()})
}

async fn show(State(server): Shared, Path(number): Path<String>) -> Answer {
    Ok(Json(described(&phone(&server, &number)?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    name: Option<String>,
    about: Option<String>,
    /// A JPEG in base64; `null` removes the profile picture.
    #[serde(default, deserialize_with = "given")]
    picture: Option<Option<String>>,
    hides_picture: Option<bool>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn change(
    State(server): Shared,
    Path(number): Path<String>,
    Body(changes): Body<Changes>,
) -> Answer {
    let phone = phone(&server, &number)?;
    if let Some(name) = changes.name {
        phone.calls_itself(&name)?;
    }
    if let Some(about) = changes.about {
        phone.says_about(&about);
    }
    if let Some(hidden) = changes.hides_picture {
        phone.hides_picture(hidden);
    }
    match changes.picture {
        Some(Some(picture)) => {
            phone.shows_picture(STANDARD.decode(&picture).map_err(anyhow::Error::from)?)?;
        }
        Some(None) => phone.removes_picture(),
        None => {}
    }
    Ok(Json(described(&phone)))
}

async fn block(State(server): Shared, Path((number, whom)): Path<(String, String)>) -> Answer {
    phone(&server, &number)?.blocks(&whom, true)?;
    Ok(Json(json!({})))
}

async fn unblock(State(server): Shared, Path((number, whom)): Path<(String, String)>) -> Answer {
    phone(&server, &number)?.blocks(&whom, false)?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    addressing: Addressed,
    /// Also gives the account's other address to the recipients of its messages.
    tells_both: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Addressed {
    Pn,
    Lid,
}

async fn address(
    State(server): Shared,
    Path(number): Path<String>,
    Body(address): Body<Address>,
) -> Answer {
    let phone = phone(&server, &number)?;
    phone.is_addressed_by(match address.addressing {
        Addressed::Pn => Addressing::PhoneNumber,
        Addressed::Lid => Addressing::Lid,
    });
    if let Some(both) = address.tells_both {
        phone.hides_number(!both);
    }
    Ok(Json(json!({})))
}

async fn migrate(State(server): Shared, Path(number): Path<String>) -> Answer {
    phone(&server, &number)?.moves_to_lids()?;
    Ok(Json(json!({})))
}
