//! Access settings: keys, proxies, and targets of callers. Pure.

use ipnet::IpNet;
use secrecy::SecretString;

use super::{HostPort, SettingReader};
use crate::config::{AccessMode, Environment};
use crate::net::egress::{EgressPolicy, OpenAccess, parse_network};

const TARGETS: &str = "WAPI_ALLOW_PRIVATE_TARGETS";
/// Shortest key in bytes for a gateway that other machines can reach: shorter ones can be guessed.
const MIN_KEY_LENGTH: usize = 16;

/// Origin of the requests that can reach the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayReach {
    /// Only its own machine.
    Local,
    /// Other machines, or proxies.
    Remote,
}

impl GatewayReach {
    /// An unparsable listener has its error already, and counts as near.
    pub fn from_listeners(listeners: [Option<&HostPort>; 2], proxies: &[IpNet]) -> Self {
        let mut known = listeners.into_iter().flatten();
        if known.all(HostPort::is_loopback) && proxies.is_empty() {
            Self::Local
        } else {
            Self::Remote
        }
    }
}

/// Reads the access. Without a key, only a listener that other machines cannot reach is open;
/// requests passed on by proxies are refused there.
pub fn read_access(
    reader: &mut SettingReader,
    listen: Option<&HostPort>,
    reach: GatewayReach,
) -> Option<AccessMode> {
    let key = reader.read_optional("WAPI_API_KEY", |text| parse_api_key(text, reach));
    let key_given = reader.sources.setting_value("WAPI_API_KEY").is_some();
    let needs_key = reader.read_required("WAPI_AUTH", |text| match text {
        "key" => Ok(true),
        "none" => Ok(false),
        other => Err(format!("is `{other}`; it can be key or none")),
    })?;
    match (needs_key, key) {
        (false, None) if key_given => None,
        (false, None) => Some(AccessMode::Open),
        (false, Some(_)) => {
            reader.errors.add(
                "WAPI_AUTH",
                "is none, but WAPI_API_KEY is set too; set one of the two",
            );
            None
        }
        (true, Some(key)) => Some(AccessMode::Key(key)),
        (true, None) if key_given || listen.is_none_or(HostPort::is_loopback) => {
            Some(AccessMode::Loopback)
        }
        (true, None) => {
            let problem = "is missing, and WAPI_INTERNAL_HOST can be reached from other machines: set WAPI_API_KEY, or \
             WAPI_AUTH=none to accept requests without a key";
            reader.errors.add("WAPI_API_KEY", problem);
            None
        }
    }
}

/// A key travels in a header, so it is visible ASCII.
fn parse_api_key(text: &str, reach: GatewayReach) -> Result<SecretString, String> {
    if reach == GatewayReach::Remote && text.len() < MIN_KEY_LENGTH {
        return Err(format!(
            "has fewer than {MIN_KEY_LENGTH} characters, and the gateway can be reached from other machines; use a long random \
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
pub fn parse_networks(text: &str) -> Result<Vec<IpNet>, String> {
    let networks = text.split(',').map(|network| parse_network(network.trim()));
    networks
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is wrong: {error}"))
}

/// Reads the allowed targets. By default, everything is open only on a private machine: where no
/// key is required, and no request comes from elsewhere.
pub fn read_allowed_targets(
    reader: &mut SettingReader,
    access: Option<&AccessMode>,
    reach: GatewayReach,
) -> Option<EgressPolicy> {
    if reader.sources.setting_value(TARGETS).is_some() {
        return reader.read_optional(TARGETS, |text| {
            EgressPolicy::parse(text).map_err(|error| format!("is wrong: {error}"))
        });
    }
    Some(match (access?, reach) {
        (AccessMode::Open, GatewayReach::Local) => EgressPolicy::All,
        (AccessMode::Loopback, GatewayReach::Local) => {
            EgressPolicy::WhileOpen(OpenAccess::default())
        }
        _ => EgressPolicy::Public(Vec::new()),
    })
}

/// Returns whether the rule of earlier versions opened all targets.
pub fn had_open_targets(
    reader: &SettingReader,
    listen: Option<&HostPort>,
    environment: Option<Environment>,
) -> bool {
    let was_near =
        environment == Some(Environment::Dev) || listen.is_some_and(HostPort::is_loopback);
    reader.sources.setting_value(TARGETS).is_none() && was_near
}
