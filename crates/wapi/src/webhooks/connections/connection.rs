//! One HTTP/1.1 connection, and the answer that arrives on it.

use std::error::Error;
use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::poll_fn;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Limit in bytes of received data not yet read; the head of an answer must fit.
const MAX_BUFFER: usize = 128 * 1024;

/// A stream of bytes to a receiver.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// The half that reads and writes, as long as the connection is open.
type Driver = Pin<Box<http1::Connection<TokioIo<Box<dyn ByteStream>>, String>>>;

/// A connection on which one request at a time is sent. It moves only while somebody awaits its
/// methods.
pub struct Connection {
    sender: http1::SendRequest<String>,
    driver: Option<Driver>,
}

impl Connection {
    pub async fn start(stream: Box<dyn ByteStream>) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
        })
    }

    /// Sends a request, and waits for the head of its answer.
    pub async fn send(mut self, request: Request<String>) -> Result<PostAnswer, SendError> {
        let answering = self.sender.try_send_request(request);
        match drive(&mut self.driver, answering).await {
            Ok(answer) => Ok(PostAnswer {
                connection: self,
                answer,
                is_complete: false,
            }),
            Err(mut error) => Err(SendError {
                unsent: error.take_message().map(Box::new),
                cause: error.into_error(),
            }),
        }
    }

    /// Reads what has arrived, and returns whether the connection can take a request. A receiver that
    /// has closed it is noticed here.
    pub fn is_open(&mut self) -> bool {
        let ready = drive(&mut self.driver, self.sender.ready()).now_or_never();
        matches!(ready, Some(Ok(()))) && self.driver.is_some()
    }
}

/// Awaits work that depends on what the connection reads and writes.
async fn drive<W: Future>(driver: &mut Option<Driver>, work: W) -> W::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Some(open) = driver {
            // Its error is the work's, too.
            if open.as_mut().poll(context).is_ready() {
                *driver = None;
            }
        }
        work.as_mut().poll(context)
    })
    .await
}

/// A request that was not answered.
pub struct SendError {
    /// The request, if nothing of it was written.
    pub unsent: Option<Box<Request<String>>>,
    pub cause: hyper::Error,
}

/// An answer whose body may still be arriving.
pub struct PostAnswer {
    connection: Connection,
    answer: Response<Incoming>,
    /// Whether the body was read to its end.
    is_complete: bool,
}

impl PostAnswer {
    pub fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }

    /// Reads the next piece of the body; `None` at its end.
    pub async fn next_chunk(&mut self) -> hyper::Result<Option<Bytes>> {
        let Self {
            connection,
            answer,
            is_complete,
        } = self;
        let body = answer.body_mut();
        loop {
            let next = poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
            match drive(&mut connection.driver, next).await {
                None => {
                    *is_complete = true;
                    return Ok(None);
                }
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                    // Trailers mean nothing here.
                }
            }
        }
    }

    /// Returns the connection if it can take another request.
    pub fn into_idle_connection(self) -> Option<Connection> {
        let Self {
            mut connection,
            answer,
            is_complete,
        } = self;
        drop(answer);
        (is_complete && connection.is_open()).then_some(connection)
    }
}

/// Describes an error with its sources, where HTTP libraries keep the interesting part.
pub fn describe_error(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
