//! Trust: restrictions on writing, audiences of profile picture and presence, and feature
//! properties.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Body, Shared, phone};
use crate::server::Server;
use crate::trust::{Audience, Restriction};

pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route(
            "/phones/{number}/restriction",
            get(restriction).put(restrict),
        )
        .route("/phones/{number}/audiences", put(audiences))
        .route(
            "/phones/{number}/properties/{code}",
            put(set_property).delete(drop_property),
        )
}

async fn restriction(State(server): Shared, Path(number): Path<String>) -> Answer {
    Ok(Json(json!(phone(&server, &number)?.restriction())))
}

async fn restrict(
    State(server): Shared,
    Path(number): Path<String>,
    Body(restriction): Body<Restriction>,
) -> Answer {
    let phone = phone(&server, &number)?;
    phone.is_restricted(restriction);
    Ok(Json(json!(phone.restriction())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Audiences {
    picture: Option<Audience>,
    presence: Option<Audience>,
}

async fn audiences(
    State(server): Shared,
    Path(number): Path<String>,
    Body(change): Body<Audiences>,
) -> Answer {
    let phone = phone(&server, &number)?;
    if let Some(audience) = change.picture {
        phone.shows_picture_to(audience);
    }
    if let Some(audience) = change.presence {
        phone.shows_presence_to(audience);
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Property {
    value: String,
}

async fn set_property(
    State(server): Shared,
    Path((number, code)): Path<(String, u32)>,
    Body(property): Body<Property>,
) -> Answer {
    phone(&server, &number)?.has_property(code, Some(&property.value));
    Ok(Json(json!({})))
}

async fn drop_property(State(server): Shared, Path((number, code)): Path<(String, u32)>) -> Answer {
    phone(&server, &number)?.has_property(code, None);
    Ok(Json(json!({})))
}
