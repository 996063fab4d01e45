//! One keep-alive HTTP connection, with one request on it at a time.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection to one server.
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Line {
    pub async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when the line is dropped. What breaks it is told to whoever calls next.
        tokio::spawn(async { drop(connection.await) });
        Ok(Self { sender, host: address.to_string() })
    }

    /// One request; the answer's status and body.
    pub async fn call(&mut self, method: Method, path: &str, body: String) -> Result<(StatusCode, Bytes)> {
        self.sender.ready().await.with_context(|| format!("the connection to {} is gone", self.host))?;
        let request = Request::builder().method(method).uri(path).header("host", &self.host);
        let request = request.header("content-type", "application/json").body(Full::new(body.into()))?;
        let answer = self.sender.send_request(request).await.with_context(|| format!("asking for {path}"))?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.with_context(|| format!("reading {path}"))?.to_bytes()))
    }

    /// The JSON of an answer that must be a success.
    pub async fn json(&mut self, method: Method, path: &str, body: Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.call(method.clone(), path, body).await?;
        let text = String::from_utf8_lossy(&answer);
        ensure!(status.is_success(), "{method} {path} answered {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered what is no JSON: {text}"))
    }

    pub async fn get(&mut self, path: &str) -> Result<Value> {
        self.json(Method::GET, path, Value::Null).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Result<Value> {
        self.json(Method::POST, path, body).await
    }
}
