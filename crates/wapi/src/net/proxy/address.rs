//! The address of a proxy, and the login that nobody is shown. Pure.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use url::{Host, Url};

/// The form that error messages show.
const FORM: &str = "must be like socks5h://user:password@proxy.example.com:1080";
/// SOCKS5 has one byte for the length of each.
const MAX_LOGIN_BYTES: usize = 255;

/// The protocol of a proxy.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    Serialize,
    JsonSchema,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ProxyScheme {
    /// The gateway resolves names.
    Socks5,
    /// The proxy resolves names.
    Socks5h,
    /// CONNECT over TCP.
    Http,
    /// CONNECT over TLS.
    Https,
}

/// A proxy and the login for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyAddress {
    scheme: ProxyScheme,
    host: Host<String>,
    port: u16,
    login: Option<ProxyLogin>,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyLogin {
    pub(super) user: String,
    pub(super) password: String,
}

impl ProxyAddress {
    /// Parses an address. The error explains the mistake without repeating the text, which may
    /// contain a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("has no scheme; it {FORM}"))?;
        let scheme = scheme.to_ascii_lowercase().parse().map_err(|_| {
            let known = ProxyScheme::VARIANTS.join("://, ");
            format!("has an unknown scheme; the schemes are {known}://")
        })?;
        // Those would be read in two ways below, or not at all.
        let is_unreadable = |sign: char| sign == '\\' || sign.is_whitespace() || sign.is_control();
        if rest.contains(is_unreadable) {
            return Err(
                "has a backslash, a space, or a control character; in a password they are \
                        written as %5C, %20, …"
                    .to_owned(),
            );
        }
        // Two views: the first keeps every port, the second reads addresses as browsers do.
        let plain = Url::parse(&format!("socks5://{rest}")).map_err(|_| FORM.to_owned())?;
        let host = match Url::parse(&format!("http://{rest}")) {
            Ok(url) => url.host().map(|host| host.to_owned()),
            Err(_) => None,
        };
        let host = host.ok_or_else(|| format!("has no valid host; it {FORM}"))?;
        let port = plain
            .port()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("has no port; it {FORM}"))?;
        if !matches!(plain.path(), "" | "/") || plain.query().is_some() {
            return Err("has a path, which a proxy does not have".to_owned());
        }
        if plain.fragment().is_some() {
            return Err("has a `#`; in a password it is %23".to_owned());
        }
        let login = ProxyLogin::from_url(&plain)?;
        let is_socks = matches!(scheme, ProxyScheme::Socks5 | ProxyScheme::Socks5h);
        if is_socks
            && login
                .as_ref()
                .is_some_and(|login| login.password.is_empty())
        {
            return Err("has a user without a password, which SOCKS5 does not know".to_owned());
        }
        let proxy = Self {
            scheme,
            host,
            port,
            login,
        };
        // A client that cannot read it would leave without it.
        if proxy.to_string().parse::<Uri>().is_err() {
            return Err(format!("has no valid host; it {FORM}"));
        }
        Ok(proxy)
    }

    /// Returns the protocol.
    pub const fn scheme(&self) -> ProxyScheme {
        self.scheme
    }

    pub(super) const fn host(&self) -> &Host<String> {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn login(&self) -> Option<&ProxyLogin> {
        self.login.as_ref()
    }

    /// Whether names of targets are resolved by the gateway.
    pub fn is_resolving_here(&self) -> bool {
        self.scheme == ProxyScheme::Socks5
    }

    /// Returns the address with its login, to be saved or handed to a client. Secret.
    pub fn to_secret_url(&self) -> String {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let login = self.login.as_ref().map_or_else(String::new, |login| {
            format!("{}:{}@", encode(&login.user), encode(&login.password))
        });
        format!("{}://{login}{}:{}", self.scheme, self.host, self.port)
    }

    /// Returns the public part. A user without a password is often a secret itself.
    pub fn describe(&self) -> ProxyDescription {
        let login = self.login.as_ref();
        let user = login.filter(|login| !login.password.is_empty());
        ProxyDescription {
            scheme: self.scheme,
            host: self.host.to_string(),
            port: self.port,
            user: user.map(|login| login.user.clone()),
        }
    }
}

impl ProxyLogin {
    fn from_url(url: &Url) -> Result<Option<Self>, String> {
        let decode = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(|text| text.into_owned())
                .map_err(|_| "has a user or a password that is not UTF-8".to_owned())
        };
        let user = decode(url.username())?;
        let password = decode(url.password().unwrap_or_default())?;
        if user.is_empty() && password.is_empty() {
            return Ok(None);
        }
        if user.is_empty() {
            return Err("has a password without a user".to_owned());
        }
        if user.contains(':') {
            return Err("has a `:` in the user, where the password begins".to_owned());
        }
        let has_controls = user.chars().chain(password.chars()).any(char::is_control);
        if has_controls || user.len().max(password.len()) > MAX_LOGIN_BYTES {
            return Err(format!(
                "has a user or a password with control characters, or of more than {MAX_LOGIN_BYTES} bytes"
            ));
        }
        Ok(Some(Self { user, password }))
    }

    /// Returns the value of the header `Proxy-Authorization`. Secret.
    pub(super) fn to_basic(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", STANDARD.encode(pair))
    }
}

/// Shows no password and no user.
impl fmt::Display for ProxyAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProxyAddress({self})")
    }
}

/// The public part of a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProxyDescription {
    pub scheme: ProxyScheme,
    pub host: String,
    pub port: u16,
    /// The user of its login; the password is never shown.
    pub user: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown_without_its_password() {
        let proxy =
            ProxyAddress::parse("SOCKS5H://me:p%40ss%3A%C3%A9@Proxy.Example:1080/").unwrap();
        assert_eq!(proxy.to_string(), "socks5h://proxy.example:1080");
        assert_eq!(
            format!("{proxy:?}"),
            "ProxyAddress(socks5h://proxy.example:1080)"
        );
        assert_eq!(proxy.login().unwrap().password, "p@ss:é");
        assert_eq!(
            ProxyAddress::parse(&proxy.to_secret_url()),
            Ok(proxy.clone())
        );
        let shown = serde_json::to_value(proxy.describe()).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({"scheme": "socks5h", "host": "proxy.example", "port": 1080, "user": "me"})
        );
    }

    #[test]
    fn a_user_without_a_password_may_be_the_secret_and_is_not_shown() {
        let proxy = ProxyAddress::parse("http://secret@a:80").unwrap();
        assert_eq!(proxy.describe().user, None);
        assert_eq!(proxy.to_secret_url(), "http://secret:@a:80");
    }

    #[test]
    fn a_port_that_is_usual_elsewhere_is_a_port() {
        for text in [
            "http://a:80",
            "https://a:443",
            "socks5://a:21",
            "http://[::1]:80",
        ] {
            assert_eq!(ProxyAddress::parse(text).unwrap().to_string(), text);
        }
        let odd = ProxyAddress::parse("socks5://0x7f.1:1080").unwrap();
        assert_eq!(odd.to_string(), "socks5://127.0.0.1:1080");
    }

    #[test]
    fn a_wrong_address_is_explained_and_not_repeated() {
        for (text, words) in [
            ("a:1", "no scheme"),
            ("ftp://me:secret@a:21", "unknown scheme"),
            ("socks4://a:1080", "unknown scheme"),
            ("socks5://me:secret@a", "no port"),
            ("socks5://a:0", "no port"),
            ("http://a:70000", "must be like"),
            ("http://:80", "must be like"),
            ("http://a:80/secret", "path"),
            ("http://a:80?secret", "path"),
            ("http://me:secret#1@a:80", "must be like"),
            ("http://a:80#secret", "#"),
            ("http://:secret@a:80", "without a user"),
            ("socks5h://me@a:80", "without a password"),
            ("http://a%3Ab:secret@a:80", "`:`"),
            ("http://a:se%0Acret@a:80", "control"),
            ("http://a:12\\secret@a:80", "backslash"),
            ("http://a:se\tcret@a:80", "backslash"),
            ("http://a{secret:80", "must be like"),
        ] {
            let error = ProxyAddress::parse(text).unwrap_err();
            assert!(
                error.contains(words) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
    }
}
