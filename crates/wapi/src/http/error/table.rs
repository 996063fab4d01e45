//! The table of problems: status, code, title, detail, and meaning of each in one row.

use super::{FieldError, ProblemType};
use crate::http::access::unkeyed::StrangerError;
use crate::model::access::Scope;
use crate::model::send_failure::SendFailure;
use crate::net::pace::TooSlowError;
use crate::sessions::SessionPhase;

/// Builds [`Problem`] and [`PROBLEM_TYPES`] from the same rows. The comment of a row is its meaning
/// in the reference, and may use the values of the variant in its detail.
macro_rules! problems {
    ($($section:literal {$(
        $(#[doc = $meaning:literal])+
        $variant:ident $(($value:ident: $value_type:ty))? $({$($field:ident: $field_type:ty),+})?
            => $status:literal $code:literal $title:literal, $detail:expr;
    )+})+) => {
        /// Why a request failed.
        #[derive(Debug)]
        pub enum Problem {
            $($(
                $(#[doc = $meaning])+
                $variant $(($value_type))? $({$($field: $field_type),+})?,
            )+)+
            /// A message failed while its caller waited.
            NotSent {
                failure: SendFailure,
                detail: String,
            },
        }

        /// The problem types of the table, in the order of the reference.
        pub static PROBLEM_TYPES: &[ProblemType] = &[$($(
            ProblemType {
                code: $code,
                status: $status,
                title: $title,
                meaning: concat!($($meaning),+).trim_ascii_start(),
                section: $section,
            },
        )+)+];

        impl Problem {
            pub(super) fn problem_type(&self) -> ProblemType {
                match self {
                    $($(Self::$variant { .. } => ProblemType {
                        code: $code,
                        status: $status,
                        title: $title,
                        meaning: concat!($($meaning),+).trim_ascii_start(),
                        section: $section,
                    },)+)+
                    Self::NotSent { failure, .. } => super::failed_sends::failed_send_type(failure),
                }
            }

            /// Returns the fault of this one request, or the remedy.
            pub(super) fn detail(&self) -> String {
                match self {
                    $($(Self::$variant $(($value))? $({$($field),+})? => String::from($detail),)+)+
                    Self::NotSent { detail, .. } => detail.clone(),
                }
            }
        }
    };
}

problems! {
    "Requests" {
        /// The body is not a JSON object, or ended before it was complete.
        InvalidBody(detail: String) => 400 "invalid_body" "Invalid request body",
            detail;
        /// Some fields are missing or wrong; `errors` names each of them.
        InvalidFields(errors: Vec<FieldError>) => 400 "invalid_fields" "Invalid fields",
            join_field_errors(errors);
        /// The body arrived more slowly than the required pace.
        BodyTooSlow => 408 "body_too_slow" "Request body too slow",
            format!("{TooSlowError}; send it again over a faster connection");
        /// The body is larger than the limit; `detail` has the limit.
        BodyTooLarge(limit: usize) => 413 "body_too_large" "Request body too large",
            format!("the limit is {limit} bytes");
        /// There is no such route.
        NoRoute => 404 "route_not_found" "Route not found",
            "check the path and its version; GET /openapi.json describes every route";
        /// The route does not accept this method; the header `Allow` lists those that it accepts.
        MethodNotAllowed => 405 "method_not_allowed" "Method not allowed",
            "the header `Allow` lists the methods that this route accepts";
        /// A QR code is not available in any of the formats in `Accept`.
        NotAcceptable => 406 "not_acceptable" "No acceptable format",
            "a QR code is available as image/png, image/svg+xml, text/plain, and application/json";
        /// The limit of simultaneous requests with this key, or from this address, is reached.
        TooManyRequests(subject: &'static str) => 429 "too_many_requests" "Too many requests",
            format!(
                "the limit of simultaneous {subject} is reached, streams and waiting requests \
                 included; end some, or try again later"
            );
    }
    "Access" {
        /// The request has no valid API key.
        Unauthorized => 401 "unauthorized" "API key missing or invalid",
            "send the key of WAPI_API_KEY, or one created with POST /v1/api-keys, as \
             `Authorization: Bearer …` or `X-Api-Key: …`";
        /// The gateway requires no key, and the request does not come from its own machine; `detail`
        /// has the remedy.
        Stranger(reason: StrangerError) => 403 "stranger" "Request from an untrusted origin",
            reason.problem_detail();
        /// A form of the dashboard was sent by a page of another origin, or by a program that names
        /// none.
        ForeignForm => 403 "foreign_form" "Form of another origin",
            "the forms of the dashboard are sent by its own pages only; programs use /v1";
        /// A form of the dashboard belongs to another login, or to none.
        StaleForm => 403 "stale_form" "Form of another login",
            "send the form again from a page that was loaded after the login";
        /// A form of the dashboard does something that asks for the key of the login again.
        KeyNotShown => 403 "key_not_shown" "API key not typed lately",
            "type the API key of this login into the form, and send it again";
        /// The key lacks a scope; `detail` names it.
        ScopeMissing(scope: Scope) => 403 "scope_missing" "API key lacks a scope",
            name_scopes(*scope);
        /// The key is for other sessions. The answer is the same whether this session exists or not.
        SessionNotAllowed => 403 "session_not_allowed" "API key not valid for this session",
            "use a key for all sessions, or one whose `sessions` include this one";
        /// The route concerns the whole gateway, and the key is for some sessions.
        NotForAllSessions => 403 "not_for_all_sessions" "API key not valid for all sessions",
            "this route concerns the whole gateway; use a key for all sessions";
        /// There is no API key with this id.
        NoApiKey => 404 "api_key_not_found" "API key not found",
            "GET /v1/api-keys lists all keys";
        /// The first API key must be an admin's, for all sessions, and without `expires_at`: any other
        /// one would lock every caller out.
        AdminKeyFirst => 409 "admin_key_first" "First API key must be an admin key",
            "keys are required as soon as there is one: create one with the scope `admin`, for all \
             sessions, and without `expires_at` first, or set WAPI_API_KEY";
        /// Without this key nobody could create or remove keys.
        LastAdminKey => 409 "last_admin_key" "Last admin key",
            "without it nobody could create or remove keys; remove the other keys first, or set \
             WAPI_API_KEY";
    }
    "Sessions" {
        /// There is no session with this name.
        NoSession => 404 "session_not_found" "Session not found",
            "create it with POST /v1/sessions, or with POST /register-session/";
        /// There is a session with this name already.
        SessionExists => 409 "session_exists" "Session already exists",
            "choose another name, or remove that session first";
        /// The session still executes an earlier command.
        SessionBusy => 503 "session_busy" "Session busy",
            "the session still executes an earlier command, and this one was not executed; only a \
             removal goes on. Check the session, and try again";
        /// No phone has linked the session.
        NotPaired => 409 "session_not_paired" "Session not linked",
            "scan the QR code of GET /v1/sessions/…/qr with a phone";
        /// A phone has linked the session already.
        AlreadyPaired => 409 "session_already_paired" "Session already linked",
            "log it out before you link it to another phone";
        /// The session is not online; `detail` has its status and the reason.
        NotOnline { status: SessionPhase, reason: Option<String> }
            => 409 "session_not_online" "Session not online",
            format_phase(*status, reason.as_deref());
        /// The session has no proxy.
        NoProxy => 409 "proxy_not_set" "No proxy",
            "set one with PATCH /v1/sessions/…, or for all sessions with WAPI_PROXY";
        /// The saved session cannot be opened; `detail` has the reason.
        SessionFailed { reason: String } => 409 "session_failed" "Session cannot be opened",
            reason;
        /// No QR code waits to be scanned: the session is online, or still connecting.
        NoQrCode => 404 "qr_code_not_found" "QR code not found",
            "the session is online, or still connecting";
        /// The session is not connected.
        NoConnection => 404 "connection_not_found" "Connection not found",
            "GET /get-session-info/…/ shows the state of the session";
        /// WhatsApp gave no pairing code; `detail` has the reason.
        PairingCodeRefused { detail: String } => 502 "pairing_code_refused" "No pairing code",
            detail;
        /// The session has no connect link with this id.
        NoConnectLink => 404 "connect_link_not_found" "Connect link not found",
            "GET /v1/sessions/…/connect-links lists the links of the session";
        /// WhatsApp does not ask the session for a passkey.
        NoPasskey => 404 "passkey_not_found" "Passkey not requested",
            "WhatsApp asks for one after the QR code was scanned or the pairing code typed, and only \
             for some accounts";
        /// Another step of the passkey is due, or none; `detail` explains which.
        UnexpectedPasskeyStep(detail: &'static str) => 409 "passkey_step" "Another passkey step is due",
            *detail;
        /// WhatsApp did not link the session with this passkey; `detail` has the reason.
        PasskeyRefused { detail: String } => 502 "passkey_refused" "Passkey refused",
            detail;
    }
    "Messages" {
        /// The message was not sent through wapi, or is no longer stored.
        NoMessage => 404 "message_not_found" "Message not found",
            "it was not sent through this gateway, or is no longer stored; where a route accepts \
             `chat`, name the chat of the message";
        /// No event tells of an unreadable message with this id in this chat, or no longer.
        NoUnreadable => 404 "unreadable_not_found" "Unreadable message not found",
            "GET /v1/events?types=message.undecryptable lists the messages that could not be read";
        /// The message could not be read at first, and has come since.
        MessageReadable => 409 "message_readable" "Message has come since",
            "it was sent again, and read; GET /v1/events has it under the same id";
        /// WhatsApp gives this message only to the account's phone.
        OnPhoneOnly => 409 "on_phone_only" "Message for the phone only",
            "WhatsApp does not give this message to linked devices; open it on the phone of the account";
        /// The sender was asked for the message as often as WhatsApp's clients ask.
        AskedTooOften => 429 "asked_too_often" "Message asked for too often",
            "the sender does not answer; the phone of the account may have the message";
        /// The message is too old to be edited: phones accept edits for 15 minutes.
        EditTooLate => 409 "too_late" "Too late to edit the message",
            "phones accept edits for 15 minutes; send a new message, or delete this one";
        /// The idempotency key belongs to another request; keys are remembered for 24 hours.
        IdempotencyKeyReused => 409 "idempotency_key_reused" "Idempotency key already used",
            "use a new key for a new message; keys are remembered for 24 hours";
        /// Too many messages of this session are pending; `detail` has the limit.
        QueueFull(limit: usize) => 429 "queue_full" "Too many pending messages",
            format!("the limit of {limit} pending messages of a session is reached; try again later");
        /// Too many links of this session wait to be downloaded; `detail` has the limit.
        TooManyLinks(limit: usize) => 429 "too_many_links" "Too many pending links",
            format!(
                "the limit of {limit} links of a session that wait to be downloaded is reached; try \
                 again later"
            );
    }
    "Failed messages" {
        /// WhatsApp refused the message or the request; for messages, `detail` has WhatsApp's code
        /// (see below).
        WhatsappRefused { detail: String } => 502 "whatsapp_refused" "WhatsApp refused the request",
            detail;
        /// The account is not a member of the group, or there is no such group; nothing was sent.
        NoGroup => 404 "group_not_found" "Group not found",
            "GET /v1/sessions/…/groups lists the groups of the account";
        /// There is no such newsletter; nothing was sent.
        NoNewsletter => 404 "newsletter_not_found" "Newsletter not found",
            "GET /v1/sessions/…/newsletters lists the newsletters that the account follows";
    }
    "Chats, contacts, calls, shops" {
        /// Nothing was written in the chat yet, or it is no longer stored.
        NoChat => 404 "chat_not_found" "Chat not found",
            "nothing was written in it yet, or it is no longer stored; GET /v1/sessions/…/chats lists \
             all chats";
        /// The account has no label with this id.
        NoLabel => 404 "label_not_found" "Label not found",
            "GET /v1/sessions/…/labels lists the labels of the account";
        /// No contact with this address is known.
        NoContact => 404 "contact_not_found" "Contact not found",
            "GET /v1/sessions/…/contacts lists all contacts; POST …/contacts/check asks WhatsApp";
        /// The contact is no business, or has no profile of one.
        NoBusiness => 404 "business_not_found" "Business not found",
            "the contact has no profile of a business";
        /// The contact has no picture, or does not show it to this account.
        NoPicture => 404 "picture_not_found" "Picture not found",
            "there is none, or it is not shown to this account";
        /// The call has ended, or was rejected already.
        NoCall => 404 "call_not_found" "Call not found",
            "it has ended, or was rejected already";
        /// WhatsApp knows of no catalogue of this business.
        NoCatalog => 404 "catalog_not_found" "Catalogue not found",
            "WhatsApp knows of none; a business creates it in its WhatsApp Business app";
        /// WhatsApp knows of no order with this id and token.
        NoOrder => 404 "order_not_found" "Order not found",
            "WhatsApp knows of none with this id and token; the message of type `order` has both";
        /// History is turned off: `WAPI_HISTORY` is `off`.
        HistoryOff => 409 "history_off" "History turned off",
            "the setting WAPI_HISTORY is `off`; set it to a number of days, or to `forever`";
        /// The labels of the account are not read yet, so it is not known which ids are free.
        LabelsUnread => 409 "labels_unread" "Labels not read yet",
            "the phone has not shared the keys to the labels of the account; try again when `app_state` of the \
             session is `synced`";
        /// The session was created without `"history": true`, so that nothing older can be imported.
        HistoryNotRequested => 409 "history_not_requested" "History not requested",
            "older messages are imported only in a session created with `\"history\": true`";
        /// WhatsApp no longer knows the request in the form in which this version of the gateway makes
        /// it.
        WhatsappChanged { detail: String } => 502 "whatsapp_changed" "WhatsApp changed the request",
            detail;
        /// WhatsApp, or the phone, did not answer in time.
        WhatsappTimeout { detail: String } => 504 "whatsapp_timeout" "No answer from WhatsApp",
            detail;
    }
    "Groups and communities" {
        /// The account may not do this in the group: only its admins may, or WhatsApp protects the
        /// member or the group; `detail` has the reason.
        GroupForbidden { detail: String } => 403 "group_forbidden" "Not allowed in this group",
            detail;
        /// The account is in no community with this address.
        NoCommunity => 404 "community_not_found" "Community not found",
            "GET /v1/sessions/…/communities lists the communities of the account";
        /// The person is not a member of the group.
        NoMember => 404 "participant_not_found" "Participant not found",
            "GET /v1/sessions/…/groups/…/participants lists the members";
        /// The invite does not exist, was revoked, or has expired.
        NoInvite => 404 "invite_not_found" "Invite not found",
            "it does not exist, was revoked, or has expired; ask an admin for another";
        /// Somebody else has changed the description at the same time; nothing was changed.
        DescriptionChanged => 409 "description_changed" "Description changed meanwhile",
            "read the description again, and repeat the request if it is still wanted";
        /// The group or the community has as many members as WhatsApp allows.
        GroupFull => 409 "group_full" "Group full",
            "WhatsApp allows no further members";
        /// WhatsApp has suspended the group, or closed its invite link for a while.
        InviteUnavailable => 409 "invite_unavailable" "Invite not available",
            "WhatsApp has suspended the group, or closed its invite link for a while; try again later";
        /// The group is part of a community already, or is a community itself.
        GroupLinked => 409 "group_linked" "Group linked already",
            "a group belongs to one community, and a community to none";
        /// There were too many changes to groups; the gateway has waited as long as a request may.
        GroupRateLimited => 429 "group_rate_limited" "Too many changes to groups",
            "WhatsApp refuses further changes for a while; try again later";
    }
    "Files" {
        /// There is no such file, or it belongs to a session outside of the key's reach.
        NoMedia => 404 "media_not_found" "File not found",
            "it never existed, belongs to another session, or is no longer stored";
        /// The file is still on WhatsApp's servers; try again later.
        MediaNotReady { detail: String } => 409 "media_not_ready" "File not downloaded yet",
            detail;
        /// The file was removed, or cannot be downloaded; `detail` has the reason.
        MediaGone { detail: String } => 410 "media_gone" "File no longer available",
            detail;
        /// The requested range lies outside of the file; `Content-Range` has its size.
        RangeNotSatisfiable(size: u64) => 416 "range_not_satisfiable" "Range not satisfiable",
            format!("the file has {size} bytes");
    }
    "Webhooks" {
        /// There is no webhook with this id.
        NoWebhook => 404 "webhook_not_found" "Webhook not found",
            "GET /v1/webhooks lists all webhooks";
        /// The webhook has no delivery with this number.
        NoDelivery => 404 "delivery_not_found" "Delivery not found",
            "GET /v1/webhooks/…/deliveries lists the deliveries of the webhook";
        /// There is no event with this id, or no longer.
        NoEvent => 404 "event_not_found" "Event not found",
            "GET /v1/events lists the events; old ones, and those of removed sessions, cannot be sent again";
        /// This webhook belongs to the settings: `WAPI_GETTING_MESSAGES_WEBHOOK` and
        /// `WAPI_WEBHOOK_SECRET`.
        OriginalWebhook => 409 "webhook_is_original" "Webhook belongs to the settings",
            "it can be enabled, disabled, tested, and sent events again; its address is \
             WAPI_GETTING_MESSAGES_WEBHOOK, its secret WAPI_WEBHOOK_SECRET";
    }
    "The gateway" {
        /// The gateway is starting, and has not loaded the saved sessions yet.
        Starting => 503 "starting" "Gateway starting",
            "try again in a moment";
        /// The gateway is stopping.
        Stopping => 503 "stopping" "Gateway stopping",
            "try again in a moment";
        /// A part that the gateway depends on does not work; `detail` has the reason.
        NotReady { detail: String } => 503 "not_ready" "Gateway not ready",
            detail;
        /// A fault of the gateway; the log has the cause under the request's id.
        Internal => 500 "internal" "Internal error",
            "the log has the cause, under the request's id";
    }
}

fn join_field_errors(errors: &[FieldError]) -> String {
    let each: Vec<_> = errors
        .iter()
        .map(|error| format!("`{}` {}", error.field, error.detail))
        .collect();
    each.join("; ")
}

fn name_scopes(scope: Scope) -> String {
    match scope {
        Scope::Admin => "use a key with the scope `admin`".to_owned(),
        scope => format!(
            "use a key with the scope `{}` or `admin`",
            <&str>::from(scope)
        ),
    }
}

fn format_phase(status: SessionPhase, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("it is {}: {reason}", <&str>::from(status)),
        None => format!("it is {}", <&str>::from(status)),
    }
}
