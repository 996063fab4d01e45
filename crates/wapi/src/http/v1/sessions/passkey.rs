//! `/v1/sessions/{session}/passkey`: linking with a passkey, step by step.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, OptionalJson, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::account::webauthn::{self, PasskeyAssertion};
use crate::sessions::{PasskeyState, PasskeyStep};

/// The passkey that WhatsApp asks for.
#[derive(Debug, Serialize)]
pub(in crate::http) struct PasskeyDocument {
    step: PasskeyStep,
    /// WhatsApp's options for `navigator.credentials.get`, as it sent them.
    options: Value,
    /// The code that the phone shows, too, once it is known.
    code: Option<String>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    expires_at: Timestamp,
}

impl From<PasskeyState> for PasskeyDocument {
    fn from(passkey: PasskeyState) -> Self {
        Self {
            step: passkey.step,
            options: passkey.options.json,
            code: passkey.code,
            expires_at: passkey.expires_at,
        }
    }
}

/// `GET /v1/sessions/{session}/passkey`: shows the options to answer, and later the code.
pub(in crate::http) async fn show_passkey(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    query: QueryParameters,
) -> Result<Json<PasskeyDocument>, Problem> {
    query.finish()?;
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let passkey = session.state().passkey.ok_or(Problem::NoPasskey)?;
    Ok(Json(passkey.into()))
}

/// `POST /v1/sessions/{session}/passkey` `{assertion}`: sends the answer of a passkey to WhatsApp.
pub(in crate::http) async fn answer_passkey(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<PasskeyDocument>), Problem> {
    let assertion = read_assertion(&mut fields);
    fields.refuse_unknown();
    let assertion = fields.finish(assertion)?;
    let passkey = gateway.sessions.answer_passkey(&name, assertion).await?;
    Ok((StatusCode::ACCEPTED, Json(passkey.into())))
}

/// `POST /v1/sessions/{session}/passkey/confirm`: confirms that the phone shows the same code.
pub(in crate::http) async fn confirm_passkey(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
    OptionalJson(mut fields): OptionalJson,
) -> Result<(StatusCode, Json<PasskeyDocument>), Problem> {
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    let passkey = gateway.sessions.confirm_passkey(&name).await?;
    Ok((StatusCode::ACCEPTED, Json(passkey.into())))
}

/// Reads the field `assertion`, in the form of `PublicKeyCredential.toJSON()`.
pub(in crate::http) fn read_assertion(fields: &mut JsonFields) -> Option<PasskeyAssertion> {
    let Some(mut inner) = fields.nested_fields("assertion") else {
        return fields.require_field("assertion");
    };
    // Facts about the authenticator, and results of extensions that WhatsApp does not use.
    inner.ignore_field("authenticatorAttachment");
    inner.ignore_field("clientExtensionResults");
    let id = inner.parse_required("id", decode_field);
    let raw_id = inner.parse_optional("rawId", decode_field);
    let kind = inner.parse_required("type", |kind| match kind {
        "public-key" => Ok(()),
        _ => Err("must be `public-key`"),
    });
    let response = read_response(&mut inner);
    if let (Some(id), Some(raw_id)) = (&id, &raw_id)
        && id != raw_id
    {
        inner.refuse_field("rawId", "differs from `id`");
    }
    fields.absorb_errors("assertion", inner);
    kind?;
    let (client_data_json, authenticator_data, signature, user_handle) = response?;
    Some(PasskeyAssertion {
        credential_id: id?,
        client_data_json,
        authenticator_data,
        signature,
        user_handle,
    })
}

type ResponseFields = (Vec<u8>, Vec<u8>, Vec<u8>, Option<Vec<u8>>);

fn read_response(assertion: &mut JsonFields) -> Option<ResponseFields> {
    let Some(mut inner) = assertion.nested_fields("response") else {
        return assertion.require_field("response");
    };
    let client_data = inner.parse_required("clientDataJSON", decode_field);
    let authenticator_data = inner.parse_required("authenticatorData", decode_field);
    let signature = inner.parse_required("signature", decode_field);
    let user_handle = inner.parse_optional("userHandle", decode_field);
    assertion.absorb_errors("response", inner);
    Some((client_data?, authenticator_data?, signature?, user_handle))
}

fn decode_field(text: &str) -> Result<Vec<u8>, &'static str> {
    webauthn::decode(text).ok_or("is not base64url of at least one byte")
}
