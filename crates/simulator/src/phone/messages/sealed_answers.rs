//! Votes on polls, answers to events, encrypted reactions and encrypted edits, as phones seal them:
//! only a device that has the original message can open them.

use anyhow::Context;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use wacore_libsignal::crypto::{aes_256_gcm_decrypt, aes_256_gcm_encrypt};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::event_response_message::EventResponseType;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::secret_encrypted_message::SecretEncType;
use waproto::whatsapp::message::{
    EncEventResponseMessage, EncReactionMessage, EventResponseMessage, PollEncValue,
    PollUpdateMessage, PollVoteMessage, ProtocolMessage, ReactionMessage, SecretEncryptedMessage,
};

use crate::model::history::Author;
use crate::model::message::{PhoneMessage, unwrap_message};
use crate::phone::Phone;

/// An answer to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventAnswer {
    Going,
    NotGoing,
    Maybe,
}

/// A received answer to an event, opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedAnswer {
    pub answer: EventAnswer,
    pub extra_guests: i32,
}

impl Phone {
    /// Votes on a poll that this phone has; no options withdraw the vote. Returns the id of the
    /// vote.
    pub fn votes_on_poll(
        &self,
        chat: &str,
        poll: &str,
        author: Author,
        options: &[&str],
    ) -> anyhow::Result<String> {
        let secret = self.message_secret(poll)?;
        let (me, creator) = self.sealing_addresses(chat, poll, author)?;
        let hashes = options
            .iter()
            .map(|option| Sha256::digest(option.as_bytes()).to_vec())
            .collect();
        let vote = PollVoteMessage {
            selected_options: hashes,
        }
        .encode_to_vec();
        let (payload, iv) = seal_payload(
            "Poll Vote",
            &vote,
            &secret,
            poll,
            &creator,
            &me,
            &additional_data(poll, &me),
        )?;
        let vote = PollEncValue {
            enc_payload: Some(payload),
            enc_iv: Some(iv),
        };
        let update = PollUpdateMessage {
            poll_creation_message_key: self.message_key(chat, poll, author)?,
            vote: MessageField::some(vote),
            sender_timestamp_ms: Some(crate::wire::unix_time() as i64 * 1000),
            ..Default::default()
        };
        let message = wa::Message {
            poll_update_message: MessageField::some(update),
            ..Default::default()
        };
        self.sends_message(chat, "poll", message)
    }

    /// Answers an event that this phone has. Returns the id of the answer.
    pub fn answers_event(
        &self,
        chat: &str,
        event: &str,
        author: Author,
        answer: EventAnswer,
    ) -> anyhow::Result<String> {
        let secret = self.message_secret(event)?;
        let (me, creator) = self.sealing_addresses(chat, event, author)?;
        let timestamp_ms = Some(crate::wire::unix_time() as i64 * 1000);
        let plaintext = EventResponseMessage {
            response: Some(match answer {
                EventAnswer::Going => EventResponseType::GOING,
                EventAnswer::NotGoing => EventResponseType::NOT_GOING,
                EventAnswer::Maybe => EventResponseType::MAYBE,
            }),
            timestamp_ms,
            extra_guest_count: Some(1),
        };
        let plaintext = plaintext.encode_to_vec();
        let (payload, iv) = seal_payload(
            "Event Response",
            &plaintext,
            &secret,
            event,
            &creator,
            &me,
            &additional_data(event, &me),
        )?;
        let answer = EncEventResponseMessage {
            event_creation_message_key: self.message_key(chat, event, author)?,
            enc_payload: Some(payload),
            enc_iv: Some(iv),
        };
        let message = wa::Message {
            enc_event_response_message: MessageField::some(answer),
            ..Default::default()
        };
        self.sends_message(chat, "event", message)
    }

    /// Reacts to a group message with an encrypted reaction, as phones do in the announcements of a
    /// community: sealed with the secret of that message. Returns the id of the reaction.
    pub fn reacts_sealed(
        &self,
        group: &str,
        message: &str,
        author: Author,
        emoji: &str,
    ) -> anyhow::Result<String> {
        let secret = self.message_secret(message)?;
        let me = self.member_address(group, self.number())?;
        let mut key = self.message_key(group, message, author)?;
        let writer = key
            .as_option()
            .and_then(|key| key.participant.clone())
            .unwrap_or_else(|| me.clone());
        // The key alone names the author, so it does so for the phone's own messages, too.
        if let Some(key) = key.as_option_mut() {
            key.participant = Some(writer.clone());
        }
        let sender_timestamp_ms = Some(crate::wire::unix_time() as i64 * 1000);
        let plaintext = ReactionMessage {
            text: Some(emoji.to_owned()),
            sender_timestamp_ms,
            ..Default::default()
        };
        let (payload, iv) = seal_payload(
            "Enc Reaction",
            &plaintext.encode_to_vec(),
            &secret,
            message,
            &writer,
            &me,
            &[],
        )?;
        let sealed = EncReactionMessage {
            target_message_key: key,
            enc_payload: Some(payload),
            enc_iv: Some(iv),
        };
        let message = wa::Message {
            enc_reaction_message: MessageField::some(sealed),
            ..Default::default()
        };
        self.sends_message(group, "reaction", message)
    }

    /// Replaces the text of one of the phone's own messages with an encrypted edit, sealed with the
    /// secret of that message, as current phones do. Returns the id of the edit.
    pub fn edits_sealed(&self, chat: &str, message: &str, text: &str) -> anyhow::Result<String> {
        let secret = self.message_secret(message)?;
        let me = match chat.ends_with("@g.us") {
            true => self.member_address(chat, self.number())?,
            false => self.address_of(self.number())?,
        };
        let key = self.message_key(chat, message, Author::Me)?;
        let edited = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        let edit = ProtocolMessage {
            key: key.clone(),
            r#type: Some(Type::MESSAGE_EDIT),
            edited_message: MessageField::some(edited),
            timestamp_ms: Some(crate::wire::unix_time() as i64 * 1000),
            ..Default::default()
        };
        let plaintext = wa::Message {
            protocol_message: MessageField::some(edit),
            ..Default::default()
        };
        let (payload, iv) = seal_payload(
            "Message Edit",
            &plaintext.encode_to_vec(),
            &secret,
            message,
            &me,
            &me,
            &[],
        )?;
        let sealed = SecretEncryptedMessage {
            target_message_key: key,
            enc_payload: Some(payload),
            enc_iv: Some(iv),
            secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
            ..Default::default()
        };
        let message = wa::Message {
            secret_encrypted_message: MessageField::some(sealed),
            ..Default::default()
        };
        self.sends_message(chat, "text", message)
    }

    /// Opens a received vote; returns the poll options it names.
    pub fn opens_vote(&self, vote: &PhoneMessage) -> anyhow::Result<Vec<String>> {
        let update = vote
            .protobuf
            .poll_update_message
            .as_option()
            .context("it is no vote")?;
        let sealed = update.vote.as_option().context("it has no vote in it")?;
        let about = TargetMessage::from_key(&update.poll_creation_message_key)?;
        let plaintext = self.opens_payload(
            vote,
            &about,
            "Poll Vote",
            sealed.enc_payload.as_deref(),
            sealed.enc_iv.as_deref(),
        )?;
        let chosen = PollVoteMessage::decode_from_slice(&plaintext)?.selected_options;
        let poll = self.find_message(&about.id)?;
        let versions = [&poll.poll_creation_message, &poll.poll_creation_message_v3];
        let poll = versions
            .into_iter()
            .find_map(|version| version.as_option())
            .context("it is about no poll")?;
        let options: Vec<_> = poll
            .options
            .iter()
            .filter_map(|option| option.option_name.as_ref())
            .collect();
        let is = |option: &str, hash: &[u8]| Sha256::digest(option.as_bytes())[..] == *hash;
        let name = |hash: &Vec<u8>| {
            options
                .iter()
                .find(|option| is(option, hash))
                .map(|option| option.to_string())
        };
        chosen
            .iter()
            .map(name)
            .collect::<Option<_>>()
            .context("the poll has no such option")
    }

    /// Opens a received answer to an event.
    pub fn opens_response(&self, answer: &PhoneMessage) -> anyhow::Result<OpenedAnswer> {
        let sealed = answer
            .protobuf
            .enc_event_response_message
            .as_option()
            .context("it is no answer")?;
        let about = TargetMessage::from_key(&sealed.event_creation_message_key)?;
        let (payload, iv) = (sealed.enc_payload.as_deref(), sealed.enc_iv.as_deref());
        let payload = self.opens_payload(answer, &about, "Event Response", payload, iv)?;
        let opened = EventResponseMessage::decode_from_slice(&payload)?;
        let answer = match opened.response {
            Some(EventResponseType::GOING) => EventAnswer::Going,
            Some(EventResponseType::NOT_GOING) => EventAnswer::NotGoing,
            Some(EventResponseType::MAYBE) => EventAnswer::Maybe,
            other => anyhow::bail!("it answers {other:?}"),
        };
        Ok(OpenedAnswer {
            answer,
            extra_guests: opened.extra_guest_count.unwrap_or_default(),
        })
    }

    /// Opens a received edit, encrypted or not; returns the id of the edited message and its new
    /// content.
    pub fn opens_edit(&self, edit: &PhoneMessage) -> anyhow::Result<(String, wa::Message)> {
        let opened = match unwrap_message(&edit.protobuf)
            .secret_encrypted_message
            .as_option()
        {
            Some(sealed) => {
                let about = TargetMessage::from_key(&sealed.target_message_key)?;
                let (payload, iv) = (sealed.enc_payload.as_deref(), sealed.enc_iv.as_deref());
                wa::Message::decode_from_slice(&self.opens_payload(
                    edit,
                    &about,
                    "Message Edit",
                    payload,
                    iv,
                )?)?
            }
            None => unwrap_message(&edit.protobuf).clone(),
        };
        let change = opened
            .protocol_message
            .as_option()
            .filter(|change| change.r#type == Some(Type::MESSAGE_EDIT));
        let change = change.context("it is no edit")?;
        let id = change
            .key
            .as_option()
            .and_then(|key| key.id.clone())
            .context("it does not say what it is about")?;
        Ok((
            id,
            change
                .edited_message
                .as_option()
                .cloned()
                .context("it has no new words")?,
        ))
    }

    /// Decrypts with the addresses on the wire and no others: the sender as the stanza names it,
    /// and the author as the key of the original message names it. Fails if that author is not the
    /// real one.
    fn opens_payload(
        &self,
        message: &PhoneMessage,
        about: &TargetMessage,
        what: &str,
        payload: Option<&[u8]>,
        iv: Option<&[u8]>,
    ) -> anyhow::Result<Vec<u8>> {
        let (payload, iv) = (
            payload.context("nothing is sealed")?,
            iv.context("it has no nonce")?,
        );
        let sender = message.address.clone();
        let creator = if about.is_senders {
            sender.clone()
        } else {
            about.creator.clone()
        };
        let author = if about.is_senders {
            message.from.clone()
        } else {
            self.author_or_self(&message.chat, &about.id)
        };
        anyhow::ensure!(
            self.resolve_number(&creator)? == self.resolve_number(&author)?,
            "{creator} is named as the author, who is {author}"
        );
        let key = sealing_key(
            &self.message_secret(&about.id)?,
            &about.id,
            &creator,
            &sender,
            what,
        )?;
        let mut opened = Vec::new();
        // Votes and answers are bound to their sender and to the original message; edits are bound
        // to nothing.
        let bound_to = if what == "Message Edit" {
            Vec::new()
        } else {
            additional_data(&about.id, &sender)
        };
        let opening = aes_256_gcm_decrypt(&key, iv.try_into()?, &bound_to, payload, &mut opened);
        opening
            .ok()
            .with_context(|| format!("it is not sealed for {creator} and {sender}"))?;
        Ok(opened)
    }

    /// The author of a message that this phone has; a message not received from anybody is its own.
    fn author_or_self(&self, chat: &str, id: &str) -> String {
        self.message_author(chat, id)
            .unwrap_or_else(|| self.number().to_owned())
    }

    /// The two addresses that something is sealed under: the phone's own, and that of the author of
    /// the original message.
    fn sealing_addresses(
        &self,
        chat: &str,
        about: &str,
        author: Author,
    ) -> anyhow::Result<(String, String)> {
        let chat = self.address_of(chat)?;
        let address = |of: &str| match chat.ends_with("@g.us") {
            true => self.member_address(&chat, of),
            false => self.address_of(of),
        };
        let me = address(self.number())?;
        let creator = match author {
            Author::Me => me.clone(),
            Author::Them if chat.ends_with("@g.us") => address(&self.author_or_self(&chat, about))?,
            Author::Them => chat.clone(),
        };
        Ok((me, creator))
    }

    fn find_message(&self, id: &str) -> anyhow::Result<wa::Message> {
        let received = self
            .received_messages()
            .into_iter()
            .find(|message| message.id == id);
        match received {
            Some(message) => Ok((*message.protobuf).clone()),
            None => {
                let sent = self
                    .with_phone_state(|phone_state| phone_state.find_sent(id))
                    .context("no such message")?;
                Ok(wa::Message::decode_from_slice(&sent.message)?)
            }
        }
    }

    fn message_secret(&self, poll: &str) -> anyhow::Result<Vec<u8>> {
        let message = self.find_message(poll)?;
        let around = message
            .message_context_info
            .as_option()
            .context("the poll has nothing to seal votes with")?;
        around
            .message_secret
            .clone()
            .context("the poll has no secret")
    }
}

/// The ciphertext and its nonce.
type SealedPayload = (Vec<u8>, Vec<u8>);

/// The additional data of a vote or an answer.
fn additional_data(about: &str, sender: &str) -> Vec<u8> {
    [about.as_bytes(), &[0], sender.as_bytes()].concat()
}

fn sealing_key(
    secret: &[u8],
    about: &str,
    creator: &str,
    sender: &str,
    what: &str,
) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    let info = [about, creator, sender, what].concat();
    let expanded = Hkdf::<Sha256>::new(None, secret).expand(info.as_bytes(), &mut key);
    expanded.ok().context("a key of 32 bytes can be made")?;
    Ok(key)
}

/// The original message that a received vote, answer or edit refers to.
struct TargetMessage {
    id: String,
    /// Its author: named in a group, the other person in a chat of two.
    creator: String,
    /// The sender also wrote the original message.
    is_senders: bool,
}

impl TargetMessage {
    fn from_key(key: &MessageField<wa::MessageKey>) -> anyhow::Result<Self> {
        let key = key.as_option().context("it is about nothing")?;
        let id = key.id.clone().context("it does not say what it is about")?;
        let creator = key
            .participant
            .clone()
            .or(key.remote_jid.clone())
            .context("it does not say whose that is")?;
        Ok(Self {
            id,
            creator,
            is_senders: key.from_me.unwrap_or_default(),
        })
    }
}

fn seal_payload(
    what: &str,
    plaintext: &[u8],
    secret: &[u8],
    about: &str,
    creator: &str,
    sender: &str,
    bound_to: &[u8],
) -> anyhow::Result<SealedPayload> {
    let key = sealing_key(secret, about, creator, sender, what)?;
    let iv: [u8; 12] = rand::random();
    let mut payload = Vec::new();
    aes_256_gcm_encrypt(&key, &iv, bound_to, plaintext, &mut payload)
        .ok()
        .context("it can be sealed")?;
    Ok((payload, iv.to_vec()))
}
