//! The one-time link of a start on a terminal: it stands for the key in the settings, once, for a
//! moment.

use jiff::{SignedDuration, Timestamp};

use super::{LoginToken, save_login};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::store::StoreError;

/// A link that nobody has used for so long has expired.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// Precedes the token in an address. Browsers send nothing that follows the `#` to anybody, so that
/// it reaches no log and no other page.
const FRAGMENT: &str = "#link=";

/// Creates the link of a gateway that nobody has logged in to, and returns its path; `None` if
/// somebody has, or where it would lead nowhere. A link that was not used is replaced.
pub async fn create_first_link(gateway: &Gateway) -> Result<Option<String>, StoreError> {
    let token = LoginToken::random();
    let has_key = gateway.keys.bind_first_login(token.0.as_bytes()).is_some();
    if !has_key || !gateway.dashboard.is_served() {
        return Ok(None);
    }
    let expires_at = gateway.clock.now() + LINK_LIFETIME;
    let logins = gateway.store.logins();
    let is_first = logins.add_first_link(token.hash(), expires_at).await?;
    Ok(is_first.then(|| format!("/dashboard/login{FRAGMENT}{}", token.0)))
}

/// Uses a link up; people paste it with the address before its token, or without. Returns the login that it opens; `None` if it opens none.
pub(super) async fn open_link(
    gateway: &Gateway,
    link: &str,
) -> Result<Option<(Caller, LoginToken)>, StoreError> {
    let link = link.trim();
    let link = link.split_once(FRAGMENT).map_or(link, |(_, link)| link);
    let (link, token) = (LoginToken(link.to_owned()), LoginToken::random());
    let Some((caller, binding)) = gateway.keys.bind_first_login(token.0.as_bytes()) else {
        return Ok(None);
    };
    if !gateway.store.logins().use_link(link.hash()).await? {
        return Ok(None);
    }
    // Nobody has typed the key, so that dangerous things ask for it.
    let never = Timestamp::UNIX_EPOCH;
    save_login(gateway, &token, &caller, binding, never).await?;
    Ok(Some((caller, token)))
}
