//! The idempotency key of a request, by which a repeated one is known.

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use super::extract::JsonFields;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::model::ids::to_hex;
use crate::store::{IdempotencyKey, Life};

const LONGEST_KEY: usize = 255;
/// Name of the header with the key.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// An idempotency key as received, before its session's life is known.
#[derive(Clone)]
pub struct UnboundKey {
    caller: String,
    route: String,
    key: String,
    request: String,
}

impl UnboundKey {
    /// Binds the key to the life of the session that the request is for.
    pub fn bind_life(self, life: &Life) -> IdempotencyKey {
        let Self {
            caller,
            route,
            key,
            request,
        } = self;
        IdempotencyKey {
            caller,
            session: life.clone(),
            route,
            key,
            request,
        }
    }
}

/// Reads the key of a request, if it has one. `fields` are what must be the same in a repeated request.
pub fn read_idempotency_key(
    caller: &Caller,
    headers: &HeaderMap,
    route: String,
    fields: &JsonFields,
) -> Result<Option<UnboundKey>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let problem = || {
        Problem::invalid_field(
            "Idempotency-Key",
            format!("must be 1 to {LONGEST_KEY} visible ASCII characters"),
        )
    };
    Ok(Some(UnboundKey {
        caller: caller.id().to_owned(),
        route,
        key: key.ok_or_else(problem)?.to_owned(),
        request: to_hex(&Sha256::digest(fields.canonical_json().as_bytes())),
    }))
}
