//! Validation of endpoints from callers; each error says how to correct the value.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};
use url::Url;

use crate::model::event::TYPES;
use crate::model::suggestions::format_suggestion;
use crate::net::egress::EgressPolicy;
use crate::net::web_address::find_placeholder;

const MAX_ADDRESS_LENGTH: usize = 2_048;
const MAX_HEADERS: usize = 32;
const MAX_VALUE_LENGTH: usize = 4_096;

/// Headers that belong to one connection, to the body, or to the signature.
const RESERVED_HEADERS: [&str; 16] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Parses an address to post to.
pub fn parse_address(text: &str, allowed: &EgressPolicy) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "contains a user name, which lists of webhooks would show; send it as a header instead"
                .to_owned(),
        );
    }
    if url.fragment().is_some() {
        return Err("has a `#`, which is never sent".to_owned());
    }
    if url.as_str().len() > MAX_ADDRESS_LENGTH {
        return Err(format!("is longer than {MAX_ADDRESS_LENGTH} characters"));
    }
    if let Some(placeholder) = find_placeholder(text) {
        return Err(format!(
            "has the placeholder `{placeholder}`, which is not replaced; each event names its session, and a webhook \
             with `session` receives only the events of that one"
        ));
    }
    allowed.check_url(&url).map_err(|error| error.to_string())?;
    Ok(url)
}

/// Checks event types, and removes repetitions.
pub fn check_types(names: Vec<String>) -> Result<Vec<String>, String> {
    let mut known = Vec::new();
    for name in names {
        if !TYPES.contains(&name.as_str()) {
            return Err(describe_unknown_type(&name));
        }
        if !known.contains(&name) {
            known.push(name);
        }
    }
    Ok(known)
}

/// Describes an unknown event type.
pub fn describe_unknown_type(name: &str) -> String {
    let meant = format_suggestion(name, TYPES.iter().copied());
    format!(
        "names `{name}`, which is not an event type{meant}; the types are {}",
        TYPES.join(", ")
    )
}

/// Checks the headers to send along. Names are converted to lower case.
pub fn check_headers(given: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let mut headers = BTreeMap::new();
    for (name, value) in given {
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| format!("has `{name}`, which is not a header name"))?;
        let name = parsed.as_str().to_owned();
        if RESERVED_HEADERS.contains(&name.as_str()) || name.starts_with("webhook-") {
            return Err(format!("has `{name}`, which the gateway sets itself"));
        }
        let is_plain =
            HeaderValue::from_str(&value).is_ok() && value.is_ascii() && value.trim() == value;
        if !is_plain || value.len() > MAX_VALUE_LENGTH {
            let form = format!(
                "up to {MAX_VALUE_LENGTH} visible ASCII characters, without spaces around them"
            );
            return Err(format!(
                "has a value for `{name}` that cannot be sent; it must be {form}"
            ));
        }
        headers.insert(name, value);
    }
    if headers.len() > MAX_HEADERS {
        Err(format!("has more than {MAX_HEADERS} headers"))
    } else {
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use crate::webhooks::validation::*;

    #[test]
    fn addresses_are_of_the_web_and_carry_no_password() {
        let public = EgressPolicy::parse("none").unwrap();
        for (text, words) in [
            ("example.com", "not an address"),
            ("ftp://example.com/", "http://"),
            ("https://me:secret@example.com/", "header"),
            ("https://example.com/#here", "#"),
            ("http://10.0.0.1/", "private network"),
        ] {
            let refusal = parse_address(text, &public).unwrap_err();
            assert!(
                refusal.contains(words) && !refusal.contains("secret@"),
                "{text}: {refusal}"
            );
        }
        assert_eq!(
            parse_address("https://Example.com/hook?a=1", &public)
                .unwrap()
                .as_str(),
            "https://example.com/hook?a=1"
        );
        assert!(parse_address("http://10.0.0.1/", &EgressPolicy::All).is_ok());
    }

    #[test]
    fn nothing_is_put_in_the_place_of_placeholders() {
        for text in [
            "https://example.com/{session}/",
            "https://example.com/a?s={{session}}",
            "https://example.com/${SESSION}",
            "https://example.com/<session>",
            "https://example.com/:session/in",
            "https://example.com/$session",
            "https://example.com/a?s=$session",
            "https://example.com/a?s=:session",
            "https://example.com/a?b=1&s=:session&c=2",
            "https://example.com/a?:session",
            "https://example.com/a?$session",
            "https://example.com/a?s=$(session)",
            "https://example.com/a?s=$_SESSION",
            "https://example.com/a?s=x/$session",
            "https://example.com/a;:session",
            "https://example.com/%s",
            "https://example.com/%s/in",
            "https://example.com/a?s=%s",
            "https://example.com/a?s=%d&b=1",
            "https://example.com/a?s=%(session)s",
            "https://example.com/a?s=%SESSION%",
            "https://example.com/a?s=%device%",
            "https://example.com/a?s=%",
            "https://example.com/[session]",
            "https://example.com/[session]/in",
            "https://example.com/a?s=[session]",
            "https://example.com/a?s=[[session]]",
            "https://example.com/a?s=<session>",
            "https://[2001:db8::1]/[session]",
        ] {
            let refusal = parse_address(text, &EgressPolicy::All).unwrap_err();
            assert!(refusal.contains("placeholder"), "{text}: {refusal}");
        }
        for text in [
            "https://example.com:8080/a:b/$",
            "https://example.com/%7Bsession%7D",
            "https://[2001:db8::1]:1/",
            "https://[2001:db8::1]/",
            "https://[2001:db8::1]",
            "https://example.com/a?at=10:30&price=5$&ids[]=1&filter[name]=b&$top=1",
            "https://example.com/a?s=%D1%8F%2f&q=a%20b",
            "https://example.com/a?next=https://example.com:81/b?c=d",
            "https://example.com/$2b$10$abc?sig=ab$cd&to=me@example.com",
            "https://example.com/a?range=[]",
            "https://example.com/@me/in",
        ] {
            assert!(parse_address(text, &EgressPolicy::All).is_ok(), "{text}");
        }
    }

    #[test]
    fn unknown_types_are_named() {
        let names =
            |names: &[&str]| check_types(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            names(&["message.received", "message.received"]).unwrap(),
            ["message.received"]
        );
        assert!(
            names(&["message.received", "message.recieved"])
                .unwrap_err()
                .contains("`message.recieved`")
        );
        assert!(names(&["a,b"]).is_err());
    }

    #[test]
    fn headers_of_ours_and_headers_that_break_out_are_refused() {
        let one = |name: &str, value: &str| {
            check_headers(BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert_eq!(
            one("Authorization", "Bearer x")
                .unwrap()
                .keys()
                .collect::<Vec<_>>(),
            ["authorization"]
        );
        for name in [
            "Host",
            "Webhook-Signature",
            "webhook-id",
            "transfer-encoding",
            "Content-Type",
            "a b",
            "",
        ] {
            assert!(one(name, "x").is_err(), "{name}");
        }
        for value in ["a\r\nb: c", "\n", "é", " a"] {
            assert!(one("x-a", value).is_err(), "{value:?}");
        }
    }
}
