//! What people call themselves: whoever calls themselves something else than before becomes `contact.updated`, once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use async_trait::async_trait;

use crate::event::{ContactUpdated, EventData, Person};
use crate::history::History;
use crate::store::Life;
use crate::whatsapp::{Inbox, Incoming};

/// Names in memory; when there are more, all are forgotten.
const REMEMBERED: usize = 20_000;

/// Stands before the real inbox, behind that which gives people their one id.
///
/// Names are compared in memory, so that messages cost nothing more. Of somebody who is not remembered, such as all after a start, the
/// history is asked once; it keeps the name that was told last.
pub struct NameInbox {
    history: History,
    inbox: Arc<dyn Inbox>,
    remembered: Mutex<Names>,
}

/// By session and person.
#[derive(Default)]
struct Names {
    by_session: HashMap<i64, HashMap<String, String>>,
    count: usize,
    /// Of how many sessions nothing may be remembered any more; see [`History::forgotten`].
    forgotten: u64,
}

impl Names {
    fn find(&self, session: &Life, id: &str) -> Option<&String> {
        self.by_session.get(&session.id())?.get(id)
    }

    fn keep(&mut self, session: &Life, id: String, name: String) {
        if self.count >= REMEMBERED {
            *self = Self { forgotten: self.forgotten, ..Self::default() };
        }
        let before = self.by_session.entry(session.id()).or_default().insert(id, name);
        self.count += usize::from(before.is_none());
    }
}

impl NameInbox {
    pub fn new(history: History, inbox: Arc<dyn Inbox>) -> Self {
        Self { history, inbox, remembered: Mutex::default() }
    }

    /// Whoever wrote this, if it says what they call themselves and that is not remembered.
    fn unheard(&self, session: &Life, data: &EventData) -> Option<(Person, String)> {
        let person = writer(data)?;
        let name = person.name.as_ref()?;
        let is_known = self.lock().find(session, &person.id) == Some(name);
        (!is_known).then(|| (person.clone(), name.clone()))
    }

    /// What somebody was called until now.
    async fn before(&self, session: &Life, id: &str, heard: &[(String, String)]) -> Option<String> {
        if let Some((_, name)) = heard.iter().rev().find(|(whom, _)| whom == id) {
            return Some(name.clone());
        }
        let remembered = self.lock().find(session, id).cloned();
        match remembered {
            Some(name) => Some(name),
            None => self.history.name_of(session, id).await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        let mut names = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = self.history.forgotten();
        if names.forgotten != forgotten {
            *names = Names { forgotten, ..Names::default() };
        }
        names
    }
}

#[async_trait]
impl Inbox for NameInbox {
    async fn accept(&self, session: &Life, incoming: Vec<Incoming>) -> Result<()> {
        let (mut told, mut heard) = (Vec::with_capacity(incoming.len()), Vec::new());
        for incoming in incoming {
            let update = match self.unheard(session, &incoming.data) {
                Some((person, name)) => {
                    let before = self.before(session, &person.id, &heard).await;
                    heard.push((person.id.clone(), name.clone()));
                    let is_another = before.is_some_and(|before| before != name);
                    is_another.then(|| renamed(session, &incoming, person, name))
                }
                None => None,
            };
            told.extend([Some(incoming), update].into_iter().flatten());
        }
        self.inbox.accept(session, told).await?;
        // Not before: what was not saved comes again, and so must the news in it.
        if !heard.is_empty() {
            let mut remembered = self.lock();
            heard.into_iter().for_each(|(id, name)| remembered.keep(session, id, name));
        }
        Ok(())
    }
}

/// In the message's own transaction, and known by it: what WhatsApp delivers again tells nothing new.
fn renamed(session: &Life, message: &Incoming, contact: Person, name: String) -> Incoming {
    let chat = contact.id.clone();
    let update =
        ContactUpdated { session: session.name().to_owned(), contact, name: Some(name), ..ContactUpdated::default() };
    Incoming { key: message.key.clone(), chat, data: EventData::ContactUpdated(Box::new(update)), file: None }
}

/// Somebody else who wrote something that comes with what they call themselves.
fn writer(data: &EventData) -> Option<&Person> {
    let (from, from_me) = match data {
        EventData::MessageReceived(told) => (&told.from, told.from_me),
        EventData::StatusReceived(told) => (&told.message.from, told.message.from_me),
        EventData::MessageEdited(told) => (&told.from, told.from_me),
        EventData::MessageDeleted(told) => (&told.from, told.from_me),
        EventData::MessageReaction(told) => (&told.from, told.from_me),
        EventData::PollVote(told) => (&told.from, told.from_me),
        EventData::EventResponse(told) => (&told.from, told.from_me),
        _ => return None,
    };
    (!from_me).then_some(from)
}
