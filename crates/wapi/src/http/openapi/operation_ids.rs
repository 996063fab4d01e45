//! Operation ids for generated clients: `listSessions`, `sendMessage`. Pure.

/// Routes for which the rule gives no good name.
const IRREGULAR_IDS: [(&str, &str, &str); 45] = [
    ("POST", "/register-session", "originalRegisterSession"),
    ("POST", "/send-message", "originalSendMessage"),
    ("POST", "/send-image", "originalSendImage"),
    ("GET", "/get-qr-code/{session}", "originalGetQrCode"),
    (
        "GET",
        "/get-session-info/{session}",
        "originalGetSessionInfo",
    ),
    (
        "GET",
        "/get-active-connection-info/{session}",
        "originalGetActiveConnectionInfo",
    ),
    ("GET", "/", "getFrontPage"),
    ("GET", "/openapi.json", "getOpenapi"),
    ("GET", "/v1/events/stream", "streamEvents"),
    ("GET", "/v1/sessions/{session}/qr", "getQrCode"),
    (
        "POST",
        "/v1/sessions/{session}/pairing-code",
        "createPairingCode",
    ),
    ("POST", "/v1/sessions/{session}/passkey", "answerPasskey"),
    ("POST", "/v1/sessions/{session}/messages", "sendMessage"),
    (
        "POST",
        "/v1/sessions/{session}/messages/batch",
        "sendMessages",
    ),
    (
        "PATCH",
        "/v1/sessions/{session}/messages/{id}",
        "editMessage",
    ),
    (
        "POST",
        "/v1/sessions/{session}/chats/{chat}/typing",
        "showTyping",
    ),
    ("POST", "/v1/sessions/{session}/media", "uploadMedia"),
    ("GET", "/v1/sessions/{session}/media", "listMedia"),
    ("GET", "/v1/sessions/{session}/blocked", "listBlocked"),
    (
        "PUT",
        "/v1/sessions/{session}/contacts/{contact}/block",
        "blockContact",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/contacts/{contact}/block",
        "unblockContact",
    ),
    ("POST", "/v1/sessions/{session}/groups/join", "joinGroup"),
    (
        "GET",
        "/v1/sessions/{session}/groups/invites",
        "showGroupOfInvite",
    ),
    (
        "GET",
        "/v1/sessions/{session}/groups/invites/{code}",
        "getInvitedGroup",
    ),
    (
        "POST",
        "/v1/sessions/{session}/groups/{group}/participants",
        "addGroupParticipants",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/groups/{group}/membership",
        "leaveGroup",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/groups/{group}/invite",
        "revokeGroupInvite",
    ),
    (
        "POST",
        "/v1/sessions/{session}/groups/{group}/requests",
        "decideGroupRequests",
    ),
    (
        "PUT",
        "/v1/sessions/{session}/chats/{chat}/labels/{label}",
        "addChatLabel",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/chats/{chat}/labels/{label}",
        "removeChatLabel",
    ),
    (
        "PUT",
        "/v1/sessions/{session}/messages/{id}/labels/{label}",
        "addMessageLabel",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/messages/{id}/labels/{label}",
        "removeMessageLabel",
    ),
    (
        "POST",
        "/v1/sessions/{session}/calls/links",
        "createCallLink",
    ),
    (
        "POST",
        "/v1/sessions/{session}/chats/{chat}/history",
        "requestOlderMessages",
    ),
    (
        "GET",
        "/v1/sessions/{session}/newsletters/search",
        "searchNewsletters",
    ),
    (
        "PUT",
        "/v1/sessions/{session}/newsletters/{newsletter}/mute",
        "muteNewsletter",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/newsletters/{newsletter}/mute",
        "unmuteNewsletter",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/newsletters/{newsletter}/admins/{contact}",
        "demoteNewsletterAdmin",
    ),
    (
        "PUT",
        "/v1/sessions/{session}/newsletters/{newsletter}/invites/{contact}",
        "inviteNewsletterAdmin",
    ),
    (
        "DELETE",
        "/v1/sessions/{session}/newsletters/{newsletter}/invites/{contact}",
        "revokeNewsletterInvite",
    ),
    (
        "POST",
        "/v1/sessions/{session}/messages/{id}/ask-again",
        "askForMessageAgain",
    ),
    (
        "PUT",
        "/v1/sessions/{session}/newsletters/{newsletter}/counts",
        "watchNewsletterCounts",
    ),
    (
        "PATCH",
        "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}",
        "editNewsletterMessage",
    ),
    (
        "PUT",
        "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}/reaction",
        "reactToNewsletterMessage",
    ),
    (
        "POST",
        "/v1/webhooks/{id}/rotate-secret",
        "rotateWebhookSecret",
    ),
];

/// Returns the operation id of a route: a verb and the nouns of the path, without the session that
/// nearly all routes share.
pub fn operation_id(method: &str, path: &str) -> String {
    if let Some((.., name)) = IRREGULAR_IDS
        .iter()
        .find(|(verb, route, _)| (*verb, *route) == (method, path))
    {
        return (*name).to_owned();
    }
    let mut segments: Vec<_> = path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "v1"))
        .collect();
    let is_about_session = segments.len() > 2 && segments[0] == "sessions";
    if is_about_session {
        segments.drain(..2);
    }
    let is_name = |segment: &str| segment.starts_with('{');
    let nouns = segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| !is_name(segment))
        .map(|(index, segment)| match segments.get(index + 1) {
            Some(next) if is_name(next) => to_singular(&to_pascal_case(segment)),
            _ => to_pascal_case(segment),
        });
    let mut nouns: Vec<_> = nouns.collect();
    let is_list = segments
        .last()
        .is_some_and(|last| !is_name(last) && last.ends_with('s'));
    let verb = match method {
        "GET" if is_list && path.starts_with("/v1/") => "list".to_owned(),
        "GET" => "get".to_owned(),
        "PUT" => "set".to_owned(),
        "PATCH" => "update".to_owned(),
        "DELETE" => "delete".to_owned(),
        _ if is_list => {
            let made = nouns.pop().unwrap_or_default();
            nouns.push(to_singular(&made));
            "create".to_owned()
        }
        // A command: the last word of the path is the verb.
        _ => {
            let order = nouns.pop().unwrap_or_default();
            if nouns.is_empty() && is_about_session {
                nouns.push("Session".to_owned());
            }
            order[..1].to_lowercase() + &order[1..]
        }
    };
    verb + &nouns.concat()
}

/// Turns `api-keys` into `ApiKeys`.
fn to_pascal_case(segment: &str) -> String {
    let words = segment
        .split(['-', '_', '.'])
        .filter(|word| !word.is_empty());
    words
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

fn to_singular(word: &str) -> String {
    match (word.strip_suffix("ies"), word.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}y"),
        (None, Some(stem)) => stem.to_owned(),
        (None, None) => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::openapi::operation_ids::*;

    #[test]
    fn operations_are_called_what_they_do() {
        for (method, path, name) in [
            ("GET", "/health/live", "getHealthLive"),
            ("GET", "/docs", "getDocs"),
            ("GET", "/v1/sessions", "listSessions"),
            ("POST", "/v1/sessions", "createSession"),
            ("GET", "/v1/sessions/{session}", "getSession"),
            ("DELETE", "/v1/sessions/{session}", "deleteSession"),
            ("POST", "/v1/sessions/{session}/start", "startSession"),
            ("POST", "/v1/sessions/{session}/messages", "sendMessage"),
            ("GET", "/v1/sessions/{session}/messages/{id}", "getMessage"),
            (
                "POST",
                "/v1/sessions/{session}/messages/{id}/forward",
                "forwardMessage",
            ),
            (
                "GET",
                "/v1/sessions/{session}/chats/{chat}/messages",
                "listChatMessages",
            ),
            (
                "POST",
                "/v1/sessions/{session}/chats/{chat}/read",
                "readChat",
            ),
            (
                "POST",
                "/v1/sessions/{session}/contacts/check",
                "checkContacts",
            ),
            (
                "PUT",
                "/v1/sessions/{session}/contacts/{contact}/presence",
                "setContactPresence",
            ),
            ("GET", "/v1/media/{id}/content", "getMediaContent"),
            (
                "GET",
                "/v1/webhooks/{id}/deliveries",
                "listWebhookDeliveries",
            ),
            ("POST", "/v1/api-keys", "createApiKey"),
        ] {
            assert_eq!(operation_id(method, path), name, "{method} {path}");
        }
    }
}
