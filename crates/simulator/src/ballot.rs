//! Votes on polls and answers to events, as phones seal them: only who has the poll or the event can open them.

use anyhow::Context;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use wacore_libsignal::crypto::aes_256_gcm_encrypt;
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::message::event_response_message::EventResponseType;
use waproto::whatsapp::message::{
    EncEventResponseMessage, EventResponseMessage, PollEncValue, PollUpdateMessage, PollVoteMessage,
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
        let (payload, iv) = seal("Poll Vote", &vote, &secret, poll, creator, &me)?;
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
        let (payload, iv) = seal("Event Response", &said.encode_to_vec(), &secret, event, creator, &me)?;
        let answer = EncEventResponseMessage {
            event_creation_message_key: self.key(chat, event, author)?,
            enc_payload: Some(payload),
            enc_iv: Some(iv),
        };
        let message = wa::Message { enc_event_response_message: MessageField::some(answer), ..Default::default() };
        self.sends(chat, "event", message)
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

fn seal(what: &str, said: &[u8], secret: &[u8], about: &str, creator: &str, sender: &str) -> anyhow::Result<Sealed> {
    let mut key = [0; 32];
    let info = [about, creator, sender, what].concat();
    let expanded = Hkdf::<Sha256>::new(None, secret).expand(info.as_bytes(), &mut key);
    expanded.ok().context("a key of 32 bytes can be made")?;
    let iv: [u8; 12] = rand::random();
    let mut payload = Vec::new();
    let bound_to = [about.as_bytes(), &[0], sender.as_bytes()].concat();
    aes_256_gcm_encrypt(&key, &iv, &bound_to, said, &mut payload).ok().context("it can be sealed")?;
    Ok((payload, iv.to_vec()))
}
