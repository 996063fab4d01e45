//! Access settings: keys, proxies, and targets of callers. Pure.

use secrecy::SecretString;

use super::{HostPort, Reader};
use crate::config::{Access, Environment};
use crate::guard::{Network, Openness, Targets};

const TARGETS: &str = "WAPI_ALLOW_PRIVATE_TARGETS";
/// Shortest key in bytes for a gateway that other machines can reach: shorter ones can be guessed.
const SHORTEST_KEY: usize = 16;

/// Origin of the requests that can reach the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only its own machine.
    Near,
    /// Other machines, or proxies.
    Far,
}

impl Reach {
    /// An unparsable listener has its error already, and counts as near.
    pub fn of(listen: Option<&HostPort>, proxies: &[Network]) -> Self {
        if listen.is_none_or(HostPort::is_loopback) && proxies.is_empty() {
            Self::Near
        } else {
            Self::Far
        }
    }
}

/// Reads the access. Without a key, only a listener that other machines cannot reach is open;
/// requests passed on by proxies are refused there.
pub fn access(reader: &mut Reader, listen: Option<&HostPort>, reach: Reach) -> Option<Access> {
    let key = reader.optional("WAPI_API_KEY", |text| api_key(text, reach));
    let key_given = reader.layers.value("WAPI_API_KEY").is_some();
    let needs_key = reader.required("WAPI_AUTH", |text| match text {
        "key" => Ok(true),
        "none" => Ok(false),
        other => Err(format!("is `{other}`; it can be key or none")),
    })?;
    match (needs_key, key) {
        (false, None) if key_given => None,
        (false, None) => Some(Access::Open),
        (false, Some(_)) => {
            reader.mistakes.add(
                "WAPI_AUTH",
                "is none, but WAPI_API_KEY is set too; set one of the two",
            );
            None
        }
        (true, Some(key)) => Some(Access::Key(key)),
        (true, None) if key_given || listen.is_none_or(HostPort::is_loopback) => {
            Some(Access::Loopback)
        }
        (true, None) => {
            let problem = "is missing, and WAPI_INTERNAL_HOST can be reached from other machines: set WAPI_API_KEY, or \
                           WAPI_AUTH=none to let everyone in who reaches it";
            reader.mistakes.add("WAPI_API_KEY", problem);
            None
        }
    }
}

/// A key travels in a header, so it is visible ASCII.
fn api_key(text: &str, reach: Reach) -> Result<SecretString, String> {
    if reach == Reach::Far && text.len() < SHORTEST_KEY {
        return Err(format!(
            "has fewer than {SHORTEST_KEY} characters, and the gateway can be reached from other machines; use a long random \
             text, such as `openssl rand -hex 24` prints"
        ));
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned().into())
    } else {
        Err(
            "has spaces or letters that cannot be sent in a header; use letters, digits, - and _"
                .to_owned(),
        )
    }
}

/// Parses networks separated by commas.
pub fn networks(text: &str) -> Result<Vec<Network>, String> {
    let networks = text
        .split(',')
        .map(|network| Network::parse(network.trim()));
    networks
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is wrong: {error}"))
}

/// Reads the allowed targets. By default, everything is open only on a private machine: where no
/// key is required, and no request comes from elsewhere.
pub fn allowed_targets(
    reader: &mut Reader,
    access: Option<&Access>,
    reach: Reach,
) -> Option<Targets> {
    if reader.layers.value(TARGETS).is_some() {
        return reader.optional(TARGETS, |text| {
            Targets::parse(text).map_err(|error| format!("is wrong: {error}"))
        });
    }
    Some(match (access?, reach) {
        (Access::Open, Reach::Near) => Targets::All,
        (Access::Loopback, Reach::Near) => Targets::WhileOpen(Openness::default()),
        _ => Targets::Public(Vec::new()),
    })
}

/// Returns whether the rule of earlier versions opened all targets.
pub fn targets_were_open(
    reader: &Reader,
    listen: Option<&HostPort>,
    environment: Option<Environment>,
) -> bool {
    let was_near =
        environment == Some(Environment::Dev) || listen.is_some_and(HostPort::is_loopback);
    reader.layers.value(TARGETS).is_none() && was_near
}
