//! Chat events from the engine's event bus: group and chat-list changes, typing, presence, calls.
//! Each comes at most once.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::{Client, Jid};

use super::calls::{self, RingingCalls};
use super::{chat_list, groups, newsletters, presence};
use crate::model::event::{EventData, Person, PersonNames};
use crate::store::{DeviceLife, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::connection::link_events::{LinkEvent, LinkEventSender};
use crate::whatsapp::queries::limits;
use crate::whatsapp::receive::decode;

/// Events that may wait for processing. Further ones are dropped: they come at most once anyway.
const QUEUE_LIMIT: usize = 1_024;

/// An event in a chat or about a person, other than a message.
#[derive(Debug, Clone)]
pub struct ChatEvent {
    /// The chat's public id; events of one chat are emitted in order.
    pub chat: String,
    /// The same for each repetition by WhatsApp, where it can be.
    pub id: Option<String>,
    pub data: EventData,
}

/// Queues the engine's events, since its callbacks must not block.
pub(in crate::whatsapp) struct EventObserver(mpsc::Sender<Arc<Event>>);

impl EventHandler for EventObserver {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.try_send(event);
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::GroupUpdate,
            EventKind::ChatPresence,
            EventKind::Presence,
            EventKind::IncomingCall,
            EventKind::MissedCall,
            EventKind::CallEndedElsewhere,
            EventKind::StarUpdate,
            EventKind::ArchiveUpdate,
            EventKind::PinUpdate,
            EventKind::MuteUpdate,
            EventKind::MarkChatAsReadUpdate,
            EventKind::DeleteChatUpdate,
            EventKind::ClearChatUpdate,
            EventKind::ContactUpdate,
            EventKind::SelfPushNameUpdated,
            EventKind::PictureUpdate,
            EventKind::UserAboutUpdate,
            EventKind::NewsletterLiveUpdate,
            EventKind::MexNotification,
        ])
    }
}

/// Converts and reports the engine's events until the link ends.
pub(in crate::whatsapp) fn watch_events(
    session: &DeviceLife,
    client: &Arc<Client>,
    ringing: RingingCalls,
    tasks: &Lifecycle,
    reports: &LinkEventSender,
    store: &Store,
    clock: Clock,
) -> EventObserver {
    let (events, mut seen) = mpsc::channel::<Arc<Event>>(QUEUE_LIMIT);
    let (session, client, reports, stopping) = (
        session.clone(),
        Arc::clone(client),
        reports.clone(),
        tasks.clone(),
    );
    let store = store.clone();
    tasks.spawn(async move {
        while let Some(Some(event)) = stopping.unless_stopping(seen.recv()).await {
            if let Event::MexNotification(notice) = &*event {
                let told = limits::parse_notification(&notice.op_name, &notice.payload, clock.now());
                if let Some(told) = told {
                    reports.send(LinkEvent::Limits(Box::new(told)));
                }
                continue;
            }
            if !chat_list::is_news(&event, clock.now()) {
                continue;
            }
            for chat_event in convert_event(session.name(), &client, &ringing, &event).await {
                if let Some(timer) = groups::group_timer(&chat_event.data)
                    && let Err(error) =
                        store.outbox().set_chat_timer(&session.current_life(), std::slice::from_ref(&chat_event.chat), timer).await
                {
                    tracing::warn!(session = session.name(), %error, "failed to save the timer of a group");
                }
                reports.send(LinkEvent::Chat(Box::new(chat_event)));
            }
        }
    });
    EventObserver(events)
}

async fn convert_event(
    session: &str,
    client: &Client,
    ringing: &RingingCalls,
    event: &Event,
) -> Vec<ChatEvent> {
    if let Event::GroupUpdate(update) = event {
        let others = KnownAddresses::look_up(client, groups::update_addresses(update)).await;
        return groups::convert_group_update(session, update, &others);
    }
    let single = convert_single_event(session, client, ringing, event).await;
    single.into_iter().collect()
}

async fn convert_single_event(
    session: &str,
    client: &Client,
    ringing: &RingingCalls,
    event: &Event,
) -> Option<ChatEvent> {
    match event {
        Event::ChatPresence(update) if !update.source.is_from_me => {
            let others =
                KnownAddresses::look_up(client, vec![(update.source.sender.clone(), None)]).await;
            Some(presence::convert_typing(session, update, &others))
        }
        Event::Presence(update) => {
            let others = KnownAddresses::look_up(client, vec![(update.from.clone(), None)]).await;
            Some(presence::convert_presence(session, update, &others))
        }
        Event::IncomingCall(call) => calls::convert_call(
            session,
            call,
            &KnownAddresses::look_up(client, vec![(call.from.clone(), None)]).await,
            ringing,
        ),
        Event::MissedCall(call) => Some(calls::convert_missed_call(
            session,
            call,
            &KnownAddresses::look_up(client, vec![(call.from.clone(), None)]).await,
        )),
        Event::CallEndedElsewhere(call) => Some(calls::convert_call_elsewhere(
            session,
            call,
            &KnownAddresses::look_up(client, vec![(call.from.clone(), None)]).await,
        )),
        Event::StarUpdate(update) => {
            let others =
                KnownAddresses::look_up(client, vec![(update.chat_jid.clone(), None)]).await;
            Some(presence::convert_star(session, update, &others))
        }
        Event::NewsletterLiveUpdate(update) => Some(newsletters::convert_counts(session, update)),
        Event::ContactUpdate(update) => chat_list::convert_saved_name(
            session,
            update,
            &KnownAddresses::look_up(client, vec![(update.jid.clone(), None)]).await,
        ),
        Event::PictureUpdate(update) if update.jid.is_pn() || update.jid.is_lid() => {
            let others = KnownAddresses::look_up(client, vec![(update.jid.clone(), None)]).await;
            Some(chat_list::convert_picture(session, update, &others))
        }
        Event::UserAboutUpdate(update) => {
            let others = KnownAddresses::look_up(client, vec![(update.jid.clone(), None)]).await;
            Some(chat_list::convert_about(session, update, &others))
        }
        Event::SelfPushNameUpdated(update) if !update.old_name.is_empty() => {
            let own = client.pn().or_else(|| client.lid())?.to_non_ad();
            let others = KnownAddresses::look_up(client, vec![(own.clone(), None)]).await;
            let names = PersonNames {
                push: Some(update.new_name.clone()),
                ..PersonNames::default()
            };
            Some(chat_list::build_contact_renamed(
                session, &own, None, names, &others,
            ))
        }
        _ => {
            let (jid, change) = chat_list::convert_chat_change(event)?;
            Some(chat_list::build_chat_updated(
                session,
                jid,
                change,
                &KnownAddresses::look_up(client, vec![(jid.clone(), None)]).await,
            ))
        }
    }
}

/// Other addresses of people, number or LID, as far as the engine knows them.
#[derive(Default)]
pub(in crate::whatsapp) struct KnownAddresses(HashMap<String, Jid>);

impl KnownAddresses {
    /// Looks up the other addresses that are not given.
    pub async fn look_up(client: &Client, named: Vec<(Jid, Option<Jid>)>) -> Self {
        let mut others = HashMap::new();
        for (jid, other) in named {
            if let Some(other) = other {
                others.insert(jid.user_base().to_owned(), other);
                continue;
            }
            if others.contains_key(jid.user_base()) {
                continue;
            }
            let Ok(Some(known)) = client.get_lid_pn_entry(&jid).await else {
                continue;
            };
            let other = if jid.is_lid() {
                Jid::pn(&*known.phone_number)
            } else {
                Jid::lid(&*known.lid)
            };
            others.insert(jid.user_base().to_owned(), other);
        }
        Self(others)
    }

    /// Returns a person's other address, if known.
    pub fn other_address(&self, jid: &Jid) -> Option<Jid> {
        self.0.get(jid.user_base()).cloned()
    }

    /// Returns a person with all known addresses. The arguments take precedence.
    pub fn build_person(&self, jid: &Jid, other: Option<&Jid>, name: Option<&str>) -> Person {
        let other = other.or_else(|| self.0.get(jid.user_base()));
        decode::build_person(jid, other, name.unwrap_or_default())
    }
}
