//! Message contents other than files. Pure.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TextContent {
    pub body: String,
    /// Show a preview of the first link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preview_url: bool,
    /// For a status: the background colour, `#RRGGBB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_color: Option<String>,
    /// For a status: the font.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<StatusFont>,
}

impl TextContent {
    pub const fn new(body: String) -> Self {
        Self {
            body,
            preview_url: false,
            background_color: None,
            font: None,
        }
    }
}

/// The font of a text status, by WhatsApp's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusFont {
    System,
    SystemText,
    FbScript,
    SystemBold,
    MorningbreezeRegular,
    CalistogaRegular,
    Exo2Extrabold,
    CourierprimeBold,
}

impl StatusFont {
    /// Each font with its name.
    pub const ALL: [(&'static str, Self); 8] = [
        ("system", Self::System),
        ("system_text", Self::SystemText),
        ("fb_script", Self::FbScript),
        ("system_bold", Self::SystemBold),
        ("morningbreeze_regular", Self::MorningbreezeRegular),
        ("calistoga_regular", Self::CalistogaRegular),
        ("exo2_extrabold", Self::Exo2Extrabold),
        ("courierprime_bold", Self::CourierprimeBold),
    ];
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Degrees, north and east positive.
    pub latitude: f64,
    pub longitude: f64,
    pub name: Option<String>,
    pub address: Option<String>,
}

/// A live location, as it was when sharing began or the sender moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiveLocation {
    pub latitude: f64,
    pub longitude: f64,
    /// Metres.
    pub accuracy: Option<u32>,
    /// Metres per second.
    pub speed: Option<f32>,
    /// Degrees clockwise from north.
    pub bearing: Option<u32>,
    pub caption: Option<String>,
    /// Grows with each move.
    pub sequence: Option<i64>,
}

/// A question with answers to choose from. Votes come as `poll.vote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PollContent {
    pub question: String,
    pub options: Vec<String>,
    /// Number of options that one person may choose; all of them when WhatsApp sets no limit.
    pub max_selections: u32,
    /// Makes it a quiz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiz: Option<PollQuiz>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PollQuiz {
    /// The correct one of the poll's options.
    pub answer: String,
}

/// An event with an invitation to respond to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalendarEvent {
    pub name: String,
    pub description: Option<String>,
    /// Whole seconds.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub start: Option<Timestamp>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub end: Option<Timestamp>,
    pub place: Option<EventVenue>,
    /// The link of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_link: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceled: bool,
}

impl CalendarEvent {
    /// The possible responses.
    pub const RESPONSES: [&str; 3] = [
        InvitationReply::Going.as_str(),
        InvitationReply::NotGoing.as_str(),
        InvitationReply::Maybe.as_str(),
    ];
}

/// A response to the invitation of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationReply {
    Going,
    NotGoing,
    Maybe,
}

impl InvitationReply {
    /// Returns the response as it appears in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Going => "going",
            Self::NotGoing => "not_going",
            Self::Maybe => "maybe",
        }
    }
}

/// The location of an event; often no more than a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventVenue {
    pub name: Option<String>,
    pub address: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
}

/// The account's own vote in a poll. Votes of others come as `poll.vote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PollVote {
    pub message_id: String,
    /// As in the poll; an empty list withdraws an earlier vote.
    pub options: Vec<String>,
}

/// The account's own response to an event. Responses of others come as `event.response`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EventResponse {
    pub message_id: String,
    /// One of [`CalendarEvent::RESPONSES`].
    #[schemars(with = "InvitationReply", description = "As in `event.response`.")]
    pub response: String,
    /// Number of additional guests.
    #[serde(default)]
    pub extra_guests: u32,
}

/// An emoji reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ReactionContent {
    pub message_id: String,
    /// `null` removes an earlier reaction.
    pub emoji: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupInvite {
    /// `…@g.us`
    pub group: String,
    pub code: String,
    pub name: Option<String>,
    pub caption: Option<String>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub expires_at: Option<Timestamp>,
}

/// An invitation to become an admin of a newsletter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewsletterInvite {
    /// `…@newsletter`
    pub newsletter: String,
    pub name: Option<String>,
    pub caption: Option<String>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub expires_at: Option<Timestamp>,
}

/// A request to share one's phone number, meant for people whose number is hidden behind a LID. It
/// carries nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhoneNumberRequest {}

/// New text for an earlier message. Requested by `PATCH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EditContent {
    pub message_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextContent>,
    /// For a message with a file: the new caption. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

/// Deletion of an earlier message for everyone. Requested by `DELETE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DeletionContent {
    pub message_id: String,
}

/// Pinning of an earlier message at the top of its chat, for all members. Requested by `PUT` and
/// `DELETE …/pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PinContent {
    pub message_id: String,
    /// Seconds; `null` unpins it.
    pub duration: Option<u32>,
}

impl PinContent {
    /// The durations that WhatsApp offers: a day, a week, a month.
    pub const DURATIONS: [u32; 3] = [86_400, 604_800, 2_592_000];
}

/// Exempts an earlier message from disappearing, or revokes that. Requested by `PUT` and `DELETE
/// …/keep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KeepContent {
    pub message_id: String,
    pub kept: bool,
}

/// A new disappearing timer for a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ChatTimer {
    /// 0: messages stay.
    pub seconds: u32,
}

impl ChatTimer {
    /// The durations that WhatsApp offers: off, a day, a week, 90 days.
    pub const CHOICES: [u32; 4] = [0, 86_400, 604_800, 7_776_000];
}

/// The announced content of an album.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AlbumContent {
    pub images: u32,
    pub videos: u32,
}
