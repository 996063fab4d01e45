//! The table of events: the occasion of each, and how safely it is recorded.

/// No crash loses the event.
pub const AT_LEAST_ONCE: &str = "At least once";
/// A crash can lose the event, because WhatsApp does not repeat it.
pub const AT_MOST_ONCE: &str = "At most once";

/// One type of event, as the reference describes it.
pub struct EventRow {
    pub kind: &'static str,
    /// Its heading.
    pub section: &'static str,
    /// The occasion.
    pub when: &'static str,
    pub recorded: &'static str,
    /// Fields of its data that need more than their type, with the explanation.
    pub notes: &'static [(&'static str, &'static str)],
    /// Follows the fields of its data at once.
    pub remark: &'static str,
}

const MESSAGES: &str = "Messages";
const SENT: &str = "Sent messages";
const SESSIONS: &str = "Sessions and webhooks";
const OTHERS: &str = "Groups, chats, contacts, calls";

/// A row without notes.
const PLAIN: EventRow = EventRow {
    kind: "",
    section: "",
    when: "",
    recorded: "",
    notes: &[],
    remark: "",
};

/// All events, in the order of the reference.
pub const EVENTS: &[EventRow] = &[
    EventRow {
        section: MESSAGES,
        kind: "message.received",
        when: "Another person writes, or a newsletter posts.",
        recorded: AT_LEAST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.echo",
        when: "The account writes on its phone or on another linked device.",
        recorded: AT_LEAST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.undecryptable",
        when: "A message cannot be decrypted yet; its sender is asked again, and a later success \
               has the same id.",
        recorded: AT_MOST_ONCE,
        notes: &[(
            "reason",
            "`undecryptable`, `unavailable`, or, for phones only, `view_once`",
        )],
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "status.received",
        when: "Another person posts a status.",
        recorded: AT_LEAST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.edited",
        when: "The author edits a message.",
        recorded: "At least once; in newsletters at most once",
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.deleted",
        when: "The author or an admin of the group deletes a message for everyone.",
        recorded: AT_LEAST_ONCE,
        notes: &[("by", "`author` or `admin`")],
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.reaction",
        when: "A reaction is set or withdrawn.",
        recorded: AT_LEAST_ONCE,
        notes: &[("emoji", "`null`: withdrawn")],
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.pinned",
        when: "A message is pinned for everyone in its chat, or unpinned.",
        recorded: AT_LEAST_ONCE,
        notes: &[("duration", "seconds or `null`")],
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.kept",
        when: "A message in a chat with a timer is kept, or no longer kept.",
        recorded: AT_LEAST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "message.starred",
        when: "The account stars a message on another device, or removes the star; marks made \
               through wapi may be reported as well.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: MESSAGES,
        kind: "poll.vote",
        when: "Somebody votes in a poll, or changes the vote.",
        recorded: AT_LEAST_ONCE,
        notes: &[
            ("question", ""),
            ("options", ""),
            ("tally", "`option`, `votes`, `voters`"),
        ],
        remark: "; `null` when the poll is unknown",
    },
    EventRow {
        section: MESSAGES,
        kind: "event.response",
        when: "Somebody responds to an event, or changes the response.",
        recorded: AT_LEAST_ONCE,
        notes: &[("tally", "as of a poll, or `null`")],
        ..PLAIN
    },
    EventRow {
        section: SENT,
        kind: "message.sent",
        when: "WhatsApp has acknowledged the message.",
        recorded: AT_LEAST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: SENT,
        kind: "message.failed",
        when: "The message will not be sent.",
        recorded: AT_LEAST_ONCE,
        remark: " with `error`",
        ..PLAIN
    },
    EventRow {
        section: SENT,
        kind: "message.cancelled",
        when: "The message was deleted before it left.",
        recorded: AT_LEAST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: SENT,
        kind: "message.delivered",
        when: "The message is on a recipient's phone.",
        recorded: AT_MOST_ONCE,
        remark: " with `recipient`",
        ..PLAIN
    },
    EventRow {
        section: SENT,
        kind: "message.read",
        when: "A recipient has read the message, or seen the status.",
        recorded: AT_MOST_ONCE,
        remark: " with `recipient`",
        ..PLAIN
    },
    EventRow {
        section: SENT,
        kind: "message.played",
        when: "A recipient has played the voice note.",
        recorded: AT_MOST_ONCE,
        remark: " with `recipient`",
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.status",
        when: "The status of a session, or its reason, changes.",
        recorded: AT_MOST_ONCE,
        notes: &[("connection", "`state`, `since`")],
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.qr",
        when: "A QR code waits to be scanned; it replaces the one before.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.passkey",
        when: "WhatsApp asks for a passkey of the account, or the next step of that is due.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.paired",
        when: "A phone has linked the session.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.logged_out",
        when: "The session is no longer linked and needs a new QR code.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.history",
        when: "A history sync progresses, or a part is lost.",
        recorded: AT_MOST_ONCE,
        notes: &[("progress", "percent")],
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "session.limits",
        when: "WhatsApp restricts the account, changes a restriction, or ends it: see [limits](../guide/limits.md).",
        recorded: AT_MOST_ONCE,
        notes: &[
            (
                "timelock",
                "messages to people who have not written to the account are refused until then",
            ),
            (
                "new_chats",
                "the quota of such messages; `of` is `null` without one",
            ),
        ],
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "webhook.disabled",
        when: "A webhook is disabled.",
        recorded: AT_LEAST_ONCE,
        notes: &[
            ("session", "`null`: all"),
            ("reason", "`gone`: it answered 410, or `failing`"),
        ],
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "webhook.changed",
        when: "A caller creates, changes, or removes a webhook. For admin keys, and for the other webhooks.",
        recorded: AT_LEAST_ONCE,
        notes: &[
            ("session", "`null`: all"),
            ("fields", "names of the changed settings"),
        ],
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "api_key.created",
        when: "A caller creates an API key. For admin keys, and for webhooks.",
        recorded: AT_LEAST_ONCE,
        notes: &[("sessions", "`null`: all")],
        ..PLAIN
    },
    EventRow {
        section: SESSIONS,
        kind: "api_key.removed",
        when: "A caller removes an API key. For admin keys, and for webhooks.",
        recorded: AT_LEAST_ONCE,
        notes: &[("sessions", "`null`: all")],
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "group.created",
        when: "A group is created with the account, or the account is added to one.",
        recorded: AT_MOST_ONCE,
        notes: &[(
            "participants",
            "persons with `role`: `member`, `admin`, `superadmin`",
        )],
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "group.updated",
        when: "A property of a group changes.",
        recorded: AT_MOST_ONCE,
        notes: &[(
            "change",
            "one of `subject`, `description`, `announcement`, `locked`, `expires_in`, `approval`, `member_add`, \
             `limit_forwarding`, `limit_sharing`, `admin_reports`, `suspended`, `growth_locked`, `invite_link` \
             (in the feed for keys with the scope `manage` only), `community`, `group_linked`, `group_unlinked`, `deleted`",
        )],
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "group.participants",
        when: "Members join, leave, or change their role.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "group.request",
        when: "People want to join a group that the account is an admin of, or no longer do.",
        recorded: AT_MOST_ONCE,
        notes: &[("method", "`invite_link`, `community`, `member`, or `null`")],
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "chat.disappearing",
        when: "Somebody sets the timer of a chat of two; for groups it is `group.updated`.",
        recorded: AT_LEAST_ONCE,
        notes: &[("disappearing", "seconds; 0: messages stay")],
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "chat.typing",
        when: "Somebody types or records, while the account is `available`.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "presence.changed",
        when: "A watched contact comes or goes.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "call.incoming",
        when: "Somebody calls.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "call.ended",
        when: "A call no longer rings.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "newsletter.counts",
        when: "The reactions to posts of a watched newsletter change.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "label.updated",
        when: "A label is created, renamed, recoloured, or deleted on any device of the account, or \
               through the gateway.",
        recorded: AT_MOST_ONCE,
        ..PLAIN
    },
    EventRow {
        section: OTHERS,
        kind: "chat.updated",
        when: "A chat is archived, pinned, muted, labelled, marked as unread, read, cleared, or \
               deleted on any device of the account.",
        recorded: AT_MOST_ONCE,
        notes: &[(
            "muted_until",
            "`null`: no longer; the year 9998: indefinitely",
        )],
        remark: "; only what changes is there",
    },
    EventRow {
        section: OTHERS,
        kind: "contact.updated",
        when: "A name, an address, the about text, or the picture of a person changes.",
        recorded: "At least once for a name or an address that comes with a message, else at \
                   most once",
        notes: &[
            ("merged", "a former id"),
            ("picture", "`id`, `url`, or `null`"),
        ],
        remark: "; only what changes is there",
    },
];
