//! Properties of accounts: privacy settings, profiles of businesses, passkeys.

pub(crate) mod business;
pub(crate) mod privacy;
pub(crate) mod webauthn;
