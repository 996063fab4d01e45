//! Votes on polls, answers to events and sealed reactions, as phones seal them: only who has what they are about can open them.

use anyhow::Context;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use wacore_libsignal::crypto::aes_256_gcm_encrypt;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::event_response_message::EventResponseType;
use waproto::whatsapp::message::{
    EncEventResponseMessage, EncReactionMessage, EventResponseMessage, PollEncValue, PollUpdateMessage,
    PollVoteMessage, ReactionMessage,
};

use crate::amendments::Author;
use crate::phone::Phone;

impl Phone {
    /// Votes on a poll that this phone has; no option takes the vote back. Returns the id of the message that says so.
    pub fn votes(&self, chat: &str, poll: &str, author: Author, options: &[&str]) -> anyhow::Result<String> {
        let secret = self.poll_secret(poll)?;
        let (me, them) = (self.address_of(self.number())?, self.address_of(chat)?);
        let creator = if author == Author::Me { &me } else { &them };
        let hashes = options.iter().map(|option| Sha256::digest(option.as_bytes()).to_vec()).collect();
        let vote = PollVoteMessage { selected_options: hashes }.encode_to_vec();
        let (payload, iv) = seal("Poll Vote", &vote, &secret, poll, creator, &me, &bound_to(poll, &me))?;
        let vote = PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv) };
        let update = PollUpdateMessage {
            poll_creation_message_key: self.key(chat, poll, author)?,
            vote: MessageField::some(vote),
            sender_timestamp_ms: Some(crate::stanza::unix_time() as i64 * 1000),
            ..Default::default()
        };
        let message = wa::Message { poll_update_message: MessageField::some(update), ..Default::default() };
        self.sends(chat, "poll", message)
    }

    /// Says whether its owner comes to an event that this phone has. Returns the id of the message that says so.
    pub fn responds(
        &self,
        chat: &str,
        event: &str,
        author: Author,
        response: EventResponseType,
    ) -> anyhow::Result<String> {
        let secret = self.poll_secret(event)?;
        let (me, them) = (self.address_of(self.number())?, self.address_of(chat)?);
        let creator = if author == Author::Me { &me } else { &them };
        let timestamp_ms = Some(crate::stanza::unix_time() as i64 * 1000);
        let said = EventResponseMessage { response: Some(response), timestamp_ms, extra_guest_count: Some(1) };
        let said = said.encode_to_vec();
        let (payload, iv) = seal("Event Response", &said, &secret, event, creator, &me, &bound_to(event, &me))?;
        let answer = EncEventResponseMessage {
            event_creation_message_key: self.key(chat, event, author)?,
            enc_payload: Some(payload),
            enc_iv: Some(iv),
        };
        let message = wa::Message { enc_event_response_message: MessageField::some(answer), ..Default::default() };
        self.sends(chat, "event", message)
    }

    /// Puts an emoji to a message of a group as phones do in a community's announcements: sealed with what the
    /// message brought along. Returns the id of the message that says so.
    pub fn reacts_sealed(&self, group: &str, message: &str, author: Author, emoji: &str) -> anyhow::Result<String> {
        let secret = self.poll_secret(message)?;
        let me = self.member_address(group, self.number())?;
        let mut key = self.key(group, message, author)?;
        let writer = key.as_option().and_then(|key| key.participant.clone()).unwrap_or_else(|| me.clone());
        // The key is what says whose message it is, the own ones included.
        if let Some(key) = key.as_option_mut() {
            key.participant = Some(writer.clone());
        }
        let sender_timestamp_ms = Some(crate::stanza::unix_time() as i64 * 1000);
        let said = ReactionMessage { text: Some(emoji.to_owned()), sender_timestamp_ms, ..Default::default() };
        let (payload, iv) = seal("Enc Reaction", &said.encode_to_vec(), &secret, message, &writer, &me, &[])?;
        let sealed = EncReactionMessage { target_message_key: key, enc_payload: Some(payload), enc_iv: Some(iv) };
        let message = wa::Message { enc_reaction_message: MessageField::some(sealed), ..Default::default() };
        self.sends(group, "reaction", message)
    }

    fn poll_secret(&self, poll: &str) -> anyhow::Result<Vec<u8>> {
        let received = self.received().into_iter().find(|message| message.id == poll);
        let message = match received {
            Some(message) => (*message.protobuf).clone(),
            None => {
                let sent = self.with_handset(|handset| handset.sent(poll)).context("no such poll")?;
                wa::Message::decode_from_slice(&sent.message)?
            }
        };
        let around = message.message_context_info.as_option().context("the poll has nothing to seal votes with")?;
        around.message_secret.clone().context("the poll has no secret")
    }
}

/// What is sealed, and with which nonce.
type Sealed = (Vec<u8>, Vec<u8>);

/// What a vote or an answer is bound to besides its key.
fn bound_to(about: &str, sender: &str) -> Vec<u8> {
    [about.as_bytes(), &[0], sender.as_bytes()].concat()
}

fn seal(
    what: &str,
    said: &[u8],
    secret: &[u8],
    about: &str,
    creator: &str,
    sender: &str,
    bound_to: &[u8],
) -> anyhow::Result<Sealed> {
    let mut key = [0; 32];
    let info = [about, creator, sender, what].concat();
    let expanded = Hkdf::<Sha256>::new(None, secret).expand(info.as_bytes(), &mut key);
    expanded.ok().context("a key of 32 bytes can be made")?;
    let iv: [u8; 12] = rand::random();
    let mut payload = Vec::new();
    aes_256_gcm_encrypt(&key, &iv, bound_to, said, &mut payload).ok().context("it can be sealed")?;
    Ok((payload, iv.to_vec()))
}
