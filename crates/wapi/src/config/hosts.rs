//! Host names of the gateway. Pure.

use std::net::IpAddr;

use url::Host;

/// The gateway's own host names, beside those that every machine has for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNames(Vec<String>);

impl HostNames {
    /// Parses names separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let wrong = || {
                format!("has `{name}`, which is not a host name; write it without a port or a path")
            };
            match Host::parse(name).map_err(|_| wrong())? {
                Host::Domain(name) => Ok(normalize_name(&name)),
                Host::Ipv4(address) => Ok(address.to_string()),
                Host::Ipv6(address) => Ok(address.to_string()),
            }
        };
        text.split(',')
            .map(str::trim)
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Returns whether the called host is a loopback name or address, or one of these.
    pub fn is_loopback_or_named(&self, called: &str) -> bool {
        let name = strip_port(called);
        name == "localhost"
            || parse_address(&name).is_some_and(|address| address.is_loopback())
            || self.has_name(&name)
    }

    /// Returns whether the called host is an address, which no foreign web page can have as its
    /// name, or `localhost`, or one of these.
    pub fn is_address_or_named(&self, called: &str) -> bool {
        let name = strip_port(called);
        name == "localhost" || parse_address(&name).is_some() || self.has_name(&name)
    }

    fn has_name(&self, name: &str) -> bool {
        self.0.iter().any(|own| own == name)
    }
}

fn parse_address(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

/// Returns the host of a `Host` header without its port.
fn strip_port(called: &str) -> String {
    let host =
        called.rsplit_once(':').map_or(
            called,
            |(host, port)| if port.ends_with(']') { called } else { host },
        );
    normalize_name(
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host),
    )
}

/// Returns the name in lower case and without a trailing dot.
fn normalize_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
