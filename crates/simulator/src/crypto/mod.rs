//! Cryptography of both sides: Noise, Signal, ADV, link codes, passkeys, media and TLS.

pub mod adv;
pub mod link_code;
pub mod media_cipher;
pub mod noise;
pub mod passkey_link;
pub mod sender_keys;
pub mod signal_protocol;
pub mod tls;
pub mod webauthn;
