//! Problems of requests about groups, by WhatsApp's codes.

use super::GroupPath;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::sessions::SessionError;
use crate::whatsapp::RequestError;

const ADMINS_ONLY: &str = "only admins of the group may do this";

/// Whether WhatsApp tells nothing about a group because the account is not in it.
pub(super) fn is_outsider(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::Whatsapp(RequestError::Refused(400 | 401 | 403 | 404))
    )
}

/// Returns the problem of a refused change.
pub(super) fn group_problem(error: &RequestError) -> Problem {
    match error {
        RequestError::Refused(401 | 403 | 405) => forbidden(ADMINS_ONLY),
        RequestError::Refused(404) => Problem::NoGroup,
        RequestError::Refused(412 | 419) => Problem::GroupFull,
        RequestError::Refused(416 | 423 | 436) => Problem::InviteUnavailable,
        RequestError::Refused(429) => Problem::GroupRateLimited,
        error => error.clone().into(),
    }
}

/// Returns the problem of a refused change to a group. WhatsApp answers with the same code to
/// people outside of a group and to members who are not its admins, so it is asked for the group.
pub(super) async fn explain_refusal(
    gateway: &Gateway,
    path: &GroupPath,
    error: RequestError,
) -> Problem {
    if !matches!(error, RequestError::Refused(401 | 403)) {
        return group_problem(&error);
    }
    match gateway
        .sessions
        .find_group(&path.session, &path.group)
        .await
    {
        Ok(group) if group.suspended => forbidden("WhatsApp has suspended the group"),
        Err(error) if is_outsider(&error) => Problem::NoGroup,
        _ => forbidden(ADMINS_ONLY),
    }
}

/// Returns the problem of a member whom WhatsApp leaves as they are.
pub(super) fn member_problem(code: u16) -> Problem {
    match code {
        404 => Problem::NoMember,
        401 | 403 | 405 => forbidden("nobody may do this to the person that created the group"),
        412 | 419 => Problem::GroupFull,
        code => RequestError::Refused(code).into(),
    }
}

/// Returns the problem of an invite that WhatsApp refuses.
pub(super) fn invite_problem(error: &RequestError) -> Problem {
    match error {
        RequestError::Refused(400 | 404 | 406 | 410) => Problem::NoInvite,
        RequestError::Refused(401 | 403 | 405) => {
            forbidden("an admin has removed the account from the group")
        }
        error => group_problem(error),
    }
}

pub(super) fn forbidden(detail: &str) -> Problem {
    Problem::GroupForbidden {
        detail: detail.to_owned(),
    }
}
