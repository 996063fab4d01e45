//! One socket: the handshake, then stanzas both ways until either side ends it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::{Node, OwnedNodeRef, marshal};
use wacore_noise::NoiseCipher;
use wacore_noise::framing::{FrameDecoder, append_frame_into, encode_frame};

use crate::device::Connection;
use crate::noise::{self, Established, FirstAnswer};
use crate::server::Server;
use crate::stanza::{self, Outgoing, Session, StreamEnd, login};

/// How long a client may take for the Noise handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long the other side may take to answer our close frame.
const CLOSING: Duration = Duration::from_secs(2);
/// A client that does not ask for batches of offline stanzas gets the next one after this long.
const UNASKED_BATCH: Duration = Duration::from_millis(300);
/// The size of such a batch.
const BATCH: usize = 200;
/// How many stanzas share one WebSocket message at most.
const FRAMES_A_MESSAGE: usize = 64;
/// Announces a routing hint ahead of the header: `ED`, 0, 1, and its length in 3 bytes.
const EDGE_ROUTING: &[u8] = b"ED\x00\x01";

/// Serves one WebSocket from its first byte to its last.
pub(crate) async fn run(server: Arc<Server>, socket: WebSocket) {
    let id = server.next_connection();
    let mut wire = Wire { socket, frames: FrameDecoder::new(), header_seen: false };
    let established = match tokio::time::timeout(HANDSHAKE, handshake(&server, &mut wire)).await {
        Ok(Ok(established)) => established,
        Ok(Err(error)) => {
            return tracing::debug!(connection = id, error = format!("{error:#}"), "handshake failed");
        }
        Err(_) => return tracing::debug!(connection = id, "handshake took too long"),
    };
    tracing::debug!(connection = id, pattern = ?established.pattern, "handshake done");
    let (outbox, outgoing) = mpsc::unbounded_channel();
    let connection = Connection::new(id, outbox);
    let Established { read, write, client_static, payload, .. } = established;
    let session = login::enter(&server, connection, client_static, &payload);
    let stream = Stream { wire, read, write, received: 0, sent: 0 };
    stream.serve(&server, session, outgoing).await;
}

async fn handshake(server: &Server, wire: &mut Wire) -> anyhow::Result<Established> {
    let hello = wire.frame().await?;
    match noise::answer_hello(&server.noise, &hello)? {
        FirstAnswer::Done { server_hello, established } => {
            wire.send(encode_frame(&server_hello, None)?).await?;
            Ok(*established)
        }
        FirstAnswer::AwaitFinish { server_hello, pending } => {
            wire.send(encode_frame(&server_hello, None)?).await?;
            pending.finish(&wire.frame().await?)
        }
    }
}

/// The socket and the frames cut out of its messages.
struct Wire {
    socket: WebSocket,
    frames: FrameDecoder,
    header_seen: bool,
}

impl Wire {
    /// The next whole frame. Frames may share a WebSocket message or be spread over several.
    async fn frame(&mut self) -> anyhow::Result<BytesMut> {
        loop {
            if let Some(frame) = self.frames.decode_frame() {
                return Ok(frame);
            }
            match self.socket.recv().await.context("the client closed the socket")?? {
                Message::Binary(bytes) if self.header_seen => self.frames.feed(&bytes),
                Message::Binary(bytes) => {
                    self.frames.feed(after_header(&bytes)?);
                    self.header_seen = true;
                }
                Message::Close(_) => bail!("the client closed the socket"),
                Message::Text(_) => bail!("a text message on a binary protocol"),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    async fn send(&mut self, frames: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::Binary(frames.into())).await?)
    }

    /// Closes politely: some clients wait for the close handshake before they go on.
    async fn close(mut self) {
        let goodbye = CloseFrame { code: 1000, reason: "".into() };
        if self.socket.send(Message::Close(Some(goodbye))).await.is_err() {
            return;
        }
        let answered = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = tokio::time::timeout(CLOSING, answered).await;
    }
}

/// The bytes behind the four of the protocol header and an optional routing hint before it.
fn after_header(bytes: &[u8]) -> anyhow::Result<&[u8]> {
    let bytes = match bytes.strip_prefix(EDGE_ROUTING) {
        Some(&[a, b, c, ref rest @ ..]) => {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            rest.get(length..).context("the routing hint is cut off")?
        }
        _ => bytes,
    };
    bytes.strip_prefix(&WA_CONN_HEADER).context("the connection does not start with WhatsApp's header")
}

/// An established stream: frames sealed with the keys of the handshake, each direction with its own counter.
struct Stream {
    wire: Wire,
    read: NoiseCipher,
    write: NoiseCipher,
    received: u32,
    sent: u32,
}

/// Why a stream is over.
enum Over {
    ClientLeft,
    Ended(StreamEnd),
    Stopped,
}

impl Stream {
    async fn serve(mut self, server: &Arc<Server>, session: Session, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) {
        let over = self.exchange(server, &session, &mut outgoing).await;
        session.leave(server);
        match over {
            Over::ClientLeft | Over::Ended(StreamEnd::Cut) => {}
            Over::Ended(end) => {
                if let Some(last_word) = end.stanza() {
                    let _ = self.send(&[last_word]).await;
                }
                self.wire.close().await;
            }
            Over::Stopped => self.wire.close().await,
        }
    }

    async fn exchange(
        &mut self,
        server: &Arc<Server>,
        session: &Session,
        outgoing: &mut mpsc::UnboundedReceiver<Outgoing>,
    ) -> Over {
        let mut ready = Vec::with_capacity(FRAMES_A_MESSAGE);
        let mut next_batch = Instant::now() + UNASKED_BATCH;
        loop {
            tokio::select! {
                biased;
                () = server.stop.cancelled() => return Over::Stopped,
                count = outgoing.recv_many(&mut ready, FRAMES_A_MESSAGE) => {
                    if count == 0 {
                        return Over::ClientLeft;
                    }
                    match self.send_all(&mut ready).await {
                        Ok(None) => {}
                        Ok(Some(end)) => return Over::Ended(end),
                        Err(_) => return Over::ClientLeft,
                    }
                }
                frame = self.wire.frame() => match frame.and_then(|frame| self.open(frame)) {
                    Ok(node) => {
                        session.handle(server, &node);
                        next_batch = Instant::now() + UNASKED_BATCH;
                    }
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "a stream ended");
                        return Over::ClientLeft;
                    }
                },
                () = tokio::time::sleep_until(next_batch), if session.is_draining(server) => {
                    session.send_batch(server, BATCH);
                    next_batch = Instant::now() + UNASKED_BATCH;
                }
            }
        }
    }

    /// Sends what is ready; the end of the stream comes after what was said before it.
    async fn send_all(&mut self, ready: &mut Vec<Outgoing>) -> anyhow::Result<Option<StreamEnd>> {
        let mut stanzas = Vec::with_capacity(ready.len());
        let mut end = None;
        for outgoing in ready.drain(..) {
            match outgoing {
                Outgoing::Stanza(stanza) if end.is_none() => stanzas.push(stanza),
                Outgoing::Stanza(_) => {}
                Outgoing::End(cause) => end = end.or(Some(cause)),
            }
        }
        // A cut is a cut: nothing that was on its way arrives.
        if end != Some(StreamEnd::Cut) && !stanzas.is_empty() {
            self.send(&stanzas).await?;
        }
        Ok(end)
    }

    async fn send(&mut self, stanzas: &[Node]) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        for stanza in stanzas {
            tracing::trace!(stanza = %stanza::text(stanza), "to the client");
            let sealed = self.write.encrypt_with_counter(self.sent, &marshal(stanza)?)?;
            self.sent += 1;
            append_frame_into(&sealed, None, &mut frames)?;
        }
        self.wire.send(frames).await
    }

    fn open(&mut self, mut frame: BytesMut) -> anyhow::Result<Node> {
        self.read.decrypt_in_place_with_counter(self.received, &mut frame)?;
        self.received += 1;
        let node = OwnedNodeRef::new(wacore_binary::util::unpack_bytes(frame)?)?.to_owned_node();
        tracing::trace!(stanza = %stanza::text(&node), "from the client");
        Ok(node)
    }
}
