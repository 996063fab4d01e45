//! Properties of accounts: privacy settings, profiles of businesses, statistics of newsletters,
//! passkeys.

pub(crate) mod business;
pub(crate) mod newsletter_insights;
pub(crate) mod privacy;
pub(crate) mod webauthn;
