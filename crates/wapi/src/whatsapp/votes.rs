//! Votes on polls: opened with the poll's secret, and counted.

use anyhow::Result;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::wacore::poll::{PollVoteCiphertext, compute_option_hash, decrypt_poll_vote_with_secret};
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::whatsapp::message::PollUpdateMessage;
use whatsapp_rust::{Client, Jid};

use super::Incoming;
use super::inbox::other_address;
use super::incoming::{self, Known, kinds};
use crate::event::{EventData, Tally, Vote};
use crate::store::{Ballot, Poll, Store};

/// Knows the polls of one session.
pub(super) struct Votes {
    session: String,
    store: Store,
}

impl Votes {
    pub fn new(session: &str, store: Store) -> Self {
        Self { session: session.to_owned(), store }
    }

    /// Keeps a poll for the votes to come; what to tell of a vote. `None` for everything else.
    pub async fn read(&self, client: &Client, message: &InboundMessage, known: &Known) -> Result<Option<Incoming>> {
        self.keep(message).await?;
        let body = message.message.get_base_message();
        let Some(update) = body.poll_update_message.as_option() else { return Ok(None) };
        let poll_id = update.poll_creation_message_key.as_option().and_then(|key| key.id.clone());
        // Options that are added later come this way, too.
        let (Some(poll_id), true) = (poll_id, update.vote.is_set()) else { return Ok(None) };
        let changed = incoming::changed(&self.session, &message.info, known, poll_id.clone());
        let vote = match self.store.poll(&self.session, &poll_id).await? {
            Some(poll) => match opened(client, &poll, &poll_id, update, &message.info.source.sender).await {
                Some(hashes) => self.count(poll, &poll_id, &changed.from.id, &hashes, update).await?,
                None => Vote::default(),
            },
            None => Vote::default(),
        };
        let data = EventData::PollVote(Box::new(changed.with(vote)));
        let (key, chat) = (incoming::key(&message.info), incoming::chat(&message.info, known));
        Ok(Some(Incoming { key, chat, data }))
    }

    async fn keep(&self, message: &InboundMessage) -> Result<()> {
        let Some(creation) = kinds::creation(message.message.get_base_message()) else { return Ok(()) };
        let around = message.message.message_context_info.as_option();
        let around = around.or_else(|| message.message.get_base_message().message_context_info.as_option());
        let Some(secret) = around.and_then(|around| around.message_secret.clone()) else { return Ok(()) };
        let poll = Poll {
            creator: message.info.source.sender.to_non_ad_string(),
            secret,
            question: creation.name.clone().unwrap_or_default(),
            options: creation.options.iter().filter_map(|option| option.option_name.clone()).collect(),
        };
        self.store.keep_poll(&self.session, &message.info.id, poll).await?;
        Ok(())
    }

    async fn count(
        &self,
        poll: Poll,
        id: &str,
        voter: &str,
        hashes: &[Vec<u8>],
        update: &PollUpdateMessage,
    ) -> Result<Vote> {
        let chosen = |option: &&String| hashes.iter().any(|hash| hash[..] == compute_option_hash(option));
        let options: Vec<_> = poll.options.iter().filter(chosen).cloned().collect();
        let ballot = Ballot { voter: voter.to_owned(), options: options.clone() };
        let voted_at = update.sender_timestamp_ms.unwrap_or_default();
        let ballots = self.store.vote(&self.session, id, ballot, voted_at).await?;
        Ok(Vote { question: Some(poll.question), options: Some(options), tally: Some(tally(&poll.options, &ballots)) })
    }
}

fn tally(options: &[String], ballots: &[Ballot]) -> Vec<Tally> {
    let one = |option: &String| {
        let chose = ballots.iter().filter(|ballot| ballot.options.contains(option));
        let voters: Vec<_> = chose.map(|ballot| ballot.voter.clone()).collect();
        Tally { option: option.clone(), votes: voters.len(), voters }
    };
    options.iter().map(one).collect()
}

/// The hashes of what was chosen. A vote is sealed for the addresses that voter and creator had for each other then, which may be
/// numbers or LIDs.
async fn opened(
    client: &Client,
    poll: &Poll,
    id: &str,
    update: &PollUpdateMessage,
    voter: &Jid,
) -> Option<Vec<Vec<u8>>> {
    let vote = update.vote.as_option()?;
    let sealed = PollVoteCiphertext { enc_payload: vote.enc_payload.as_deref()?, enc_iv: vote.enc_iv.as_deref()? };
    let creator = poll.creator.parse::<Jid>().ok()?;
    let (creators, voters) = (addresses(client, &creator).await, addresses(client, voter).await);
    let pairs = creators.iter().flat_map(|creator| voters.iter().map(move |voter| (creator, voter)));
    let mut opened = pairs
        .filter_map(|(creator, voter)| decrypt_poll_vote_with_secret(sealed, &poll.secret, id, creator, voter).ok());
    opened.next()
}

/// The one that is given, and the other if it is known.
async fn addresses(client: &Client, person: &Jid) -> Vec<String> {
    let own = [client.pn(), client.lid()];
    let is_own = own.iter().flatten().any(|own| own.user_base() == person.user_base());
    let others =
        if is_own { own.into_iter().flatten().collect() } else { Vec::from_iter(other_address(client, person).await) };
    let mut addresses = vec![person.to_non_ad_string()];
    addresses.extend(others.iter().map(Jid::to_non_ad_string).filter(|other| *other != person.to_non_ad_string()));
    addresses
}
