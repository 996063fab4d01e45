//! Peer data operations: a phone's answers to requests of its account's linked devices for older
//! messages of a chat, messages that the device could not read, or the whole app state.

pub mod on_demand_history;

use std::sync::Arc;

use anyhow::Context;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::PeerDataOperationRequestType as Asked;
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result as result;

use crate::model::ids::DeviceId;
use crate::phone::{Phone, history_sync};
use crate::server::Server;
use crate::server::own_phone::OwnPhone;
use crate::server::stanza::messages::phone_message;

/// The phones of all accounts, as the server knows them.
pub(crate) struct AccountPhones;

impl OwnPhone for AccountPhones {
    fn send_history(&self, server: &Arc<Server>, device: &DeviceId) -> anyhow::Result<()> {
        history_sync::send_history(server, device)
    }

    fn answer_request(
        &self,
        server: &Arc<Server>,
        device: &DeviceId,
        id: &str,
        request: &wa::message::PeerDataOperationRequestMessage,
    ) -> anyhow::Result<()> {
        answer_peer_request(server, device, id, request)
    }
}

fn answer_peer_request(
    server: &Arc<Server>,
    device: &DeviceId,
    id: &str,
    request: &wa::message::PeerDataOperationRequestMessage,
) -> anyhow::Result<()> {
    let phone = {
        let world = server.world.lock();
        let account = world.account(&device.number).context("no such account")?;
        Phone {
            server: server.clone(),
            number: account.number.clone(),
            lid: account.lid.clone(),
        }
    };
    let kind = request.peer_data_operation_request_type;
    let results = match kind {
        Some(Asked::HISTORY_SYNC_ON_DEMAND) => {
            let asked = request
                .history_sync_on_demand_request
                .as_option()
                .cloned()
                .unwrap_or_default();
            return on_demand_history::send_older_messages(&phone, device, id, &asked);
        }
        Some(Asked::FULL_HISTORY_SYNC_ON_DEMAND) => {
            history_sync::send_history(server, device)?;
            let metadata = request
                .full_history_sync_on_demand_request
                .as_option()
                .map(|it| it.request_metadata.clone());
            vec![PeerDataOperationResult {
                full_history_sync_on_demand_request_response: MessageField::some(
                    result::FullHistorySyncOnDemandRequestResponse {
                        request_metadata: metadata.unwrap_or_default(),
                        response_code: Some(
                            result::FullHistorySyncOnDemandResponseCode::REQUEST_SUCCESS,
                        ),
                    },
                ),
                ..Default::default()
            }]
        }
        Some(Asked::PLACEHOLDER_MESSAGE_RESEND) => {
            let keys = request
                .placeholder_message_resend_request
                .iter()
                .filter_map(|it| it.message_key.as_option());
            keys.filter_map(|key| resend_placeholder(&phone, key))
                .collect()
        }
        Some(Asked::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY) => {
            let asked = request.syncd_collection_fatal_recovery_request.as_option();
            let name = asked
                .and_then(|asked| asked.collection_name.as_deref())
                .unwrap_or_default();
            recover_collection(&phone, name).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let response = wa::message::PeerDataOperationRequestResponseMessage {
        peer_data_operation_request_type: kind,
        stanza_id: Some(id.to_owned()),
        peer_data_operation_result: results,
    };
    let answer = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            r#type: Some(
                wa::message::protocol_message::Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE,
            ),
            peer_data_operation_request_response_message: MessageField::some(response),
            ..Default::default()
        }),
        ..Default::default()
    };
    phone_message::send_to_own_device(server, device, &answer)
}

/// Returns a message that the device could not read, if the phone has it.
fn resend_placeholder(phone: &Phone, key: &wa::MessageKey) -> Option<PeerDataOperationResult> {
    let info = phone.stored_message(key.remote_jid.as_deref()?, key.id.as_deref()?)?;
    let again = result::PlaceholderMessageResendResponse {
        web_message_info_bytes: Some(info.encode_to_vec()),
    };
    Some(PeerDataOperationResult {
        placeholder_message_resend_response: MessageField::some(again),
        ..Default::default()
    })
}

/// Returns an app-state collection as plaintext.
fn recover_collection(phone: &Phone, collection: &str) -> Option<PeerDataOperationResult> {
    crate::server::app_state::catch_up(&phone.server, &phone.number, collection);
    let whole = phone
        .with_phone_state(|phone_state| phone_state.app_state.recovery_snapshot(collection))?;
    let snapshot = result::SyncDSnapshotFatalRecoveryResponse {
        collection_snapshot: Some(whole.encode_to_vec()),
        is_compressed: Some(false),
    };
    Some(PeerDataOperationResult {
        syncd_snapshot_fatal_recovery_response: MessageField::some(snapshot),
        ..Default::default()
    })
}
