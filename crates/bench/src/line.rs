//! One keep-alive HTTP connection, with one request on it at a time.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Pieces that follow each other.
type Pieces = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// A connection to one server.
pub struct Line {
    sender: SendRequest<Either<Full<Bytes>, Pieces>>,
    host: String,
}

impl Line {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the line is dropped. What breaks it is told to whoever calls next.
        tokio::spawn(async { drop(connection.await) });
        Ok(Self {
            sender,
            host: address.to_string(),
        })
    }

    /// One request; the answer's status and body.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, Bytes)> {
        self.request(
            method,
            path,
            "application/json",
            Either::Left(Full::new(body.into())),
        )
        .await
    }

    /// Posts pieces, of which the receiver does not know beforehand how many there are.
    pub async fn stream(&mut self, path: &str, kind: &str, pieces: Vec<Bytes>) -> Result<Value> {
        let frames: Vec<_> = pieces
            .into_iter()
            .map(|piece| Ok(Frame::data(piece)))
            .collect();
        let body = Either::Right(StreamBody::new(stream::iter(frames)));
        let (status, answer) = self.request(Method::POST, path, kind, body).await?;
        understood(&Method::POST, path, status, &answer)
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        kind: &str,
        body: Either<Full<Bytes>, Pieces>,
    ) -> Result<(StatusCode, Bytes)> {
        self.sender
            .ready()
            .await
            .with_context(|| format!("the connection to {} is gone", self.host))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host);
        let request = request.header("content-type", kind).body(body)?;
        let answer = self
            .sender
            .send_request(request)
            .await
            .with_context(|| format!("asking for {path}"))?;
        let status = answer.status();
        Ok((
            status,
            answer
                .into_body()
                .collect()
                .await
                .with_context(|| format!("reading {path}"))?
                .to_bytes(),
        ))
    }

    /// The JSON of an answer that must be a success.
    pub async fn json(&mut self, method: Method, path: &str, body: Value) -> Result<Value> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = self.call(method.clone(), path, body).await?;
        understood(&method, path, status, &answer)
    }

    pub async fn get(&mut self, path: &str) -> Result<Value> {
        self.json(Method::GET, path, Value::Null).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Result<Value> {
        self.json(Method::POST, path, body).await
    }
}

/// The JSON of a success.
fn understood(method: &Method, path: &str, status: StatusCode, answer: &[u8]) -> Result<Value> {
    let text = String::from_utf8_lossy(answer);
    ensure!(
        status.is_success(),
        "{method} {path} answered {status}: {text}"
    );
    serde_json::from_str(&text)
        .with_context(|| format!("{method} {path} answered what is no JSON: {text}"))
}
