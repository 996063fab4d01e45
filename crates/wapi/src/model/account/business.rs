//! The public profile of a business. A public contract.

use schemars::JsonSchema;
use serde::Serialize;

/// The profile of a business; `null` and empty lists for parts that it has not filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BusinessProfile {
    pub description: Option<String>,
    pub address: Option<String>,
    pub email: Option<String>,
    pub websites: Vec<String>,
    pub categories: Vec<BusinessCategory>,
    /// The time zone of its hours, such as `Europe/Minsk`.
    pub timezone: Option<String>,
    pub hours: Vec<BusinessDay>,
}

/// A line of business, from WhatsApp's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BusinessCategory {
    pub id: String,
    pub name: String,
}

/// The opening hours of one day of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BusinessDay {
    /// `sun` to `sat`.
    pub day: String,
    /// `specific_hours`, `open_24h` or `appointment_only`.
    pub mode: String,
    /// Minutes since midnight; `null` without specific hours.
    pub open: Option<u32>,
    /// Minutes since midnight; `null` without specific hours.
    pub close: Option<u32>,
}
