//! `/v1/sessions/{session}/contacts/{contact}/report`: reports of contacts to WhatsApp.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::JsonFields;
use crate::http::v1::messages::message_problem;
use crate::http::v1::presence::ContactPath;

/// `POST …/contacts/{contact}/report {message_id}`: reports a message that the contact has sent to
/// the account as spam. The contact is not told.
pub(in crate::http) async fn report_contact(
    State(gateway): State<Gateway>,
    ContactPath { session, contact }: ContactPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    let id = fields.required_text("message_id");
    fields.refuse_unknown();
    let id = fields.finish(id)?;
    let life = gateway.current_life(&session)?;
    let online = gateway.sessions.online(&session)?;
    let chats = gateway.sessions.all_addresses(&session, &life, &contact);
    let chats = chats.await.map_err(message_problem)?;
    let found = gateway.store.outbox().find_received(&life, &chats, &id);
    let (author, sent_at) = found
        .await
        .map_err(message_problem)?
        .ok_or(Problem::NoMessage)?;
    online.report_message(&author, &id, sent_at).await?;
    Ok(StatusCode::NO_CONTENT)
}
