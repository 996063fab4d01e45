//! Sent messages: translation, preparation, handover, receipts, and retries.

pub mod encode;
pub mod handover;
pub mod new_sessions;
pub mod own_phone_retries;
pub mod receipts;
pub mod resend;
pub mod sealed_edits;
pub mod status;
pub mod trust_tokens;
