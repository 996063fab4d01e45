//! The task that sends a session's messages: executes the steps of its [outbox](super::outbox), and
//! reports their results to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::ledger::Ledger;
use super::outbox::{self, HandedOver, Haste, Moment, Outbox, Step, Unprepared};
use super::sending::{Reply, SendError, Wish};
use super::session::{Inlets, Intent, Line};
use super::{Parts, Session, Status};
use crate::media::File;
use crate::message::{ChatId, Message};
use crate::store::{
    IdempotencyKey, Judged, Life, OpenMessage, Place, Receipt, Rewording, StoreError, Verdict,
};
use crate::whatsapp::{Note, Prepared};

mod accepting;
mod work;

use accepting::Asked;
use work::{Done, Work, alarm};

/// Maximum number of waiting messages per session.
const MOST_WAITING: usize = 10_000;
/// Bytes of message contents kept in memory per session, to avoid reading them back.
const KEPT: usize = 256 * 1024;
/// Pause between two attempts to read the messages of an earlier run.
const PAUSE: Duration = Duration::from_secs(1);

/// A request to a sender.
pub(super) enum Request {
    Accept {
        wish: Box<Wish>,
        /// Its file, if it has been fetched already.
        file: Option<File>,
        haste: Haste,
        reply: oneshot::Sender<Result<Reply, SendError>>,
    },
    Watch {
        id: String,
        waiter: oneshot::Sender<Verdict>,
    },
    /// Cancel a message that has not left.
    Cancel {
        id: String,
        reply: oneshot::Sender<Option<oneshot::Receiver<Verdict>>>,
    },
    /// Edit a message that has not left.
    Reword {
        id: String,
        message: Box<Message>,
        key: Option<IdempotencyKey>,
        reply: oneshot::Sender<Result<Rewording, StoreError>>,
    },
}

/// State of an unsettled message besides its progress in the outbox.
struct Open {
    life: Life,
    id: String,
    to: ChatId,
    /// `None` if it is read from the store on demand.
    message: Option<Message>,
    file: Option<File>,
    prepared: Option<Prepared>,
    waiting: Vec<oneshot::Sender<Verdict>>,
    is_vote: bool,
    /// It was edited while it was being prepared.
    is_stale: bool,
    /// WhatsApp has once refused it as the first message to a new contact; it is sent only one more
    /// time.
    was_new_chat: bool,
}

/// Sends a session's messages until the program ends.
pub(super) struct Sender {
    session: Arc<Session>,
    around: Parts,
    ledger: Ledger,
    outbox: Outbox,
    open: HashMap<Place, Open>,
    by_id: HashMap<String, Place>,
    /// Bytes of message contents in `open`.
    kept: usize,
    accepting: FuturesUnordered<BoxFuture<'static, Asked>>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Sender {
    pub fn new(session: Arc<Session>, around: Parts, ledger: Ledger) -> Self {
        Self {
            session,
            outbox: Outbox::new(around.whatsapp_timeout),
            open: HashMap::new(),
            by_id: HashMap::new(),
            kept: 0,
            accepting: FuturesUnordered::new(),
            work: FuturesUnordered::new(),
            around,
            ledger,
        }
    }

    pub async fn run(mut self, inlets: &mut Inlets) {
        let Inlets { requests, notes } = inlets;
        let session = Arc::clone(&self.session);
        let mut line = self.session.line();
        line.mark_changed();
        let lifecycle = self.around.lifecycle.clone();
        if lifecycle.unless_stopping(self.resume()).await.is_none() {
            return;
        }
        loop {
            self.advance();
            let alarm = alarm(
                self.around.clock.clone(),
                self.outbox.quiet_for(self.moment()),
            );
            tokio::select! {
                biased;
                () = lifecycle.stopping() => break,
                () = session.ended() => break,
                Ok(()) = line.changed() => {
                    let line = *line.borrow_and_update();
                    self.line_is(line);
                }
                Some(note) = notes.recv() => self.note(note),
                Some(done) = self.work.next() => self.done(done),
                Some(asked) = self.accepting.next() => self.accepted(asked),
                Some(request) = requests.recv() => self.asked(request).await,
                () = alarm => {}
            }
        }
        // Pending requests are answered. Accepted messages are sent by the next run, if the session
        // still exists.
        while let Some(asked) = self.accepting.next().await {
            self.accepted(asked);
        }
        if session.intent() == Intent::Remove {
            self.outbox.device_is_gone();
            self.advance();
        }
    }

    /// Resumes the messages of an earlier run.
    async fn resume(&mut self) {
        let life = self.session.life();
        let left = loop {
            match self.around.store.open_messages(&life).await {
                Ok(left) => break left,
                Err(error) => {
                    tracing::error!(session = %self.session.name, %error, "open messages cannot be read")
                }
            }
            self.around.clock.sleep(PAUSE).await;
        };
        for left in outbox::in_order(left) {
            self.take_up(&life, left);
        }
    }

    fn take_up(&mut self, life: &Life, left: OpenMessage) {
        let Ok(to) = ChatId::parse_with_status(&left.chat) else {
            return;
        };
        let (waiting, is_vote) = (Vec::new(), left.is_vote);
        let (id, life) = (left.id, life.clone());
        let open = Open {
            life,
            id,
            to,
            message: None,
            file: None,
            prepared: None,
            waiting,
            is_vote,
            is_stale: false,
            was_new_chat: false,
        };
        let message = outbox::Message {
            place: left.place,
            chat: left.chat,
            send_at: left.send_at,
            expires_at: left.expires_at,
            haste: Haste::Patient,
            is_marked: left.may_have_left,
            may_have_left: left.may_have_left,
            has_file: left.needs_fetching,
        };
        self.enter(message, open);
    }

    fn enter(&mut self, message: outbox::Message, open: Open) {
        self.by_id.insert(open.id.clone(), message.place);
        self.open.insert(message.place, open);
        self.outbox.accept(message, self.moment());
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.around.clock.now(),
            uptime: self.around.clock.uptime(),
        }
    }

    fn line_is(&mut self, line: Line) {
        // This is another connection: messages under way on the previous one are unconfirmed.
        self.outbox.line_is(outbox::Line::Down);
        match line {
            Line::Up(_) => self.outbox.line_is(outbox::Line::Up),
            Line::Down => {}
            Line::Gone => self.outbox.device_is_gone(),
        }
    }

    async fn asked(&mut self, request: Request) {
        match request {
            Request::Accept {
                wish,
                file,
                haste,
                reply,
            } => match self.refusal(&wish, haste) {
                Some(refusal) => drop(reply.send(Err(refusal))),
                None => self.accept(wish, file, haste, reply),
            },
            Request::Watch { id, waiter } => {
                if let Some(open) = self
                    .by_id
                    .get(&id)
                    .and_then(|place| self.open.get_mut(place))
                {
                    open.waiting.push(waiter);
                }
            }
            // The requester may have gone; the request is carried out all the same.
            Request::Cancel { id, reply } => drop(reply.send(self.cancel(&id))),
            Request::Reword {
                id,
                message,
                key,
                reply,
            } => drop(reply.send(self.reword(&id, *message, key).await)),
        }
    }

    fn refusal(&self, wish: &Wish, haste: Haste) -> Option<SendError> {
        // It is meant for an account that is no longer linked.
        if wish.life != self.session.life() {
            return Some(SendError::Unknown);
        }
        if self.open.len() + self.accepting.len() >= MOST_WAITING {
            return Some(SendError::Full(MOST_WAITING));
        }
        match haste {
            Haste::NowOrNever => self.session.look(|state| match state.status {
                Status::Online => None,
                status => Some(SendError::NotOnline {
                    status,
                    reason: state.reason.clone(),
                }),
            }),
            Haste::Patient if self.session.has_device() => None,
            Haste::Patient => Some(SendError::NotPaired),
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Ack { id, refused, at } => {
                let Some(&place) = self.by_id.get(&id) else {
                    return;
                };
                if refused.as_deref() == Some(outbox::failures::NEW_CHAT)
                    && self.asks_for_trust(place)
                {
                    return;
                }
                let verdict = match refused {
                    None => Verdict::Sent {
                        at: at.unwrap_or_else(|| self.around.clock.now()),
                    },
                    Some(code) if self.is_to_newsletter(place) => {
                        outbox::failures::refused_post(&code)
                    }
                    Some(code) if self.is_to_group(place) => {
                        outbox::failures::refused_in_group(&code)
                    }
                    Some(code) => outbox::failures::refused(&code),
                };
                self.outbox.answered(place, verdict);
            }
            Note::Receipt {
                ids,
                from,
                is_one_of_many,
                kind,
                at,
            } => {
                for id in ids {
                    // A message that reached a phone was accepted by WhatsApp, even if the
                    // acknowledgement was lost.
                    if let Some(&place) = self.by_id.get(&id) {
                        self.outbox.answered(place, Verdict::Sent { at });
                        self.advance();
                    }
                    let (session, from) = (self.session.life(), from.clone());
                    self.ledger.receipt(Receipt {
                        session,
                        id,
                        from,
                        is_one_of_many,
                        kind,
                        at,
                    });
                }
            }
        }
    }

    /// Waits for the recipient's trust token the first time that a message is refused as a new
    /// chat. Returns `false` the second time.
    fn asks_for_trust(&mut self, place: Place) -> bool {
        let Some(open) = self.open.get_mut(&place).filter(|open| open.to.is_person()) else {
            return false;
        };
        let is_first = !std::mem::replace(&mut open.was_new_chat, true);
        if is_first {
            self.work.push(Box::pin(work::trusted(
                place,
                Arc::clone(&self.session),
                open.to.clone(),
            )));
        }
        is_first
    }

    fn is_to_group(&self, place: Place) -> bool {
        self.open
            .get(&place)
            .is_some_and(|open| matches!(open.to, ChatId::Group(_)))
    }

    fn is_to_newsletter(&self, place: Place) -> bool {
        self.open
            .get(&place)
            .is_some_and(|open| matches!(open.to, ChatId::Newsletter(_)))
    }

    fn done(&mut self, done: Done) {
        let at = self.moment();
        match done {
            Done::Prepared(place, outcome) => {
                let outcome = match self.open.get_mut(&place) {
                    Some(open) if open.is_stale => Err(Unprepared::Outdated),
                    Some(open) => outcome.map(|prepared| open.prepared = Some(prepared)),
                    None => outcome.map(drop),
                };
                self.outbox.prepared(place, outcome, at);
            }
            Done::Marked(places, outcome) => self.outbox.marked(&places, outcome, at),
            Done::HandedOver(place, outcome) => self.outbox.handed_over(place, &outcome, at),
            Done::Trusted(place, true) => self.outbox.again(place),
            Done::Trusted(place, false) => {
                self.outbox
                    .answered(place, outbox::failures::refused(outbox::failures::NEW_CHAT));
            }
        }
    }

    /// Executes all current steps of the outbox.
    fn advance(&mut self) {
        for step in self.outbox.next(self.moment()) {
            match step {
                Step::Judge(place, verdict) => self.judge(place, verdict),
                Step::Mark(places) => self
                    .work
                    .push(Box::pin(work::mark(self.around.store.clone(), places))),
                Step::Prepare(place) => match self.work_on(place) {
                    Some(work) => self.work.push(Box::pin(work.prepare())),
                    None => self.done(Done::Prepared(
                        place,
                        Err(Unprepared::Unfit("it is gone".to_owned())),
                    )),
                },
                Step::HandOver(place) => match self.work_on(place) {
                    Some(work) => self
                        .work
                        .push(Box::pin(work.hand_over(self.around.whatsapp_timeout))),
                    None => self.done(Done::HandedOver(place, HandedOver::Failed)),
                },
            }
        }
    }

    /// Collects everything that the work on a message needs.
    fn work_on(&mut self, place: Place) -> Option<Work> {
        let open = self.open.get_mut(&place)?;
        open.is_stale = false;
        Some(Work {
            place,
            life: open.life.clone(),
            session: Arc::clone(&self.session),
            around: self.around.clone(),
            id: open.id.clone(),
            to: open.to.clone(),
            message: open.message.clone(),
            file: open.file.take(),
            prepared: open.prepared.clone(),
        })
    }

    fn judge(&mut self, place: Place, verdict: Verdict) {
        let Some(open) = self.open.get_mut(&place) else {
            return;
        };
        let mut judged = Judged {
            place,
            session: open.life.clone(),
            id: open.id.clone(),
            chat: open.to.to_string(),
            verdict,
            voter: if open.is_vote {
                work::own_number(&self.session)
            } else {
                None
            },
        };
        if judged.verdict == Verdict::InDoubt {
            return self.ledger.judge(judged, Vec::new());
        }
        let Some(open) = self.open.remove(&place) else {
            return;
        };
        self.by_id.remove(&open.id);
        self.kept -= open
            .message
            .as_ref()
            .map_or(0, |message| message.content.size());
        if let Verdict::Failed(failure) = &mut judged.verdict {
            tracing::debug!(session = %self.session.name, code = failure.code, "a message failed");
        }
        self.ledger.judge(judged, open.waiting);
    }
}
