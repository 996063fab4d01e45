//! Groups: creates and changes them on behalf of phones.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Body, Refusal, Shared, phone};
use crate::Addressing;
use crate::groups::all_groups;
use crate::phone::Phone;
use crate::server::Server;

pub(super) fn routes() -> Router<std::sync::Arc<Server>> {
    Router::new()
        .route("/groups", get(list))
        .route("/phones/{number}/groups", post(create))
        .route(
            "/phones/{number}/groups/{group}",
            patch(change).delete(leave),
        )
}

async fn list(State(server): Shared) -> Json<Value> {
    Json(json!({"groups": all_groups(&server)}))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Naming {
    Pn,
    Lid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    subject: String,
    /// Phone numbers.
    members: Vec<String>,
    addressing: Option<Naming>,
}

async fn create(
    State(server): Shared,
    Path(number): Path<String>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let founder = phone(&server, &number)?;
    let members = phones(&server, &new.members)?;
    let addressing = match new.addressing {
        None => server.options.addressing,
        Some(Naming::Pn) => Addressing::PhoneNumber,
        Some(Naming::Lid) => Addressing::Lid,
    };
    let members: Vec<&Phone> = members.iter().collect();
    let id = founder.creates_group_addressed(&new.subject, &members, addressing)?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

/// Changes to make in the name of a member. All given changes are applied, in this order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Change {
    add: Vec<String>,
    remove: Vec<String>,
    promote: Vec<String>,
    demote: Vec<String>,
    subject: Option<String>,
    /// An empty text removes the description.
    description: Option<String>,
    announcement: Option<bool>,
}

type Act = fn(&Phone, &str, &[&Phone]) -> anyhow::Result<()>;

async fn change(
    State(server): Shared,
    Path((number, group)): Path<(String, String)>,
    Body(change): Body<Change>,
) -> Answer {
    let member = phone(&server, &number)?;
    let acts: [(&[String], Act); 4] = [
        (&change.add, Phone::adds),
        (&change.remove, Phone::removes),
        (&change.promote, Phone::promotes),
        (&change.demote, Phone::demotes),
    ];
    for (numbers, act) in acts {
        let others = phones(&server, numbers)?;
        if !others.is_empty() {
            act(&member, &group, &others.iter().collect::<Vec<_>>())?;
        }
    }
    if let Some(subject) = &change.subject {
        member.renames(&group, subject)?;
    }
    if let Some(description) = &change.description {
        member.describes(
            &group,
            Some(description.as_str()).filter(|text| !text.is_empty()),
        )?;
    }
    if let Some(on) = change.announcement {
        member.announces_only(&group, on)?;
    }
    Ok(Json(json!({})))
}

async fn leave(State(server): Shared, Path((number, group)): Path<(String, String)>) -> Answer {
    phone(&server, &number)?.leaves(&group)?;
    Ok(Json(json!({})))
}

fn phones(server: &std::sync::Arc<Server>, numbers: &[String]) -> Result<Vec<Phone>, Refusal> {
    numbers.iter().map(|number| phone(server, number)).collect()
}
