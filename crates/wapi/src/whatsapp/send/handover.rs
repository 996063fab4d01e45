//! Sending over a link: preparing messages and handing them over to WhatsApp.

use std::borrow::Cow;
use std::time::Duration;

use whatsapp_rust::request::IqError;
use whatsapp_rust::waproto::{codec, whatsapp as wa};
use whatsapp_rust::{ClientError, Jid, SendError, SendOptions};

use super::encode::{self, EncodeContext, Quote};
use crate::media::link_download::LinkPreview;
use crate::model::message::{ChatId, Message, MessageContent};
use crate::model::send_failure::SendFailure;
use crate::store::StoredPoll;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::media::message_upload::{AttachedFile, WantedForm};
use crate::whatsapp::queries::contacts::NumberRegistration;
use crate::whatsapp::receive::poll_votes;

/// How long the first message waits for WhatsApp's feature switches. They also come without another
/// request.
const SWITCHES_TIMEOUT: Duration = Duration::from_secs(5);

/// How long WhatsApp may take to look up the numbers of mentioned people.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A complete message with its files uploaded; can be handed over any number of times.
#[derive(Clone)]
pub struct PreparedMessage {
    message: Box<wa::Message>,
    /// The people that may see it, if it is a status.
    audience: Vec<Jid>,
    /// WhatsApp's handle of its file, if it is a post in a newsletter.
    handle: Option<String>,
}

/// Everything a message needs besides its content and its file.
#[derive(Default)]
pub struct SendContext {
    /// The message it refers to.
    pub quote: Option<Quote>,
    /// Secret that encrypts the votes on a poll.
    pub secret: Option<Vec<u8>>,
    /// The poll or event that a vote or a response belongs to.
    pub poll: Option<StoredPoll>,
    /// Preview of the first link in a text.
    pub preview: Option<LinkPreview>,
    /// For a caption edit: the edited message as it was sent, as WhatsApp's protobuf.
    pub original: Option<Vec<u8>>,
}

/// Error of preparing a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The file is not here, and WhatsApp's media servers no longer have it.
    #[error("its file is not stored here")]
    FileMissing,
    /// A later attempt may succeed.
    #[error("{0}")]
    Transient(String),
    /// No attempt will succeed: the file will never be acceptable, or the message cannot be encoded.
    #[error("{0}")]
    Permanent(String),
}

impl PrepareError {
    pub(in crate::whatsapp) fn not_uploaded(error: impl std::fmt::Display) -> Self {
        Self::Transient(format!(
            "WhatsApp's media servers did not accept it: {error:#}"
        ))
    }
}

/// Error of handing a message over: it was not, or that is uncertain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// The message has not left.
    #[error("the session is not connected to WhatsApp")]
    Offline,
    /// It has not left: WhatsApp's answer to a request before it rules it out.
    #[error("{}", .0.detail())]
    Rejected(SendFailure),
    /// It has not left: the engine could not build it. The error text may name people.
    #[error("the message could not be sent: {0}")]
    Failed(String),
    /// The connection broke meanwhile, or the engine did not return in time: it may have left.
    #[error("it is not known whether the message has left")]
    Unconfirmed,
}

impl Link {
    /// Prepares a message, uploading its file if it has one.
    pub async fn prepare_message(
        &self,
        to: &ChatId,
        message: &Message,
        file: Option<AttachedFile>,
        beside: &SendContext,
    ) -> Result<PreparedMessage, PrepareError> {
        let message = self.resolve_mentions(message).await;
        let message = &*self.mention_everyone(to, message).await;
        let uploaded = match (message.content.media_file(), file) {
            (Some((kind, _)), Some(file)) => {
                // An album announces its numbers of images and videos.
                let may_move = !matches!(message.content, MessageContent::Product { .. })
                    && message.album_id.is_none();
                let wanted = WantedForm {
                    kind,
                    may_animate: may_move,
                };
                Some(match to {
                    ChatId::Newsletter(_) => self.attach_unencrypted(wanted, file).await?,
                    _ => self.attach_file(wanted, file).await?,
                })
            }
            _ => None,
        };
        let handle = uploaded
            .as_ref()
            .and_then(|uploaded| uploaded.handle.clone());
        let original = beside
            .original
            .as_deref()
            .and_then(|original| codec::message_decode(original).ok());
        let quote = match &beside.quote {
            Some(quote) => Some(self.address_quote(to, quote.clone()).await),
            None => None,
        };
        let (quote, secret, preview) = (
            quote.as_ref(),
            beside.secret.clone(),
            beside.preview.as_ref(),
        );
        let now = self.clock.now();
        let sealed = match &beside.poll {
            Some(poll) => {
                poll_votes::seal_vote(&self.client, to, poll, &message.content, now).await
            }
            None => None,
        };
        let context = EncodeContext {
            chat: to,
            quote,
            secret,
            sealed,
            preview,
            original,
            now,
        };
        let audience = message
            .audience
            .iter()
            .filter_map(|person| person.parse().ok())
            .collect();
        let is_edit = matches!(message.content, MessageContent::Edit { .. });
        let mut message = encode::encode_message(message, uploaded, &context).ok_or_else(|| {
            // The message it refers to is unknown, or its kind is only received.
            PrepareError::Permanent("it cannot be encoded for WhatsApp".to_owned())
        })?;
        if is_edit && !matches!(to, ChatId::Newsletter(_)) {
            message = self.seal_edit(to, message).await;
        }
        encode::fill_owner(&mut message, || Some(self.account()?.phone_address()));
        Ok(PreparedMessage {
            message: Box::new(message),
            audience,
            handle,
        })
    }

    /// Returns the message with mentions by the numbers that WhatsApp knows: phones show no name
    /// for another form.
    async fn resolve_mentions<'a>(&self, message: &'a Message) -> Cow<'a, Message> {
        let mut message = Cow::Borrowed(message);
        let people: Vec<_> = message
            .mentions
            .iter()
            .filter_map(|it| ChatId::parse(it).ok())
            .collect();
        let numbers: Vec<_> = people
            .iter()
            .filter_map(|it| {
                if let ChatId::Phone(it) = it {
                    Some(it.clone())
                } else {
                    None
                }
            })
            .collect();
        self.prefetch_registrations(&numbers, LOOKUP_TIMEOUT).await;
        for person in people {
            let known = self.resolve_chat(&person, LOOKUP_TIMEOUT).await;
            if let (ChatId::Phone(requested), ChatId::Phone(known)) = (person, known)
                && requested != known
            {
                message.to_mut().replace_mention(&requested, &known);
            }
        }
        message
    }

    /// Adds the members of a group, other than the account, to a message that mentions everyone:
    /// older phones know no other way.
    async fn mention_everyone<'a>(
        &self,
        to: &ChatId,
        mut message: Cow<'a, Message>,
    ) -> Cow<'a, Message> {
        if !message.mentions_everyone {
            return message;
        }
        let jid = encode::chat_jid(to);
        let group = self
            .clock
            .timeout(LOOKUP_TIMEOUT, self.client.groups().query_info(&jid))
            .await;
        // The mark for everyone stays in the message, where its members are not known.
        if let Ok(Ok(group)) = group {
            let own = [self.client.pn(), self.client.lid()];
            let is_own = |jid: &Jid| own.iter().flatten().any(|own| own.user == jid.user);
            let members = group.participants.iter().filter(|jid| !is_own(jid));
            let members = members.map(Jid::to_non_ad_string).collect();
            message.to_mut().mentions = members;
        }
        message
    }

    /// Returns the quote with the account's own LID as its author, if the chat goes by LID.
    async fn address_quote(&self, to: &ChatId, quote: Quote) -> Quote {
        let is_by_lid = quote.is_own
            && matches!(to, ChatId::Phone(_) | ChatId::Lid(_))
            && self.client.is_lid_migrated().await;
        match self.client.lid().filter(|_| is_by_lid) {
            Some(lid) => Quote {
                author: lid.to_non_ad_string(),
                ..quote
            },
            None => quote,
        }
    }

    /// Hands a message over under this id; returns when it is written to the socket. WhatsApp's
    /// answer is a [`AckOrReceipt`](crate::whatsapp::AckOrReceipt).
    ///
    /// The engine saves the sender's keys before the message leaves, so that after a crash the same
    /// message can be encrypted anew and still be decrypted; a phone that has the id already
    /// ignores it.
    pub async fn hand_over(
        &self,
        to: &ChatId,
        PreparedMessage {
            message,
            audience,
            handle,
        }: PreparedMessage,
        id: &str,
    ) -> Result<(), HandoverError> {
        let limit = self.answer_timeout;
        if !self.client.is_logged_in() {
            return Err(HandoverError::Offline);
        }
        // The engine sends a reaction to a status to its author alone.
        if *to == ChatId::Status && !message.reaction_message.is_set() {
            return self.post_status(*message, &audience, id, limit).await;
        }
        if let ChatId::Newsletter(id) = to {
            self.ensure_may_post(id).await?;
        }
        if let Some(handle) = handle {
            let publishing = self.send_post(encode::chat_jid(to), &message, &handle, id);
            let published = self
                .clock
                .timeout(limit, publishing)
                .await
                .map_err(|_| HandoverError::Unconfirmed)?;
            return published.map_err(|error| self.classify_error(error.into(), to));
        }
        // In doubt, the number counts as registered.
        let address = match self
            .clock
            .timeout(limit, self.find_registration(to))
            .await
            .unwrap_or(NumberRegistration::Unknown)
        {
            NumberRegistration::NotOnWhatsapp => {
                return Err(HandoverError::Rejected(SendFailure::NotOnWhatsapp));
            }
            NumberRegistration::OtherForm(number) => Jid::pn(&number),
            NumberRegistration::AsRequested | NumberRegistration::Unknown => encode::chat_jid(to),
        };
        if to.is_person() {
            self.await_switches(limit).await;
        }
        if matches!(to, ChatId::Group(_)) {
            // The other half is left for the message itself.
            let _ = self
                .clock
                .timeout(limit / 2, self.create_member_sessions(&address))
                .await;
        }
        // Before it leaves: its receipt may arrive before the engine returns.
        let overdue = self.overdue.as_ref().filter(|_| to.is_person());
        if let Some(overdue) = overdue {
            overdue.record_sent(&to.to_string(), id);
        }
        let options = SendOptions::default().with_message_id(id);
        let sending = self
            .client
            .send_message_with_options(address, *message, options);
        match self.clock.timeout(limit, sending).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                if let Some(overdue) = overdue {
                    overdue.record_unsent(id);
                }
                Err(self.classify_error(error, to))
            }
            Err(_) => Err(HandoverError::Unconfirmed),
        }
    }

    /// Waits for WhatsApp's feature switches, which the engine requests after each login and does
    /// not save. One of them puts the trust tokens of contacts on messages to them; without it,
    /// WhatsApp refuses such messages from an account that may start no new chats.
    async fn await_switches(&self, limit: Duration) {
        self.switches
            .get_or_init(|| async {
                match self
                    .clock
                    .timeout(limit.min(SWITCHES_TIMEOUT), self.client.fetch_props())
                    .await
                {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "WhatsApp's feature switches are not known")
                    }
                    Err(error) => {
                        tracing::debug!(%error, "WhatsApp's feature switches are not known")
                    }
                }
            })
            .await;
    }

    pub(in crate::whatsapp) fn classify_error(
        &self,
        error: SendError,
        to: &ChatId,
    ) -> HandoverError {
        match error {
            SendError::NotLoggedIn
            | SendError::Client(ClientError::NotConnected | ClientError::NotLoggedIn) => {
                HandoverError::Offline
            }
            SendError::Client(_) => HandoverError::Unconfirmed,
            // The failed request was for the group's members.
            SendError::Iq(IqError::ServerError {
                code: 403 | 404, ..
            }) if matches!(to, ChatId::Group(_)) => {
                HandoverError::Rejected(SendFailure::GroupNotFound)
            }
            // Requests that precede the message and need the connection.
            _ if !self.client.is_logged_in() => HandoverError::Offline,
            other => HandoverError::Failed(other.to_string()),
        }
    }
}
