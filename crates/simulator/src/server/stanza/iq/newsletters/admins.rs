//! Requests of the admins of newsletters: who follows, who administers, and who is invited to.

use serde_json::{Value, json};

use super::{change_newsletter, newsletter_user, with_newsletter};
use crate::model::ids::PhoneNumber;
use crate::model::newsletter::{NOT_FOUND, NewsletterRole};
use crate::model::options::Addressing;
use crate::server::stanza::iq::IqRequest;
use crate::server::stanza::messages::newsletter::newsletter_jid;
use crate::wire::unix_time;

/// Lists the followers, for accounts that may post.
pub(crate) fn list_followers(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let input = if variables["input"].is_object() {
        &variables["input"]
    } else {
        variables
    };
    let found = list_people(request, input)?;
    Ok(json!({"subscribers": found["subscribers"], "followers": found["subscribers"]}))
}

/// Lists the followers and the invited admins, for accounts that may post.
pub(crate) fn list_people(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let id = newsletter_user(variables["newsletter_id"].as_str().unwrap_or_default());
    let world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_FOUND)?;
    if !newsletter.can_post(&request.device.number) {
        return Err(crate::model::group::FORBIDDEN);
    }
    let edges = newsletter.people.iter().filter_map(|(number, role)| {
        let account = world.account(number)?;
        let [pn, lid] =
            [Addressing::PhoneNumber, Addressing::Lid].map(|it| account.jid(it, 0).to_string());
        let username = account.profile.username.as_ref();
        let username = username.map(|username| json!({"username": username}));
        Some(json!({
            "role": role,
            "node": {"id": lid, "pn": pn, "display_name": account.push_name, "username_info": username},
        }))
    });
    let edges: Vec<Value> = edges.collect();
    let now = unix_time();
    let invited = newsletter.invites.iter().filter(|(_, until)| **until > now);
    let invited = invited.filter_map(|(number, _)| {
        let account = world.account(number)?;
        let [pn, lid] =
            [Addressing::PhoneNumber, Addressing::Lid].map(|it| account.jid(it, 0).to_string());
        Some(json!({"user": {"id": lid, "pn": pn}}))
    });
    Ok(json!({
        "id": newsletter_jid(&newsletter.id).to_string(),
        "pending_admin_invites": invited.collect::<Vec<_>>(),
        "subscribers": {"edges": edges},
    }))
}

/// Counts the accounts that may post.
pub(crate) fn count_admins(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let id = newsletter_user(variables["newsletter_id"].as_str().unwrap_or_default());
    let world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_FOUND)?;
    let count = newsletter
        .people
        .keys()
        .filter(|number| newsletter.can_post(number))
        .count();
    Ok(json!({
        "id": newsletter_jid(&newsletter.id).to_string(),
        "admin_count": count,
        "admin_profile": null,
        "admin_settings": {"admin_profiles_enabled": false},
    }))
}

/// Transfers the newsletter from its owner to one of its admins.
pub(crate) fn change_owner(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let whom = named_person(request, variables)?;
    change_newsletter(request, variables, |newsletter, by| {
        let is_admin = newsletter.people.get(&whom) == Some(&NewsletterRole::Admin);
        match newsletter.people.get(by) {
            Some(NewsletterRole::Owner) if is_admin => {
                newsletter.people.insert(by.clone(), NewsletterRole::Admin);
                newsletter.people.insert(whom, NewsletterRole::Owner);
                Ok(())
            }
            _ => Err(crate::model::group::FORBIDDEN),
        }
    })
}

/// Makes an admin a plain follower, at the request of the owner or of the admin.
pub(crate) fn demote_admin(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let whom = named_person(request, variables)?;
    change_newsletter(request, variables, |newsletter, by| {
        let may = *by == whom || newsletter.people.get(by) == Some(&NewsletterRole::Owner);
        match newsletter.people.get(&whom) {
            Some(NewsletterRole::Admin) if may => {
                newsletter.people.insert(whom, NewsletterRole::Subscriber);
                Ok(())
            }
            _ => Err(crate::model::group::FORBIDDEN),
        }
    })
}

/// Invites a person to be an admin.
pub(crate) fn invite_admin(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let whom = named_person(request, variables)?;
    let until = with_newsletter(request, variables, |newsletter, by| {
        newsletter.invite_admin(by, &whom, unix_time())
    })?;
    Ok(json!({"id": variables["newsletter_id"], "invite_expiration_time": until.to_string()}))
}

/// Takes an invitation back.
pub(crate) fn revoke_invite(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let whom = named_person(request, variables)?;
    with_newsletter(request, variables, |newsletter, by| {
        newsletter.revoke_invite(by, &whom)
    })?;
    Ok(json!({"__typename": "XWA2Newsletter", "id": variables["newsletter_id"]}))
}

/// Makes the account an admin, if it is invited.
pub(crate) fn accept_invite(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    with_newsletter(request, variables, |newsletter, by| {
        newsletter.accept_invite(by, unix_time())
    })?;
    Ok(json!({"__typename": "XWA2Newsletter", "id": variables["newsletter_id"]}))
}

/// The person that a change is about.
fn named_person(request: &IqRequest<'_>, variables: &Value) -> Result<PhoneNumber, u16> {
    let jid = variables["user_id"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .ok_or(400_u16)?;
    request
        .server
        .world
        .lock()
        .account_of(&jid)
        .map(|account| account.number.clone())
        .ok_or(NOT_FOUND)
}
