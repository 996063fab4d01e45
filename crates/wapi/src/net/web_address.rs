//! Web addresses in text: how they are shown, and placeholders that somebody forgot in them. Pure.

use url::Url;

/// Returns an address for display, without the password it may carry.
pub fn mask_password(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("********"));
            url.into()
        }
        _ => address.to_owned(),
    }
}

/// Finds a part that looks like a placeholder: it would be posted to literally.
pub fn find_placeholder(address: &str) -> Option<&str> {
    let of_a_pair = |open: char, close: char| {
        let start = address.find(open)?;
        let end = address[start..].rfind(close)?;
        Some(&address[start..=start + end])
    };
    of_a_pair('{', '}')
        .or_else(|| of_a_pair('<', '>'))
        .or_else(|| find_variable(address))
        .or_else(|| find_stray_percent(address))
}

/// Finds a path part or query value like `:session`, `$session` or `[session]`. Query names may
/// look like that: `$filter=…`.
fn find_variable(address: &str) -> Option<&str> {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    // Brackets in a host belong to an IPv6 address.
    let host = path.find("://").map_or(0, |scheme| scheme + 3);
    let folders = path[host..]
        .split(['/', ';', ','])
        .enumerate()
        .filter(|(index, part)| *index > 0 || !part.starts_with('['));
    let values = query
        .split(['&', ';'])
        .map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let values = values.flat_map(|value| value.split(['/', ',', '=', '?']));
    let begins_a_name = |rest: &str| {
        rest.starts_with(|sign: char| sign.is_alphabetic() || sign == '_' || sign == '(')
    };
    folders.map(|(_, part)| part).chain(values).find(|part| {
        let marked = part.strip_prefix([':', '$']).is_some_and(begins_a_name);
        let bracketed = part
            .strip_prefix('[')
            .and_then(|part| part.strip_suffix(']'))
            .is_some_and(|name| !name.is_empty());
        marked || bracketed
    })
}

/// Finds a percent sign that encodes nothing, as in `%s`, `%(session)s` or `%SESSION%`, together
/// with the text after it.
fn find_stray_percent(address: &str) -> Option<&str> {
    let at = address.match_indices('%').map(|(at, _)| at).find(|at| {
        let code = address.as_bytes().get(at + 1..at + 3);
        !code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    })?;
    let rest = &address[at..];
    let end = rest[1..]
        .find(['/', '?', '&', '=', '#'])
        .map_or(rest.len(), |end| end + 1);
    Some(&rest[..end])
}
