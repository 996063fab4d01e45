//! Groups: creates and changes them on behalf of phones.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AdminError, JsonBody, JsonResult, SharedServer, find_phone};
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::phone::groups::all_groups;
use crate::server::Server;

pub(super) fn routes() -> Router<std::sync::Arc<Server>> {
    Router::new()
        .route("/groups", get(list_groups))
        .route("/phones/{number}/groups", post(create_group))
        .route(
            "/phones/{number}/groups/{group}",
            patch(change_group).delete(leave_group),
        )
}

async fn list_groups(State(server): SharedServer) -> Json<Value> {
    Json(json!({"groups": all_groups(&server)}))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum MemberAddressing {
    Pn,
    Lid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    subject: String,
    /// Phone numbers.
    members: Vec<String>,
    addressing: Option<MemberAddressing>,
}

async fn create_group(
    State(server): SharedServer,
    Path(number): Path<String>,
    JsonBody(new): JsonBody<NewGroup>,
) -> Result<(StatusCode, Json<Value>), AdminError> {
    let founder = find_phone(&server, &number)?;
    let members = find_phones(&server, &new.members)?;
    let addressing = match new.addressing {
        None => server.options.addressing,
        Some(MemberAddressing::Pn) => Addressing::PhoneNumber,
        Some(MemberAddressing::Lid) => Addressing::Lid,
    };
    let members: Vec<&Phone> = members.iter().collect();
    let id = founder.creates_group_addressed(&new.subject, &members, addressing)?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

/// Changes to make in the name of a member. All given changes are applied, in this order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct GroupUpdate {
    add: Vec<String>,
    remove: Vec<String>,
    promote: Vec<String>,
    demote: Vec<String>,
    subject: Option<String>,
    /// An empty text removes the description.
    description: Option<String>,
    announcement: Option<bool>,
}

type MemberAction = fn(&Phone, &str, &[&Phone]) -> anyhow::Result<()>;

async fn change_group(
    State(server): SharedServer,
    Path((number, group)): Path<(String, String)>,
    JsonBody(change): JsonBody<GroupUpdate>,
) -> JsonResult {
    let member = find_phone(&server, &number)?;
    let acts: [(&[String], MemberAction); 4] = [
        (&change.add, Phone::adds_members),
        (&change.remove, Phone::removes_members),
        (&change.promote, Phone::promotes_members),
        (&change.demote, Phone::demotes_members),
    ];
    for (numbers, act) in acts {
        let others = find_phones(&server, numbers)?;
        if !others.is_empty() {
            act(&member, &group, &others.iter().collect::<Vec<_>>())?;
        }
    }
    if let Some(subject) = &change.subject {
        member.renames_group(&group, subject)?;
    }
    if let Some(description) = &change.description {
        member.describes_group(
            &group,
            Some(description.as_str()).filter(|text| !text.is_empty()),
        )?;
    }
    if let Some(on) = change.announcement {
        member.announces_only(&group, on)?;
    }
    Ok(Json(json!({})))
}

async fn leave_group(
    State(server): SharedServer,
    Path((number, group)): Path<(String, String)>,
) -> JsonResult {
    find_phone(&server, &number)?.leaves_group(&group)?;
    Ok(Json(json!({})))
}

fn find_phones(
    server: &std::sync::Arc<Server>,
    numbers: &[String],
) -> Result<Vec<Phone>, AdminError> {
    numbers
        .iter()
        .map(|number| find_phone(server, number))
        .collect()
}
