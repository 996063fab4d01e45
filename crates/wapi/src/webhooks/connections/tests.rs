use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::system::clock::TimeSource;

/// A clock that shows the uptime it is set to, in seconds.
#[derive(Clone, Default)]
struct SetClock(Arc<AtomicU64>);

impl TimeSource for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

struct Fixture {
    listener: TcpListener,
    address: Url,
    pool: ConnectionPool,
    time: SetClock,
}

impl Fixture {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // A name, which is judged when it has been resolved.
        let port = listener.local_addr().unwrap().port();
        let address = Url::parse(&format!("http://localhost:{port}/")).unwrap();
        let time = SetClock::default();
        let allowed = EgressPolicy::Public(Vec::new());
        let pool = ConnectionPool::new(Environment::Prod, &allowed, Clock::new(time.clone()));
        Self {
            listener,
            address,
            pool,
            time,
        }
    }

    fn receiver(&self, is_restricted: bool) -> Receiver {
        Receiver::of(&self.address, is_restricted).unwrap()
    }

    fn request(&self) -> Request<String> {
        let request = Request::post("/").header("host", "localhost");
        request.body(String::new()).unwrap()
    }

    /// Posts without restrictions over a new connection, and keeps it; its other end.
    async fn posts(&self) -> TcpStream {
        let receiver = self.receiver(false);
        let answers = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (sent, stream) = join(self.pool.send(&receiver, self.request()), answers).await;
        let Ok(SentRequest::Answered(mut answer)) = sent else {
            panic!("it is answered")
        };
        assert_eq!(answer.next_chunk().await.unwrap(), None);
        self.pool.keep(&receiver, answer);
        stream
    }
}

#[tokio::test]
async fn a_connection_that_was_opened_without_restrictions_serves_no_post_under_them() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.posts().await;
    let guarded = fixture.receiver(true);
    tokio::select! {
        sent = fixture.pool.send(&guarded, fixture.request()) => {
            let error = describe_error(&*sent.err().expect("the address is inside"));
            assert!(error.contains("private network"), "{error}");
        }
        _ = stream.read_u8() => panic!("it was posted over the other connection"),
    }
    let own = fixture.receiver(false);
    assert!(fixture.pool.take_idle(&own).is_some(), "it is still there");
}

#[tokio::test]
async fn an_idle_connection_is_used_for_a_minute_and_a_half() {
    for (idle, is_used) in [(89, true), (90, false)] {
        let fixture = Fixture::new().await;
        let _stream = fixture.posts().await;
        fixture.time.0.store(idle, Ordering::Relaxed);
        let own = fixture.receiver(false);
        assert_eq!(fixture.pool.take_idle(&own).is_some(), is_used, "{idle}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_although_no_post_comes() {
    let fixture = Fixture::new().await;
    let mut stream = fixture.posts().await;
    fixture.time.0.store(90, Ordering::Relaxed);
    fixture.pool.close_idle();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(fixture.pool.receivers.lock().is_empty());
}

#[tokio::test]
async fn a_receiver_that_chose_http2_is_asked_again_after_an_hour() {
    let fixture = Fixture::new().await;
    let own = fixture.receiver(false);
    let chosen = ReceiverState::Http2(Duration::ZERO);
    fixture.pool.receivers.lock().insert(own.clone(), chosen);
    for (time, is_remembered) in [(3599, true), (3600, false)] {
        fixture.time.0.store(time, Ordering::Relaxed);
        fixture.pool.close_idle();
        assert_eq!(fixture.pool.prefers_http2(&own), is_remembered, "{time}");
    }
}
