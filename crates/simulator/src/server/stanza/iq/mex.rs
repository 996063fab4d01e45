//! `w:mex`, WhatsApp's GraphQL: stored queries that clients call by id. Each client has its own ids
//! for the same query, and new ones with each version.

use serde_json::{Map, Value, json};

use super::{IqAnswer, IqRequest, groups, newsletters};
use crate::model::group::FORBIDDEN;
use crate::model::newsletter::NOT_FOUND;
use crate::model::options::Addressing;
use crate::server::stanza::reachout_timelock;
use crate::server::world::Account;
use crate::wire::{StanzaExt, leaf_node};

/// A stored query: its handler, and the paths of its result. Two clients read one result at
/// different paths.
struct StoredQuery {
    paths: &'static [&'static str],
    handler: QueryHandler,
}

type QueryHandler = fn(&IqRequest<'_>, &Value) -> Result<Value, u16>;

/// Finds a stored query by its id. One id stands for two queries, which differ in their variables.
fn find_query(query: &str, variables: &Value) -> Option<StoredQuery> {
    let is_about_one = variables["newsletter_id"].is_string();
    let (paths, ask): (&'static [&'static str], QueryHandler) = match query {
        "25149874324715067" | "8823471724422422" | "6234210096708695" | "27527996220149684" => {
            (&["xwa2_newsletter_create"], newsletters::create_newsletter)
        }
        "24250201037901610" | "7150902998257522" | "7839742399440946" => {
            (&["xwa2_newsletter_update"], newsletters::update_newsletter)
        }
        "27456920720571478" | "6563316087068696" | "26944199458535748" | "7272540469429201"
        | "9779843322044422" => (&["xwa2_newsletter"], newsletters::get_newsletter),
        "24404358912487870" | "9926858900719341" => {
            (&["xwa2_newsletter_join_v2"], newsletters::follow_newsletter)
        }
        "8621797084555037" if is_about_one => {
            (&["xwa2_newsletter_join_v2"], newsletters::follow_newsletter)
        }
        "25399611239711790" | "6388546374527196" | "8621797084555037" => {
            (&["xwa2_newsletter_subscribed"], newsletters::list_followed)
        }
        "9767147403369991" | "6392786840836363" | "8782612271820087" => (
            &["xwa2_newsletter_leave_v2"],
            newsletters::unfollow_newsletter,
        ),
        "29766401636284406" | "6274038279359549" | "5971669009605755" => {
            (&["xwa2_newsletter_mute_v2"], newsletters::mute_newsletter)
        }
        "9864994326891137" | "6068417879924485" | "6104029483058502" => (
            &["xwa2_newsletter_unmute_v2"],
            newsletters::unmute_newsletter,
        ),
        "31938993655691868" => (
            &["xwa2_newsletter_update_user_setting"],
            newsletters::set_mute,
        ),
        "9800646650009898" | "25403502652570342" => (
            &["xwa2_newsletter_subscribers"],
            newsletters::admins::list_followers,
        ),
        "27472091235714801" => (
            &["xwa2_newsletter_followers"],
            newsletters::admins::list_followers,
        ),
        "9783111038412085" => (
            &["xwa2_newsletter_admin", "xwa2_newsletter_subscribers"],
            newsletters::admins::list_people,
        ),
        "26278439461859188" | "7130823597031706" => (
            &["xwa2_newsletter_admin"],
            newsletters::admins::count_admins,
        ),
        "9546742745432473" | "7341777602580933" => (
            &["xwa2_newsletter_change_owner"],
            newsletters::admins::change_owner,
        ),
        "9880997548630971" | "6551828931592903" => (
            &["xwa2_newsletter_admin_demote", "xwa2_newsletter_demote"],
            newsletters::admins::demote_admin,
        ),
        "9387141988078609" => (
            &["xwa2_newsletter_admin_invite_create"],
            newsletters::admins::invite_admin,
        ),
        "9656078347839416" => (
            &["xwa2_newsletter_admin_invite_revoke"],
            newsletters::admins::revoke_invite,
        ),
        "9580828702035549" => (
            &["xwa2_newsletter_admin_invite_accept"],
            newsletters::admins::accept_invite,
        ),
        "9853618868050977" => (
            &["xwa2_newsletter_admin_insights"],
            newsletters::insights::show_insights,
        ),
        "30062808666639665" => (
            &["xwa2_newsletter_delete_v2"],
            newsletters::delete_newsletter,
        ),
        "25806748772361516" | "7263823273662354" | "27256776790637714" => {
            (&["xwa2_newsletters_recommended"], newsletters::list_public)
        }
        "26125047313831973" | "6190824427689257" => (
            &["xwa2_newsletters_directory_list"],
            newsletters::list_public,
        ),
        "26301059626252132" => (
            &["xwa2_newsletters_directory_search"],
            newsletters::list_public,
        ),
        "26217043484590756" => (&["xwa2_newsletters_similar"], newsletters::list_public),
        "9418211574894172" => (
            &["xwa2_group_update_property"],
            groups::properties::update_property,
        ),
        "9935467776504344" => (
            &["xwa2_group_query_by_id"],
            groups::properties::list_subgroups,
        ),
        "24079399904996141" => (
            &["xwa2_group_query_by_id"],
            groups::properties::count_members,
        ),
        "24535500086059408" => (&["xwa2_users_updates_since"], get_about),
        "24072923595647473" => (&["xwa2_text_status_list"], |_, _| Ok(json!([]))),
        "23983697327930364" => (&["xwa2_fetch_account_reachout_timelock"], get_timelock),
        "24503548349331633" => (&["xwa2_message_capping_info"], get_message_capping),
        _ => return None,
    };
    Some(StoredQuery {
        paths,
        handler: ask,
    })
}

/// Answers a GraphQL query.
pub(crate) fn answer_query(request: &IqRequest<'_>) -> IqAnswer {
    let body = request
        .operation
        .and_then(StanzaExt::content_bytes)
        .and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let Some(body) = body else {
        return IqAnswer::Error(400, "bad-request");
    };
    if request.server.world.lock().switches.forget_queries {
        let text = "The GraphQL document was not found.";
        let answer = json!({"data": null, "errors": [{"message": text, "severity": "CRITICAL"}]});
        return IqAnswer::with_child(leaf_node("result", answer.to_string().into_bytes()));
    }
    let variables = &body["variables"];
    let name = request
        .operation
        .and_then(|query| query.attr_text("query_id"));
    let is_withdrawn = name.is_some_and(|name| {
        let world = request.server.world.lock();
        world.withdrawn_queries.contains(&*name)
    });
    if is_withdrawn {
        return IqAnswer::Error(404, "item-not-found");
    }
    let question = request
        .operation
        .and_then(|query| find_query(&query.attr_text("query_id")?, variables));
    let Some(StoredQuery {
        paths,
        handler: ask,
    }) = question
    else {
        return IqAnswer::Unknown;
    };
    let under_paths = |value: &Value| {
        paths
            .iter()
            .map(|path| ((*path).to_owned(), value.clone()))
            .collect::<Map<_, _>>()
    };
    let answer = match ask(request, variables) {
        Ok(found) => json!({"data": under_paths(&found)}),
        Err(code) => json!({
            "data": under_paths(&Value::Null),
            "errors": [{
                "message": error_text(code),
                "path": [paths[0]],
                "extensions": {"error_code": code, "is_summary": true, "is_retryable": false, "severity": "CRITICAL"},
            }],
        }),
    };
    IqAnswer::with_child(leaf_node("result", answer.to_string().into_bytes()))
}

fn error_text(code: u16) -> &'static str {
    match code {
        NOT_FOUND => "Not Found",
        FORBIDDEN => "Forbidden",
        _ => "Bad Request",
    }
}

/// Returns a person's about text.
fn get_about(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let jid = variables["user"]["user_id"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .ok_or(400_u16)?;
    let world = request.server.world.lock();
    let account = world.account_of(&jid).ok_or(NOT_FOUND)?;
    Ok(json!([{
        "id": account.jid(Addressing::Lid, 0).to_string(),
        "updates": [{"text": account.profile.about}],
    }]))
}

/// Whether the account may start new chats, and from when on.
fn get_timelock(request: &IqRequest<'_>, _variables: &Value) -> Result<Value, u16> {
    let world = request.server.world.lock();
    world
        .account(&request.device.number)
        .map(reachout_timelock::describe_restriction)
        .ok_or(NOT_FOUND)
}

/// The quota of new chats that an account may start.
fn get_message_capping(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    if variables["input"]["type"] != "INDIVIDUAL_NEW_CHAT_MSG" {
        return Err(400);
    }
    let world = request.server.world.lock();
    world
        .account(&request.device.number)
        .map(Account::describe_cap)
        .ok_or(NOT_FOUND)
}
