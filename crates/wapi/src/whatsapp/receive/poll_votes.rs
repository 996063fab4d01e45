//! Poll votes and event responses: received ones decrypted and counted, the account's own
//! encrypted.

use anyhow::Result;
use jiff::Timestamp;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::message::AddressingMode;
use whatsapp_rust::wacore::event::{
    decrypt_event_response_with_secret, encrypt_event_response_with_secret,
};
use whatsapp_rust::wacore::poll::{
    PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret,
    encrypt_poll_vote_with_secret,
};
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::whatsapp::message::event_response_message::EventResponseType;
use whatsapp_rust::waproto::whatsapp::message::{
    EncEventResponseMessage, EventResponseMessage, PollUpdateMessage,
};
use whatsapp_rust::{Client, Jid};

use super::decode::content::unwrap_message;
use super::decode::{self, MessageAddresses, fileless};
use super::hook::find_other_address;
use crate::inbound::{InboundBatch, InboundEvent};
use crate::model::event::{EventData, ResponseChange, VoteChange};
use crate::model::message::{self, CalendarEvent, ChatId, InvitationReply, MessageContent};
use crate::store::{DeviceLife, EventFact, NewVote, PollBallot, Store, StoredPoll};
use crate::whatsapp::send::encode::{self, SealedPayload};

/// The polls and events of one session.
pub(in crate::whatsapp) struct VoteReader {
    session: DeviceLife,
    store: Store,
}

impl VoteReader {
    pub fn new(session: DeviceLife, store: Store) -> Self {
        Self { session, store }
    }

    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the event of a vote or a response, with the vote to save; `None` for every other
    /// message. `before`: messages that are not saved yet, perhaps with the poll.
    pub async fn read_vote(
        &self,
        client: &Client,
        message: &InboundMessage,
        known: &MessageAddresses,
        before: &InboundBatch,
    ) -> Result<Option<InboundEvent>> {
        let body = unwrap_message(&message.message);
        let about = match (
            body.poll_update_message.as_option(),
            body.enc_event_response_message.as_option(),
        ) {
            // Options that are added later come this way, too.
            (Some(update), _) if update.vote.is_set() => &update.poll_creation_message_key,
            (_, Some(answer)) => &answer.event_creation_message_key,
            _ => return Ok(None),
        };
        let Some(id) = about.as_option().and_then(|key| key.id.clone()) else {
            return Ok(None);
        };
        let changed = decode::empty_change(self.session.name(), &message.info, known, id.clone());
        // The first poll of an id counts.
        let life = self.session.current_life();
        let saved = self.store.inbound().find_poll(&life, &id).await?;
        let poll = saved.or_else(|| find_unsaved_poll(before, &id));
        let addresses = match &poll {
            Some(poll) => pair_addresses(client, poll, &message.info.source.sender).await,
            None => Vec::new(),
        };
        // A person that votes again under the other address is the same voter.
        let from = &changed.origin.from;
        let number = from
            .phone
            .as_ref()
            .map(|phone| format!("{phone}@s.whatsapp.net"));
        let voter = self
            .store
            .identities()
            .resolve_identity(
                &self.session.current_life(),
                number.as_deref(),
                from.lid.as_deref(),
            )
            .await?;
        let voter = voter.unwrap_or_else(|| from.id.clone());
        let context = VoteContext {
            id: &id,
            by: &voter,
            poll: poll.as_ref(),
            addresses,
        };
        let (data, vote) = match (
            body.poll_update_message.as_option(),
            body.enc_event_response_message.as_option(),
        ) {
            (Some(update), _) => {
                let (change, vote) = context.convert_vote(update);
                let data = EventData::PollVote(Box::new(changed.with_change(change)));
                (data, vote)
            }
            (_, answer) => {
                let (change, vote) = context.convert_response(answer);
                let data = EventData::EventResponse(Box::new(changed.with_change(change)));
                (data, vote)
            }
        };
        let (key, chat) = (
            decode::message_key(&message.info),
            decode::public_chat_id(&message.info, known),
        );
        Ok(Some(InboundEvent {
            key,
            chat,
            data,
            file: None,
            facts: vote.map(EventFact::Vote).into_iter().collect(),
        }))
    }
}

/// Returns the poll or event in a message, to be saved so that votes and responses can be decrypted.
pub(super) fn decode_poll(message: &InboundMessage) -> Option<EventFact> {
    let body = unwrap_message(&message.message);
    let (poll, event) = (
        fileless::poll_creation(body),
        body.event_message.as_option(),
    );
    if poll.is_none() && event.is_none() {
        return None;
    }
    let context = message.message.message_context_info.as_option();
    let context = context.or_else(|| body.message_context_info.as_option());
    let secret = context?.message_secret.clone()?;
    let source = &message.info.source;
    let (chat, creator) = (
        source.chat.to_non_ad_string(),
        source.sender.to_non_ad_string(),
    );
    let poll = match poll.map(fileless::decode_poll) {
        Some(message::PollContent {
            question,
            options,
            max_selections,
            ..
        }) => StoredPoll {
            chat: Some(chat),
            creator,
            secret,
            question,
            options,
            max_selections,
        },
        None => {
            let name = event.and_then(|event| event.name.clone());
            StoredPoll::from_event(chat, creator, secret, name.unwrap_or_default())
        }
    };
    let id = message.info.id.clone();
    Some(EventFact::Poll { id, poll })
}

fn find_unsaved_poll(batch: &InboundBatch, wanted: &str) -> Option<StoredPoll> {
    let of_events = batch.events.iter().flat_map(|event| &event.facts);
    of_events.chain(&batch.facts).find_map(|fact| match fact {
        EventFact::Poll { id, poll } if id == wanted => Some(poll.clone()),
        _ => None,
    })
}

/// A vote or a response, with its sender.
struct VoteContext<'a> {
    /// Of the poll or event.
    id: &'a str,
    by: &'a str,
    poll: Option<&'a StoredPoll>,
    /// Pairs of creator's and sender's address that the encryption may have used.
    addresses: Vec<(String, String)>,
}

impl VoteContext<'_> {
    /// Returns the change that a vote makes, without its tally, and the vote to save.
    fn convert_vote(&self, update: &PollUpdateMessage) -> (VoteChange, Option<NewVote>) {
        let Some((poll, hashes)) = self.poll.zip(self.decrypt_vote(update)) else {
            return (VoteChange::default(), None);
        };
        let chosen = |option: &&String| {
            hashes
                .iter()
                .any(|hash| hash[..] == compute_option_hash(option))
        };
        let options: Vec<_> = poll.options.iter().filter(chosen).cloned().collect();
        let voted_at = update.sender_timestamp_ms.unwrap_or_default();
        let vote = self.new_vote(poll, options.clone(), voted_at);
        let change = VoteChange {
            question: Some(poll.question.clone()),
            options: Some(options),
            tally: None,
        };
        (change, Some(vote))
    }

    /// Returns the change that a response makes, without its tally, and the vote to save.
    fn convert_response(
        &self,
        answer: Option<&EncEventResponseMessage>,
    ) -> (ResponseChange, Option<NewVote>) {
        let opened = answer.and_then(|answer| self.decrypt_response(answer));
        let Some((event, opened)) = self.poll.zip(opened) else {
            return (ResponseChange::default(), None);
        };
        let response = match opened.response {
            Some(EventResponseType::GOING) => Some(InvitationReply::Going),
            Some(EventResponseType::NOT_GOING) => Some(InvitationReply::NotGoing),
            Some(EventResponseType::MAYBE) => Some(InvitationReply::Maybe),
            _ => None,
        };
        let chosen = response
            .map(|response| response.as_str().to_owned())
            .into_iter()
            .collect();
        let vote = self.new_vote(event, chosen, opened.timestamp_ms.unwrap_or_default());
        let extra_guests = opened
            .extra_guest_count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default();
        let change = ResponseChange {
            name: Some(event.question.clone()),
            response,
            extra_guests,
            tally: None,
        };
        (change, Some(vote))
    }

    fn new_vote(&self, poll: &StoredPoll, options: Vec<String>, voted_at: i64) -> NewVote {
        NewVote {
            poll: self.id.to_owned(),
            options: poll.options.clone(),
            ballot: PollBallot {
                voter: self.by.to_owned(),
                options,
            },
            voted_at,
            event: None,
        }
    }

    /// Returns the hashes of the chosen options.
    fn decrypt_vote(&self, update: &PollUpdateMessage) -> Option<Vec<Vec<u8>>> {
        let (secret, vote) = (&self.poll?.secret, update.vote.as_option()?);
        let sealed = PollVoteCiphertext {
            enc_payload: vote.enc_payload.as_deref()?,
            enc_iv: vote.enc_iv.as_deref()?,
        };
        let open = |(creator, voter): &(String, String)| {
            decrypt_poll_vote_with_secret(sealed, secret, self.id, creator, voter).ok()
        };
        self.addresses.iter().find_map(open)
    }

    fn decrypt_response(&self, answer: &EncEventResponseMessage) -> Option<EventResponseMessage> {
        let (secret, payload, iv) = (
            &self.poll?.secret,
            answer.enc_payload.as_deref()?,
            answer.enc_iv.as_deref()?,
        );
        let open = |(creator, sender): &(String, String)| {
            decrypt_event_response_with_secret(payload, iv, secret, self.id, creator, sender).ok()
        };
        self.addresses.iter().find_map(open)
    }
}

/// Encrypts the account's own vote or response with the poll's secret, under the addresses that its
/// message carries. They are all numbers, or all LIDs. `None` for other content.
pub(in crate::whatsapp) async fn seal_vote(
    client: &Client,
    to: &ChatId,
    about: &StoredPoll,
    content: &MessageContent,
    now: Timestamp,
) -> Option<SealedPayload> {
    if about.secret.is_empty() {
        // Nobody could read what is encrypted without it.
        return None;
    }
    let to = encode::chat_jid(to);
    let by_lid = is_addressed_by_lid(client, &to).await;
    let own = if by_lid { client.lid() } else { client.pn() }
        .or_else(|| client.pn())?
        .to_non_ad()
        .to_string();
    let creator = resolve_address(client, &about.creator.parse().ok()?, by_lid)
        .await
        .to_string();
    let chat = if to.is_group() {
        to
    } else {
        resolve_address(client, &to, by_lid).await
    }
    .to_string();
    let (payload, iv) = match content {
        MessageContent::PollVote { poll_vote: vote } => {
            let hashes: Vec<_> = vote
                .options
                .iter()
                .map(|option| compute_option_hash(option).to_vec())
                .collect();
            encrypt_poll_vote_with_secret(&hashes, &about.secret, &vote.message_id, &creator, &own)
                .ok()?
        }
        MessageContent::EventResponse {
            event_response: answer,
        } => {
            let response = match CalendarEvent::RESPONSES
                .iter()
                .position(|response| *response == answer.response)?
            {
                0 => EventResponseType::GOING,
                1 => EventResponseType::NOT_GOING,
                _ => EventResponseType::MAYBE,
            };
            let context = EventResponseMessage {
                response: Some(response),
                timestamp_ms: Some(now.as_millisecond()),
                extra_guest_count: i32::try_from(answer.extra_guests).ok(),
            };
            encrypt_event_response_with_secret(
                &context,
                &about.secret,
                &answer.message_id,
                &creator,
                &own,
            )
            .ok()?
        }
        _ => return None,
    };
    Some(SealedPayload {
        payload,
        iv: iv.to_vec(),
        chat,
        creator,
    })
}

/// Returns whether a message to this chat names people by LIDs: a group says so, and for one-to-one
/// chats it depends on whether WhatsApp has moved the account to them.
pub(in crate::whatsapp) async fn is_addressed_by_lid(client: &Client, to: &Jid) -> bool {
    if to.is_group() {
        let group = client.groups().query_info(to).await;
        return group.is_ok_and(|group| group.addressing_mode == AddressingMode::Lid);
    }
    // A person without a known number has only one address.
    if client.is_lid_migrated().await {
        to.is_lid() || find_other_address(client, to).await.is_some()
    } else {
        to.is_lid() && find_other_address(client, to).await.is_none()
    }
}

/// Returns a person's LID or number, where it is known.
async fn resolve_address(client: &Client, person: &Jid, by_lid: bool) -> Jid {
    let person = person.to_non_ad();
    if person.is_lid() == by_lid {
        return person;
    }
    let own = [client.pn(), client.lid()].map(|own| own.map(|own| own.to_non_ad()));
    if own.contains(&Some(person.clone())) {
        let [number, lid] = own;
        return if by_lid { lid } else { number }.unwrap_or(person);
    }
    find_other_address(client, &person).await.unwrap_or(person)
}

/// Returns the address pairs of creator and voter. A vote is encrypted for the addresses that the
/// two had for each other at the time, numbers or LIDs.
async fn pair_addresses(client: &Client, poll: &StoredPoll, voter: &Jid) -> Vec<(String, String)> {
    let Ok(creator) = poll.creator.parse::<Jid>() else {
        return Vec::new();
    };
    let (creators, voters) = (
        find_addresses(client, &creator).await,
        find_addresses(client, voter).await,
    );
    let pair = |creator: &String| {
        voters
            .iter()
            .map(|voter| (creator.clone(), voter.clone()))
            .collect::<Vec<_>>()
    };
    creators.iter().flat_map(pair).collect()
}

/// Returns the given address, and the other one if known.
async fn find_addresses(client: &Client, person: &Jid) -> Vec<String> {
    let own = [client.pn(), client.lid()];
    let is_own = own
        .iter()
        .flatten()
        .any(|own| own.user_base() == person.user_base());
    let others = if is_own {
        own.into_iter().flatten().collect()
    } else {
        Vec::from_iter(find_other_address(client, person).await)
    };
    let mut addresses = vec![person.to_non_ad_string()];
    addresses.extend(
        others
            .iter()
            .map(Jid::to_non_ad_string)
            .filter(|other| *other != person.to_non_ad_string()),
    );
    addresses
}
