//! The task that sends a session's messages: asks its [outbox](super::outbox) what to do, does it, and tells the outbox how it went.

use std::collections::HashMap;
use std::future::pending;
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
use crate::clock::Clock;
use crate::media::File;
use crate::message::{ChatId, Message};
use crate::store::{Acceptance, Accepted, Departure, Judged, NewMessage, OpenMessage, Place, Receipt, Verdict};
use crate::whatsapp::{Note, Prepared};

mod work;

use work::{Done, Work};

/// Messages of one session that may wait.
const MOST_WAITING: usize = 10_000;
/// Texts kept in memory so that they need not be read back, in bytes for each session.
const KEPT: usize = 256 * 1024;
/// Between two tries to read what an earlier run left.
const PAUSE: Duration = Duration::from_secs(1);

/// What a sender is asked for.
pub(super) enum Request {
    Accept {
        wish: Box<Wish>,
        /// Its file, if it was fetched already.
        file: Option<File>,
        haste: Haste,
        reply: oneshot::Sender<Result<Reply, SendError>>,
    },
    Watch {
        id: String,
        waiter: oneshot::Sender<Verdict>,
    },
    /// Take a message back that has not left.
    Cancel {
        id: String,
        reply: oneshot::Sender<Option<oneshot::Receiver<Verdict>>>,
    },
    /// Give a message that has not left other words.
    Reword {
        id: String,
        message: Box<Message>,
        reply: oneshot::Sender<Option<Place>>,
    },
}

/// A wish that the store is asked to accept.
struct Asked {
    wish: Box<Wish>,
    file: Option<File>,
    haste: Haste,
    departure: Departure,
    reply: oneshot::Sender<Result<Reply, SendError>>,
    answer: Result<Acceptance, SendError>,
}

/// What is known of an open message besides its way through the outbox.
struct Open {
    id: String,
    to: ChatId,
    /// `None`: it is read when it is needed.
    message: Option<Message>,
    file: Option<File>,
    prepared: Option<Prepared>,
    waiting: Vec<oneshot::Sender<Verdict>>,
    is_vote: bool,
    /// It got other words while it was made ready.
    is_stale: bool,
}

/// Sends what its session has to send, until the program ends.
pub(super) struct Sender {
    session: Arc<Session>,
    around: Parts,
    ledger: Ledger,
    outbox: Outbox,
    open: HashMap<Place, Open>,
    by_id: HashMap<String, Place>,
    /// Bytes of texts in `open`.
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
            let alarm = alarm(self.around.clock.clone(), self.outbox.quiet_for(self.moment()));
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
                Some(request) = requests.recv() => self.asked(request),
                () = alarm => {}
            }
        }
        if session.intent() == Intent::Remove {
            self.outbox.device_is_gone();
            self.advance();
        }
        // Those who asked are told; what was accepted is sent by the next run.
        while let Some(asked) = self.accepting.next().await {
            self.accepted(asked);
        }
    }

    /// Takes up what an earlier run left.
    async fn resume(&mut self) {
        let left = loop {
            match self.around.store.open_messages(self.session.name.as_str()).await {
                Ok(left) => break left,
                Err(error) => tracing::error!(session = %self.session.name, %error, "open messages cannot be read"),
            }
            self.around.clock.sleep(PAUSE).await;
        };
        for left in outbox::in_order(left) {
            self.take_up(left);
        }
    }

    fn take_up(&mut self, left: OpenMessage) {
        let Ok(to) = ChatId::parse_with_status(&left.chat) else { return };
        let (waiting, is_vote) = (Vec::new(), left.is_vote);
        let open =
            Open { id: left.id, to, message: None, file: None, prepared: None, waiting, is_vote, is_stale: false };
        let message = outbox::Message {
            place: left.place,
            chat: left.chat,
            send_at: left.send_at,
            expires_at: left.expires_at,
            haste: Haste::Patient,
            is_marked: left.may_have_left,
            may_have_left: left.may_have_left,
            has_file: left.is_media,
        };
        self.enter(message, open);
    }

    fn enter(&mut self, message: outbox::Message, open: Open) {
        self.by_id.insert(open.id.clone(), message.place);
        self.open.insert(message.place, open);
        self.outbox.accept(message, self.moment());
    }

    fn moment(&self) -> Moment {
        Moment { now: self.around.clock.now(), uptime: self.around.clock.uptime() }
    }

    fn line_is(&mut self, line: Line) {
        // Another connection: what was under way on the one before is in doubt.
        self.outbox.line_is(outbox::Line::Down);
        match line {
            Line::Up(_) => self.outbox.line_is(outbox::Line::Up),
            Line::Down => {}
            Line::Gone => self.outbox.device_is_gone(),
        }
    }

    fn asked(&mut self, request: Request) {
        match request {
            Request::Accept { wish, file, haste, reply } => match self.refusal(haste) {
                Some(refusal) => drop(reply.send(Err(refusal))),
                None => self.accept(wish, file, haste, reply),
            },
            Request::Watch { id, waiter } => {
                if let Some(open) = self.by_id.get(&id).and_then(|place| self.open.get_mut(place)) {
                    open.waiting.push(waiter);
                }
            }
            // Whoever asked may have gone; it is done all the same.
            Request::Cancel { id, reply } => drop(reply.send(self.cancel(&id))),
            Request::Reword { id, message, reply } => drop(reply.send(self.reword(&id, *message))),
        }
    }

    /// The verdict comes when it is on the disk; before that a crash would let the message go. `None`: it may have left.
    fn cancel(&mut self, id: &str) -> Option<oneshot::Receiver<Verdict>> {
        let place = *self.by_id.get(id)?;
        let (waiter, verdict) = oneshot::channel();
        let open = self.open.get_mut(&place).filter(|_| self.outbox.is_here(place))?;
        open.waiting.push(waiter);
        self.outbox.cancel(place);
        Some(verdict)
    }

    fn reword(&mut self, id: &str, message: Message) -> Option<Place> {
        let place = *self.by_id.get(id)?;
        let open = self.open.get_mut(&place).filter(|_| self.outbox.is_here(place))?;
        let size = |message: &Option<Message>| message.as_ref().map_or(0, |message| message.content.size());
        self.kept -= size(&open.message);
        open.message = Some(message);
        self.kept += size(&open.message);
        open.prepared = None;
        open.is_stale = true;
        self.outbox.reworded(place);
        Some(place)
    }

    fn refusal(&self, haste: Haste) -> Option<SendError> {
        if self.open.len() + self.accepting.len() >= MOST_WAITING {
            return Some(SendError::Full(MOST_WAITING));
        }
        match haste {
            Haste::NowOrNever => self.session.look(|state| match state.status {
                Status::Online => None,
                status => Some(SendError::NotOnline { status, reason: state.reason.clone() }),
            }),
            Haste::Patient if self.session.has_device() => None,
            Haste::Patient => Some(SendError::NotPaired),
        }
    }

    fn accept(
        &mut self,
        wish: Box<Wish>,
        file: Option<File>,
        haste: Haste,
        reply: oneshot::Sender<Result<Reply, SendError>>,
    ) {
        let chat = wish.to.to_string();
        let may_wait = wish.send_at.is_some() || (wish.expires_at.is_some() && haste == Haste::Patient);
        let departure = if !may_wait && self.outbox.would_leave(&chat) { Departure::AtOnce } else { Departure::Later };
        let new = NewMessage {
            session: self.session.name.as_str().to_owned(),
            chat,
            message: wish.message.clone(),
            send_at: wish.send_at,
            expires_at: wish.expires_at,
            departure,
            key: wish.key.clone(),
        };
        let store = self.around.store.clone();
        self.accepting.push(Box::pin(async move {
            let answer = store.accept(new).await.map_err(SendError::from);
            Asked { wish, file, haste, departure, reply, answer }
        }));
    }

    fn accepted(&mut self, asked: Asked) {
        let Asked { wish, file, haste, departure, reply, answer } = asked;
        // Whoever asked may have gone; what was accepted is sent all the same.
        let _ = reply.send(match answer {
            Ok(Acceptance::New(accepted)) => Ok(self.new_message(*wish, file, haste, departure, accepted)),
            Ok(Acceptance::Repeated(id)) => Ok(Reply::Repeated(id)),
            Ok(Acceptance::KeyTaken) => Ok(Reply::KeyTaken),
            Err(error) => Err(error),
        });
    }

    fn new_message(
        &mut self,
        wish: Wish,
        file: Option<File>,
        haste: Haste,
        departure: Departure,
        accepted: Accepted,
    ) -> Reply {
        let (waiter, verdict) = oneshot::channel();
        let message = outbox::Message {
            place: accepted.place,
            chat: wish.to.to_string(),
            send_at: wish.send_at,
            expires_at: wish.expires_at,
            haste,
            is_marked: departure == Departure::AtOnce,
            may_have_left: false,
            has_file: wish.message.content.needs_fetching(),
        };
        let (size, is_vote) = (wish.message.content.size(), wish.message.content.ballot().is_some());
        let message_kept = (self.kept + size <= KEPT).then_some(wish.message);
        self.kept += message_kept.as_ref().map_or(0, |_| size);
        let open = Open {
            id: accepted.id.clone(),
            to: wish.to,
            message: message_kept,
            file,
            prepared: None,
            waiting: vec![waiter],
            is_vote,
            is_stale: false,
        };
        self.enter(message, open);
        Reply::Accepted(accepted, verdict)
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Ack { id, refused, at } => {
                let Some(&place) = self.by_id.get(&id) else { return };
                let verdict = match refused {
                    None => Verdict::Sent { at: at.unwrap_or_else(|| self.around.clock.now()) },
                    Some(code) if self.is_to_newsletter(place) => outbox::failures::refused_post(&code),
                    Some(code) => outbox::failures::refused(&code),
                };
                self.outbox.answered(place, verdict);
            }
            Note::Receipt { ids, from, is_one_of_many, kind, at } => {
                for id in ids {
                    // What a phone has, WhatsApp has taken, whether we heard of it or not.
                    if let Some(&place) = self.by_id.get(&id) {
                        self.outbox.answered(place, Verdict::Sent { at });
                        self.advance();
                    }
                    let session = self.session.name.as_str().to_owned();
                    let receipt = Receipt { session, id, from: from.clone(), is_one_of_many, kind, at };
                    self.ledger.receipt(receipt);
                }
            }
        }
    }

    fn is_to_newsletter(&self, place: Place) -> bool {
        self.open.get(&place).is_some_and(|open| matches!(open.to, ChatId::Newsletter(_)))
    }

    fn done(&mut self, done: Done) {
        let at = self.moment();
        match done {
            Done::Prepared(place, outcome) => {
                let open = self.open.get_mut(&place);
                let is_stale = open.as_ref().is_some_and(|open| open.is_stale);
                let outcome = outcome.map(|prepared| {
                    if let Some(open) = open.filter(|open| !open.is_stale) {
                        open.prepared = Some(prepared);
                    }
                });
                self.outbox.prepared(place, outcome, at);
                if is_stale {
                    self.outbox.reworded(place);
                }
            }
            Done::Marked(places, outcome) => self.outbox.marked(&places, outcome, at),
            Done::HandedOver(place, outcome) => self.outbox.handed_over(place, &outcome, at),
        }
    }

    /// Does what there is to do now.
    fn advance(&mut self) {
        for step in self.outbox.next(self.moment()) {
            match step {
                Step::Judge(place, verdict) => self.judge(place, verdict),
                Step::Mark(places) => self.work.push(Box::pin(work::mark(self.around.store.clone(), places))),
                Step::Prepare(place) => match self.work_on(place) {
                    Some(work) => self.work.push(Box::pin(work.prepare())),
                    None => self.done(Done::Prepared(place, Err(Unprepared::Unfit("it is gone".to_owned())))),
                },
                Step::HandOver(place) => match self.work_on(place) {
                    Some(work) => self.work.push(Box::pin(work.hand_over(self.around.whatsapp_timeout))),
                    None => self.done(Done::HandedOver(place, HandedOver::Failed)),
                },
            }
        }
    }

    /// What the work on a message needs.
    fn work_on(&mut self, place: Place) -> Option<Work> {
        let open = self.open.get_mut(&place)?;
        open.is_stale = false;
        Some(Work {
            place,
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
        let Some(open) = self.open.get_mut(&place) else { return };
        let mut judged = Judged {
            place,
            session: self.session.name.as_str().to_owned(),
            id: open.id.clone(),
            chat: open.to.to_string(),
            verdict,
            voter: if open.is_vote { work::own_number(&self.session) } else { None },
        };
        if judged.verdict == Verdict::InDoubt {
            return self.ledger.judge(judged, Vec::new());
        }
        let Some(open) = self.open.remove(&place) else { return };
        self.by_id.remove(&open.id);
        self.kept -= open.message.as_ref().map_or(0, |message| message.content.size());
        if let Verdict::Failed(failure) = &mut judged.verdict {
            tracing::debug!(session = %self.session.name, code = failure.code, "a message failed");
        }
        self.ledger.judge(judged, open.waiting);
    }
}

/// Completes after this long, or never.
async fn alarm(clock: Clock, pause: Option<Duration>) {
    match pause {
        Some(pause) => clock.sleep(pause).await,
        None => pending().await,
    }
}
