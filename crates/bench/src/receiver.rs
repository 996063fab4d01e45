//! The webhook: answers 200 at once, and counts what a burst brought, when, how often, and in which order.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A running receiver; ends with the program.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tally: Mutex<Option<Tally>>,
    complete: Notify,
}

/// What came of one burst.
pub struct Tally {
    label: String,
    chats: usize,
    seen: Vec<bool>,
    /// The last index of each chat, to see what overtakes.
    last: Vec<Option<usize>>,
    /// Different messages so far.
    pub received: usize,
    /// Messages that came another time.
    pub repeated: usize,
    /// Messages that came after a later one of their chat.
    pub out_of_order: usize,
    /// The ids of the files that they came with.
    pub files: Vec<String>,
    /// From when each was due to be sent to its request.
    pub on_the_way: Vec<Duration>,
    /// When the last one came.
    pub complete_at: Instant,
}

impl Tally {
    fn new(label: &str, count: usize, chats: usize) -> Self {
        Self {
            label: label.to_owned(),
            chats,
            seen: vec![false; count],
            last: vec![None; chats],
            received: 0,
            repeated: 0,
            out_of_order: 0,
            files: Vec::new(),
            on_the_way: Vec::with_capacity(count),
            complete_at: Instant::now(),
        }
    }

    fn is_complete(&self) -> bool {
        self.received == self.seen.len()
    }

    /// Takes a post into account, if it is about a message of this burst.
    fn note(&mut self, body: &[u8], arrived: Duration) {
        let Some((index, due)) = stamp(body, &self.label) else {
            return;
        };
        match self.seen.get_mut(index) {
            None => {}
            Some(true) => self.repeated += 1,
            Some(seen) => {
                *seen = true;
                self.received += 1;
                self.files.extend(file(body));
                self.on_the_way.push(arrived.saturating_sub(due));
                let last = &mut self.last[index % self.chats];
                self.out_of_order += usize::from(last.is_some_and(|last| last > index));
                *last = Some(index).max(*last);
                self.complete_at = Instant::now();
            }
        }
    }
}

/// The index and the time in a text of the simulator's bursts, `LABEL INDEX MICROSECONDS …`, wherever it stands in an event.
fn stamp(body: &[u8], label: &str) -> Option<(usize, Duration)> {
    let body = std::str::from_utf8(body).ok()?;
    let mut words = body[body.find(label)? + label.len()..].split_ascii_whitespace();
    let (index, micros) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((index, Duration::from_micros(micros)))
}

/// The id of the file in an event, if one is in it.
fn file(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let id = &body[body.find(r#""med_"#)? + 1..];
    Some(id[..id.find('"')?].to_owned())
}

impl Receiver {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("taking a port for the webhook")?;
        let (address, shared) = (listener.local_addr()?, Arc::<Shared>::default());
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared })
    }

    /// The address to post to, without a session's name.
    pub fn base(&self) -> String {
        format!("http://{}/hook/", self.address)
    }

    /// From now on, counts messages of this label, spread over so many chats as the simulator does.
    pub fn expect(&self, label: &str, count: usize, chats: usize) {
        *lock(&self.shared) = Some(Tally::new(label, count, chats));
    }

    /// Waits until all have come.
    pub async fn complete(&self, patience: Duration) -> Result<Tally> {
        let all_are_there = async {
            while !lock(&self.shared).as_ref().is_some_and(Tally::is_complete) {
                self.shared.complete.notified().await;
            }
        };
        let in_time = tokio::time::timeout(patience, all_are_there).await;
        let tally = lock(&self.shared).take().context("nothing was expected")?;
        match in_time {
            Ok(()) => Ok(tally),
            Err(_) => bail!(
                "only {} of {} messages arrived within {patience:?}",
                tally.received,
                tally.seen.len()
            ),
        }
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Option<Tally>> {
    shared.tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&shared)));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &shared));
    // A gateway that stops breaks its connections, and that is all right.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let arrived = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Half a body is no event; the gateway will post it again.
    if let Ok(body) = request.into_body().collect().await {
        let mut tally = lock(shared);
        if let Some(tally) = tally.as_mut() {
            tally.note(&body.to_bytes(), arrived);
            if tally.is_complete() {
                shared.complete.notify_one();
            }
        }
    }
    Ok(Response::new(Empty::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(index: usize, due: u64) -> Vec<u8> {
        format!(
            r#"{{"type":"message.received","data":{{"text":{{"body":"b1 {index} {due} ..."}}}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn each_message_counts_once_and_its_way_is_measured_from_when_it_was_due() {
        let mut tally = Tally::new("b1", 2, 1);
        tally.note(&event(0, 1_000_000), Duration::from_millis(1003));
        tally.note(&event(0, 1_000_000), Duration::from_millis(1090));
        assert!(!tally.is_complete());
        tally.note(&event(1, 1_000_500), Duration::from_millis(1002));
        assert!(tally.is_complete());
        assert_eq!(
            (tally.received, tally.repeated, tally.out_of_order),
            (2, 1, 0)
        );
        assert_eq!(
            tally.on_the_way,
            [Duration::from_millis(3), Duration::from_micros(1500)]
        );
    }

    #[test]
    fn files_are_named_by_their_events() {
        let mut tally = Tally::new("b1", 1, 1);
        tally.note(
            br#"{"document":{"id":"med_1","url":"/v1/media/med_1/content","caption":"b1 0 0 "}}"#,
            Duration::ZERO,
        );
        assert_eq!(tally.files, ["med_1"]);
        assert_eq!(file(&event(0, 0)), None);
    }

    #[test]
    fn order_is_kept_within_a_chat_only() {
        let mut tally = Tally::new("b1", 6, 2);
        // Chat 0 holds 0, 2, 4; chat 1 holds 1, 3, 5.
        for index in [1, 3, 0, 4, 2, 5] {
            tally.note(&event(index, 0), Duration::ZERO);
        }
        assert_eq!(tally.out_of_order, 1, "2 came after 4");
    }

    #[test]
    fn what_is_about_something_else_is_passed_over() {
        let mut tally = Tally::new("b1", 1, 1);
        tally.note(br#"{"type":"session.status"}"#, Duration::ZERO);
        tally.note(&event(7, 0), Duration::ZERO);
        assert_eq!(tally.received, 0);
    }

    #[tokio::test]
    async fn posts_are_answered_and_counted() {
        let receiver = Receiver::start().await.unwrap();
        receiver.expect("b1", 2, 1);
        let mut line = crate::line::Line::connect(receiver.address).await.unwrap();
        for index in 0..2 {
            let body = String::from_utf8(event(index, 0)).unwrap();
            let (status, _) = line
                .call(hyper::Method::POST, "/hook/one", body)
                .await
                .unwrap();
            assert_eq!(status, hyper::StatusCode::OK);
        }
        assert_eq!(
            receiver
                .complete(Duration::from_secs(30))
                .await
                .unwrap()
                .received,
            2
        );
        receiver.expect("b2", 1, 1);
        let error = receiver.complete(Duration::ZERO).await.err().unwrap();
        assert_eq!(error.to_string(), "only 0 of 1 messages arrived within 0ns");
    }
}
