//! Statistics of a newsletter, as WhatsApp shows them to its admins. Pure.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// WhatsApp's statistics of a newsletter. A figure that WhatsApp does not have is `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NewsletterInsights {
    /// `false`: WhatsApp has no statistics of this newsletter yet.
    pub available: bool,
    /// When WhatsApp last updated the figures.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub updated_at: Option<Timestamp>,
    /// Days that the figures cover.
    pub days: u32,
    pub followers: FollowerFigures,
    pub reach: ReachFigures,
    /// Per day, the oldest first.
    pub growth: Vec<GrowthOfDay>,
}

/// The followers of a newsletter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FollowerFigures {
    pub count: Option<i64>,
    /// Follows less unfollows.
    pub net_follows: Option<i64>,
    /// The countries with the most of them.
    pub countries: Vec<CountryFigure>,
}

/// The accounts that have seen posts of a newsletter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReachFigures {
    pub count: Option<i64>,
    /// Those that had not seen any before.
    pub new: Option<i64>,
    /// Those that follow it.
    pub followers: Option<i64>,
    /// Those that do not.
    pub guests: Option<i64>,
    /// The countries with the most of them.
    pub countries: Vec<CountryFigure>,
}

/// The accounts of one country.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CountryFigure {
    /// Two letters, such as `BY`.
    pub country: String,
    pub count: i64,
}

/// Follows and unfollows of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GrowthOfDay {
    /// The beginning of the day.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub day: Timestamp,
    pub follows: i64,
    pub unfollows: i64,
}
