//! Names of people: messages carry the name to display, and a changed name emits one
//! `contact.updated`.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use super::InboundEvent;
use crate::history::History;
use crate::model::event::{ContactUpdated, EventData, Person, PersonNames};
use crate::store::Life;

/// Largest number of people in the cache; when there are more, it is cleared.
const REMEMBERED: usize = 20_000;

/// A cache of people's names.
pub struct NameCache {
    history: History,
    names: Mutex<CachedNames>,
}

/// Names by life and person.
#[derive(Default)]
struct CachedNames {
    by_life: HashMap<i64, HashMap<String, PersonNames>>,
    /// Names saved by the account in this run; the history may not contain them yet.
    saved: HashMap<(i64, String), String>,
    count: usize,
    /// Number of forgotten sessions up to which the cache is valid; see [`History::forgotten_count`].
    forgotten: u64,
}

impl CachedNames {
    fn get(&self, life: &Life, id: &str) -> Option<&PersonNames> {
        self.by_life.get(&life.id())?.get(id)
    }

    fn insert(&mut self, life: &Life, id: String, names: PersonNames) {
        if self.count >= REMEMBERED {
            (self.by_life, self.count) = Default::default();
        }
        let before = self.by_life.entry(life.id()).or_default().insert(id, names);
        self.count += usize::from(before.is_none());
    }
}

impl NameCache {
    pub fn new(history: History) -> Self {
        Self {
            history,
            names: Mutex::default(),
        }
    }

    /// Records the new names when the account has saved a person under another one.
    pub fn record_saved_name(&self, life: &Life, data: &EventData) {
        let EventData::ContactUpdated(update) = data else {
            return;
        };
        let (saved, username) = (&update.contact.saved_name, &update.contact.username);
        let mut names = self.lock();
        if let Some(saved) = saved {
            if names.saved.len() >= REMEMBERED {
                names.saved.clear();
            }
            names
                .saved
                .insert((life.id(), update.contact.id.clone()), saved.clone());
        }
        if let Some(known) = names
            .by_life
            .get_mut(&life.id())
            .and_then(|people| people.get_mut(&update.contact.id))
        {
            known.saved = saved.clone().or_else(|| known.saved.take());
            known.username = username.clone().or_else(|| known.username.take());
        }
    }

    /// Returns the names of a person until now. Asks the history for people that are not in the
    /// cache, such as all of them after a start.
    async fn find_names(&self, life: &Life, id: &str) -> PersonNames {
        if let Some(names) = self.lock().get(life, id) {
            return names.clone();
        }
        let names = self.history.find_names(life, id).await.unwrap_or_default();
        let saved = self.lock().saved.get(&(life.id(), id.to_owned())).cloned();
        PersonNames {
            saved,
            ..PersonNames::default()
        }
        .or_earlier(names)
    }

    fn lock(&self) -> MutexGuard<'_, CachedNames> {
        let mut names = self.names.lock();
        let forgotten = self.history.forgotten_count();
        if names.forgotten != forgotten {
            *names = CachedNames {
                forgotten,
                ..CachedNames::default()
            };
        }
        names
    }
}

/// Names that a batch of messages brought, by person, to be remembered once the batch is saved.
pub(super) type HeardNames = HashMap<String, PersonNames>;

impl NameCache {
    /// Adds names to the people of these messages, and an event for each changed name. Names are
    /// compared in memory, so that messages cost nothing more.
    pub(super) async fn add_names(
        &self,
        session: &Life,
        incoming: Vec<InboundEvent>,
    ) -> (Vec<InboundEvent>, HeardNames) {
        let mut events = Vec::with_capacity(incoming.len());
        let mut seen = HeardNames::new();
        for mut incoming in incoming {
            let update = match author_mut(&mut incoming.data) {
                Some(person) => {
                    let before = match seen.get(&person.id) {
                        Some(names) => names.clone(),
                        None => self.find_names(session, &person.id).await,
                    };
                    let now = person.all_names().or_earlier(before.clone());
                    *person = std::mem::take(person).with_names(now.clone());
                    let person = person.clone();
                    seen.insert(person.id.clone(), now.clone());
                    name_change_event(session, &incoming, person, &before, &now)
                }
                None => None,
            };
            events.extend([Some(incoming), update].into_iter().flatten());
        }
        (events, seen)
    }

    /// Remembers names. Only after saving: a batch that was not saved comes again, and the change
    /// must be seen again, too.
    pub(super) fn remember_names(&self, session: &Life, seen: HeardNames) {
        let mut cache = self.lock();
        for (id, names) in seen {
            if cache.get(session, &id) != Some(&names) {
                // A name saved in the meantime is newer.
                let saved = cache.saved.get(&(session.id(), id.clone())).cloned();
                cache.insert(
                    session,
                    id,
                    PersonNames {
                        saved,
                        ..PersonNames::default()
                    }
                    .or_earlier(names),
                );
            }
        }
    }
}

/// Returns the event that reports a new push name or verified name.
///
/// It is saved in the message's own transaction and under its key, so that a message delivered
/// again emits nothing new.
fn name_change_event(
    session: &Life,
    message: &InboundEvent,
    contact: Person,
    before: &PersonNames,
    now: &PersonNames,
) -> Option<InboundEvent> {
    let is_another =
        |before: &Option<String>, now: &Option<String>| before.is_some() && before != now;
    if !is_another(&before.push, &now.push) && !is_another(&before.verified, &now.verified) {
        return None;
    }
    let chat = contact.id.clone();
    let name = now
        .display_name()
        .filter(|name| Some(*name) != before.display_name())
        .cloned();
    let push_name = contact
        .push_name
        .clone()
        .filter(|_| before.push != now.push);
    let session = session.name().to_owned();
    let update = ContactUpdated {
        session,
        contact,
        name,
        push_name,
        ..ContactUpdated::default()
    };
    Some(InboundEvent {
        key: message.key.clone(),
        chat,
        data: EventData::ContactUpdated(Box::new(update)),
        file: None,
        facts: Vec::new(),
    })
}

/// Returns the author, if it is another person whose names come with the event.
fn author_mut(data: &mut EventData) -> Option<&mut Person> {
    let origin = data.origin_mut()?;
    (!origin.from_me).then_some(&mut origin.from)
}
