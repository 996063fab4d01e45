//! What messages say that is no file. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    pub body: String,
    /// Its first link is shown with what the page says of itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preview_url: bool,
    /// Of a status: the colour behind it, `#RRGGBB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_color: Option<String>,
    /// Of a status: what it is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<Font>,
}

impl Text {
    pub const fn new(body: String) -> Self {
        Self {
            body,
            preview_url: false,
            background_color: None,
            font: None,
        }
    }
}

/// What a text status is written in, by WhatsApp's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Font {
    System,
    SystemText,
    FbScript,
    SystemBold,
    MorningbreezeRegular,
    CalistogaRegular,
    Exo2Extrabold,
    CourierprimeBold,
}

impl Font {
    /// Each with its name.
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees, north and east positive.
    pub latitude: f64,
    pub longitude: f64,
    pub name: Option<String>,
    pub address: Option<String>,
}

/// Where somebody is, as it was when they began to share it or moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveLocation {
    pub latitude: f64,
    pub longitude: f64,
    /// Metres.
    pub accuracy: Option<u32>,
    /// Metres a second.
    pub speed: Option<f32>,
    /// Degrees clockwise from north.
    pub bearing: Option<u32>,
    pub caption: Option<String>,
    /// Grows with each move.
    pub sequence: Option<i64>,
}

/// A question with answers to choose from. Who chose what comes as `poll.vote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    pub question: String,
    pub options: Vec<String>,
    /// How many options one person may choose; all of them when WhatsApp sets no limit.
    pub max_selections: u32,
    /// Makes it a quiz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiz: Option<Quiz>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiz {
    /// The right one of the poll's options.
    pub answer: String,
}

/// Something that takes place, to come to or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalendarEvent {
    pub name: String,
    pub description: Option<String>,
    /// Whole seconds.
    #[serde(serialize_with = "crate::stamp::optional")]
    pub start: Option<Timestamp>,
    #[serde(serialize_with = "crate::stamp::optional")]
    pub end: Option<Timestamp>,
    pub place: Option<Place>,
    /// Of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_link: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceled: bool,
}

impl CalendarEvent {
    /// What people answer to it.
    pub const RESPONSES: [&str; 3] = ["going", "not_going", "maybe"];
}

/// Where an event takes place; often no more than a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub name: Option<String>,
    pub address: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
}

/// What the account chooses in a poll. What others choose comes as `poll.vote`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollVote {
    pub message_id: String,
    /// As the poll has them; none takes an earlier vote back.
    pub options: Vec<String>,
}

/// What the account answers to an event. What others answer comes as `event.response`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventResponse {
    pub message_id: String,
    /// One of [`CalendarEvent::RESPONSES`].
    pub response: String,
    /// Others who come along.
    #[serde(default)]
    pub extra_guests: u32,
}

/// An emoji that is put to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    pub message_id: String,
    /// `null` takes an earlier one back.
    pub emoji: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInvite {
    /// `…@g.us`
    pub group: String,
    pub code: String,
    pub name: Option<String>,
    pub caption: Option<String>,
    #[serde(serialize_with = "crate::stamp::optional")]
    pub expires_at: Option<Timestamp>,
}

/// New words for an earlier message. Asked for by `PATCH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub message_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Of a message with a file: what stands below it. Empty: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
}

/// An earlier message is to be gone for everyone. Asked for by `DELETE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub message_id: String,
}

/// An earlier message at the top of its chat, for everyone there. Asked for by `PUT` and `DELETE …/pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    pub message_id: String,
    /// Seconds; `null` takes it down.
    pub duration: Option<u32>,
}

impl Pin {
    /// What WhatsApp offers: a day, a week, a month.
    pub const DURATIONS: [u32; 3] = [86_400, 604_800, 2_592_000];
}

/// An earlier message does not disappear with the others, or does so again. Asked for by `PUT` and `DELETE …/keep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    pub message_id: String,
    pub kept: bool,
}

/// A chat's messages disappear from now on, or stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatTimer {
    /// 0: they stay.
    pub seconds: u32,
}

impl ChatTimer {
    /// What WhatsApp offers: off, a day, a week, 90 days.
    pub const CHOICES: [u32; 4] = [0, 86_400, 604_800, 7_776_000];
}

/// What an album announces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Album {
    pub images: u32,
    pub videos: u32,
}
