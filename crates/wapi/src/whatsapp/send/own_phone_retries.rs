//! Retry requests of the account's own phone for its copy of a message, answered here because the
//! engine's answer breaks the recipient's session.
//!
//! If a phone of the account requests a message of a chat, the engine (0.7.0) takes it for the
//! phone of the chat's other person: it replaces the recipient's keys with the account's, and from
//! then on nobody can read anything in that chat. So the engine's own answer runs in a marked task:
//! it finds no message to send again and ends without touching a key. This module sends the answer
//! instead.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::Mutex;
use whatsapp_rust::features::MessageRetransmission;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore::iq::prekeys::{
    OneTimePreKeyNode, PreKeyFetchReason, PreKeyFetchSpec, SignedPreKeyNode,
};
use whatsapp_rust::wacore::libsignal::protocol::{PreKeyBundle, PublicKey};
use whatsapp_rust::wacore::protocol::ProtocolNode;
use whatsapp_rust::wacore::protocol::retry::extract_registration_id_from_node_ref;
use whatsapp_rust::wacore_binary::{JidExt, NodeRef};
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::{codec, whatsapp as wa};
use whatsapp_rust::{Client, Jid};

use super::resend::OwnAddress;
use crate::store::{DeviceLife, Life, Store};
use crate::system::lifecycle::Lifecycle;

tokio::task_local! {
    /// Set while the engine or this module answers the account's own phone, since that answer is
    /// not an outgoing message.
    static OF_OWN_PHONE: ();
}

thread_local! {
    /// The next task that the engine spawns on this thread is that answer: it spawns it in the very
    /// call that brought the request.
    static COMES_NEXT: Cell<bool> = const { Cell::new(false) };
}

type EngineTask = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Marks a task of the engine, if it is one to hold back.
pub(in crate::whatsapp) fn mark_task(task: EngineTask) -> EngineTask {
    if COMES_NEXT.take() {
        Box::pin(OF_OWN_PHONE.scope((), task))
    } else {
        task
    }
}

/// Returns whether the current task answers the account's own phone.
pub(in crate::whatsapp) fn is_answering_own_phone() -> bool {
    OF_OWN_PHONE.try_with(|()| ()).is_ok()
}

/// Answers the account's own phone, over one client.
pub(in crate::whatsapp) struct OwnPhoneRetries(Arc<RetryAnswerer>);

struct RetryAnswerer {
    session: DeviceLife,
    client: Weak<Client>,
    store: Store,
    tasks: Lifecycle,
    /// Answers run one after the other: each may bring new keys.
    answer_lock: Mutex<()>,
}

/// A retry request of the account's own phone.
struct RetryRequest {
    phone: Jid,
    /// Address that the message went to.
    recipient: Jid,
    id: String,
    count: u8,
    keys: Option<PreKeyBundle>,
}

impl OwnPhoneRetries {
    pub fn new(session: DeviceLife, client: &Arc<Client>, store: Store, tasks: Lifecycle) -> Self {
        let (client, one) = (Arc::downgrade(client), Mutex::default());
        Self(Arc::new(RetryAnswerer {
            session,
            client,
            store,
            tasks,
            answer_lock: one,
        }))
    }
}

impl EventHandler for OwnPhoneRetries {
    fn handle_event(&self, event: Arc<Event>) {
        let Event::RawNode(node) = &*event else {
            return;
        };
        COMES_NEXT.set(false);
        let Some(request) = self
            .0
            .client
            .upgrade()
            .and_then(|client| find_request(&client, node.get()))
        else {
            return;
        };
        COMES_NEXT.set(true);
        let answering = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let session = answering.session.clone();
            let answered = match request {
                Ok(request) => {
                    OF_OWN_PHONE
                        .scope((), answering.answer_request(request))
                        .await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                tracing::debug!(
                    session = session.name(),
                    error = format!("{error:#}"),
                    "refused a second retry of a message by the account's phone"
                );
                tracing::warn!(
                    session = session.name(),
                    "failed to send a message again to the account's phone"
                );
            }
        });
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::RawNode])
    }
}

/// Reads a retry request of the account's own phone; `None` for any other stanza. The engine
/// correctly answers requests of other linked devices, and those in groups.
fn find_request(client: &Client, receipt: &NodeRef<'_>) -> Option<Result<RetryRequest>> {
    if receipt.tag.as_ref() != "receipt"
        || receipt
            .get_attr("type")
            .is_none_or(|kind| kind.as_str() != "retry")
    {
        return None;
    }
    let mut attributes = receipt.attrs();
    let (phone, recipient) = (
        attributes.optional_jid("from")?,
        attributes.optional_jid("recipient")?,
    );
    if phone.device() != 0 || !client.is_own(&phone) || client.is_own(&recipient) {
        return None;
    }
    Some(parse_request(phone, recipient, receipt))
}

fn parse_request(phone: Jid, recipient: Jid, receipt: &NodeRef<'_>) -> Result<RetryRequest> {
    let retry = receipt
        .get_optional_child("retry")
        .context("it does not name a message")?;
    let mut attributes = retry.attrs();
    let id = attributes
        .optional_string("id")
        .context("it does not name a message")?
        .into_owned();
    let count = attributes.optional_u64("count").unwrap_or(1);
    let keys = receipt
        .get_optional_child("keys")
        .map(|keys| parse_bundle(receipt, keys))
        .transpose()?;
    Ok(RetryRequest {
        phone,
        recipient,
        id,
        count: u8::try_from(count).unwrap_or(u8::MAX),
        keys,
    })
}

/// Reads the keys for a new session that the request carries.
fn parse_bundle(receipt: &NodeRef<'_>, keys: &NodeRef<'_>) -> Result<PreKeyBundle> {
    let registration = extract_registration_id_from_node_ref(receipt).context("no registration")?;
    let identity = keys
        .get_optional_child("identity")
        .and_then(NodeRef::content_bytes)
        .context("no identity")?;
    let signed = keys.get_optional_child("skey").context("no signed key")?;
    let signed = SignedPreKeyNode::try_from_node_ref(signed)?;
    let once = keys
        .get_optional_child("key")
        .map(OneTimePreKeyNode::try_from_node_ref)
        .transpose()?;
    let once = match once {
        Some(key) => Some((
            key.id.into(),
            PublicKey::from_djb_public_key_bytes(&key.public_bytes)?,
        )),
        None => None,
    };
    let signed_key = PublicKey::from_djb_public_key_bytes(&signed.public_bytes)?;
    let identity = PublicKey::from_djb_public_key_bytes(identity)?;
    let device = 0.into();
    let signature: [u8; 64] = signed
        .signature
        .as_slice()
        .try_into()
        .context("a signature has 64 bytes")?;
    Ok(PreKeyBundle::new(
        registration,
        device,
        once,
        signed.id.into(),
        signed_key,
        signature.into(),
        identity.into(),
    )?)
}

impl RetryAnswerer {
    async fn answer_request(&self, request: RetryRequest) -> Result<()> {
        let _one = self.answer_lock.lock().await;
        let client = self.client.upgrade().context("the connection ended")?;
        let message = load_sent_message(
            &client,
            &self.store,
            &self.session.current_life(),
            &request.recipient,
            &request.id,
        )
        .await?;
        let RetryRequest {
            phone,
            recipient,
            id,
            count,
            keys,
        } = request;
        match keys {
            Some(keys) => {
                ensure!(
                    has_account_key(&client, &keys),
                    "its keys are not those of the account"
                );
                client.signal().install_prekey_bundle(&phone, &keys).await?;
            }
            // A copy encrypted with the present keys could not be read, either.
            None if count > 1 => renew_session(&client, &phone).await?,
            None => {}
        }
        let copy = wrap_own_copy(&recipient, message);
        let again = MessageRetransmission::new(recipient.to_non_ad(), phone, copy, id, count);
        Ok(client
            .retransmit_message(again.with_recipient(recipient))
            .await?)
    }
}

/// Loads a message of the session as it was sent, under either address of its chat.
pub(in crate::whatsapp) async fn load_sent_message(
    client: &Client,
    store: &Store,
    session: &Life,
    chat: &Jid,
    id: &str,
) -> Result<wa::Message> {
    let chat = chat.to_non_ad();
    let other = client.get_lid_pn_entry(&chat).await.ok().flatten();
    let other = other.map(|known| {
        if chat.is_lid() {
            Jid::pn(&*known.phone_number)
        } else {
            Jid::lid(&*known.lid)
        }
    });
    for chat in [Some(chat), other].into_iter().flatten() {
        if let Some(message) = store
            .outbox()
            .find_payload(session, &chat.to_string(), id)
            .await?
        {
            return Ok(codec::message_decode(&message)?);
        }
    }
    bail!("it is no longer stored")
}

/// Replaces a device's session with one from newly fetched keys. A session exists at every moment,
/// since other tasks may be encrypting with it.
pub(in crate::whatsapp) async fn renew_session(client: &Client, device: &Jid) -> Result<()> {
    let request = PreKeyFetchSpec::with_reason(vec![device.clone()], PreKeyFetchReason::Identity);
    let keys = client
        .execute(request)
        .await?
        .bundles
        .into_values()
        .next()
        .context("the device has no keys")?;
    client.signal().install_prekey_bundle(device, &keys).await?;
    Ok(())
}

/// Returns whether a bundle carries the account's own key, which WhatsApp certified when the device
/// was linked; `true` if that key is unknown.
fn has_account_key(client: &Client, keys: &PreKeyBundle) -> bool {
    let device = client.persistence_manager().get_device_snapshot();
    let key = device
        .account
        .as_ref()
        .and_then(|account| account.account_signature_key.clone());
    let identity = keys
        .identity_key()
        .ok()
        .map(|key| key.public_key().public_key_bytes());
    key.is_none_or(|key| identity.is_some_and(|identity| key == identity))
}

/// Wraps a message for the account's own devices, so that they know which chat it belongs to.
fn wrap_own_copy(recipient: &Jid, message: wa::Message) -> wa::Message {
    let context = message.message_context_info.clone();
    let sent = wa::message::DeviceSentMessage {
        destination_jid: Some(recipient.to_non_ad_string()),
        message: MessageField::some(message),
        ..Default::default()
    };
    wa::Message {
        device_sent_message: MessageField::some(sent),
        message_context_info: context,
        ..Default::default()
    }
}
