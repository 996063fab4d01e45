//! One client socket: the handshake, then stanzas both ways until either side ends it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::extract::ws::{Message, WebSocket};
use bytes::BytesMut;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::{Node, OwnedNodeRef, marshal};
use wacore_noise::NoiseCipher;
use wacore_noise::framing::{FrameDecoder, append_frame_into, encode_frame};

use crate::crypto::noise::{self, FinishedHandshake, FirstAnswer};
use crate::model::device::ConnectionHandle;
use crate::server::Server;
use crate::server::stanza::{ClientSession, login};
use crate::wire::{ConnectionOutput, StreamEnd};

/// How long a client may take for the Noise handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may leave outgoing frames unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the final stanzas of a stream may take to go out.
const FINAL_STANZA_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take to hang up after the final stanzas, before the server does.
const HANG_UP_TIMEOUT: Duration = Duration::from_millis(700);
/// A client that does not request batches of offline stanzas gets the next one after this long.
const UNREQUESTED_BATCH_DELAY: Duration = Duration::from_millis(300);
/// The largest number of stanzas in one WebSocket message.
const FRAMES_PER_MESSAGE: usize = 64;
/// Announces a routing hint ahead of the header: `ED`, 0, 1, and its length in 3 bytes.
const EDGE_ROUTING: &[u8] = b"ED\x00\x01";

/// Serves one WebSocket from its first byte to its last.
pub(crate) async fn run(server: Arc<Server>, socket: WebSocket) {
    let id = server.next_connection_id();
    let (sink, stream) = socket.split();
    let mut source = FrameSource {
        stream,
        frames: FrameDecoder::new(),
        header_seen: false,
    };
    let mut target = FrameSink { sink };
    let established = tokio::select! {
        () = server.stop.cancelled() => return,
        shaken = timeout(HANDSHAKE_TIMEOUT, perform_handshake(&server, &mut source, &mut target)) => match shaken {
            Ok(Ok(established)) => established,
            Ok(Err(error)) => return tracing::debug!(connection = id, error = format!("{error:#}"), "handshake failed"),
            Err(_) => return tracing::debug!(connection = id, "handshake took too long"),
        },
    };
    tracing::debug!(connection = id, pattern = ?established.pattern, "handshake done");
    let (outbox, outgoing) = mpsc::unbounded_channel();
    let connection = ConnectionHandle::new(id, outbox);
    let FinishedHandshake {
        read,
        write,
        client_static,
        payload,
        ..
    } = established;
    let session = login::admit_client(&server, connection, client_static, &payload);
    let mut reader = StanzaReader {
        source,
        cipher: read,
        received: 0,
    };
    let mut writer = StanzaWriter {
        target,
        cipher: write,
        sent: 0,
    };
    // Reading and writing do not wait for each other: a client may leave stanzas unread while it
    // sends its own.
    let over = tokio::select! {
        () = server.stop.cancelled() => CloseReason::Ended(StreamEnd::Done),
        over = reader.run(&server, &session) => over,
        over = writer.run(outgoing) => over,
    };
    session.clean_up(&server);
    close_stream(&server, over, reader.source, writer).await;
}

/// Why a stream is over.
enum CloseReason {
    /// The client left, or the socket can no longer be read or written.
    ClientLeft,
    Ended(StreamEnd),
}

/// Ends a stream: sends the final stanza and the end marker, then waits for the client to hang up.
/// A cut skips all of it.
///
/// The server sends no close frame of its own: a close frame right behind the final stanza makes
/// clients drop unread data. A client that takes too long loses the TCP connection; but after the
/// request to come back and log in, which every client follows at once, only the client hangs up.
async fn close_stream(
    server: &Server,
    over: CloseReason,
    mut source: FrameSource,
    mut writer: StanzaWriter,
) {
    let mut patience = Some(HANG_UP_TIMEOUT);
    if let CloseReason::Ended(end) = over {
        if end == StreamEnd::Cut {
            return;
        }
        if end == StreamEnd::RECONNECT {
            patience = None;
        }
        let mut last = Vec::from_iter(end.final_stanza());
        last.push(NodeBuilder::new("xmlstreamend").build());
        if !matches!(
            timeout(FINAL_STANZA_TIMEOUT, writer.send(&last)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
    tokio::select! {
        () = source.wait_for_hang_up() => {}
        () = sleep_or_forever(patience) => {}
        // A simulator that stops does not wait for clients that were asked to hang up and do not.
        () = server.stop.cancelled(), if patience.is_none() => {}
    }
}

/// Sleeps for this long; without a limit it never returns.
async fn sleep_or_forever(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

async fn perform_handshake(
    server: &Server,
    source: &mut FrameSource,
    target: &mut FrameSink,
) -> anyhow::Result<FinishedHandshake> {
    let hello = source.next_frame().await?;
    match noise::answer_hello(&server.noise_identity(), &hello)? {
        FirstAnswer::Done {
            server_hello,
            established,
        } => {
            target.send(encode_frame(&server_hello, None)?).await?;
            Ok(*established)
        }
        FirstAnswer::AwaitFinish {
            server_hello,
            pending,
        } => {
            target.send(encode_frame(&server_hello, None)?).await?;
            pending.finish(&source.next_frame().await?)
        }
    }
}

/// The reading half of the socket, and the frames cut out of its messages.
struct FrameSource {
    stream: SplitStream<WebSocket>,
    frames: FrameDecoder,
    header_seen: bool,
}

impl FrameSource {
    /// Reads the next whole frame. Frames may share a WebSocket message or be spread over several.
    async fn next_frame(&mut self) -> anyhow::Result<BytesMut> {
        loop {
            if let Some(frame) = self.frames.decode_frame() {
                return Ok(frame);
            }
            match self
                .stream
                .next()
                .await
                .context("the client closed the socket")??
            {
                Message::Binary(bytes) if self.header_seen => self.frames.feed(&bytes),
                Message::Binary(bytes) => {
                    self.frames.feed(strip_header(&bytes)?);
                    self.header_seen = true;
                }
                Message::Close(_) => bail!("the client closed the socket"),
                Message::Text(_) => bail!("a text message on a binary protocol"),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    /// Waits until the client has left. Answers its close frame, if there is one, and discards all
    /// else.
    async fn wait_for_hang_up(&mut self) {
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}

/// Strips the four bytes of the protocol header, and the optional routing hint before it.
fn strip_header(bytes: &[u8]) -> anyhow::Result<&[u8]> {
    let bytes = match bytes.strip_prefix(EDGE_ROUTING) {
        Some(&[a, b, c, ref rest @ ..]) => {
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            rest.get(length..).context("the routing hint is cut off")?
        }
        _ => bytes,
    };
    bytes
        .strip_prefix(&WA_CONN_HEADER)
        .context("the connection does not start with WhatsApp's header")
}

/// The writing half of the socket.
struct FrameSink {
    sink: SplitSink<WebSocket, Message>,
}

impl FrameSink {
    /// Sends whole frames as one WebSocket message.
    async fn send(&mut self, frames: Vec<u8>) -> anyhow::Result<()> {
        timeout(
            WRITE_TIMEOUT,
            self.sink.send(Message::Binary(frames.into())),
        )
        .await
        .context("the client does not read")??;
        Ok(())
    }
}

/// Decrypts the client's frames, each with the next counter, and hands them to the session.
struct StanzaReader {
    source: FrameSource,
    cipher: NoiseCipher,
    received: u32,
}

impl StanzaReader {
    async fn run(&mut self, server: &Arc<Server>, session: &ClientSession) -> CloseReason {
        let mut last_batch = Instant::now();
        loop {
            tokio::select! {
                frame = self.source.next_frame() => match frame.and_then(|frame| self.decrypt_frame(frame)) {
                    Ok(node) => session.handle_stanza(server, &node),
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "a stream ended");
                        return CloseReason::ClientLeft;
                    }
                },
                () = sleep_until(last_batch + UNREQUESTED_BATCH_DELAY), if session.connection.is_draining() => {
                    session.send_batch(server);
                    last_batch = Instant::now();
                }
            }
        }
    }

    fn decrypt_frame(&mut self, mut frame: BytesMut) -> anyhow::Result<Node> {
        self.cipher
            .decrypt_in_place_with_counter(self.received, &mut frame)?;
        self.received += 1;
        let node = OwnedNodeRef::new(wacore_binary::util::unpack_bytes(frame)?)?.to_owned_node();
        tracing::trace!(stanza = %crate::wire::format_stanza(&node), "from the client");
        Ok(node)
    }
}

/// Encrypts stanzas, each with the next counter, and sends all that are ready in one WebSocket
/// message.
struct StanzaWriter {
    target: FrameSink,
    cipher: NoiseCipher,
    sent: u32,
}

impl StanzaWriter {
    async fn run(
        &mut self,
        mut outgoing: mpsc::UnboundedReceiver<ConnectionOutput>,
    ) -> CloseReason {
        let mut ready = Vec::with_capacity(FRAMES_PER_MESSAGE);
        while outgoing.recv_many(&mut ready, FRAMES_PER_MESSAGE).await > 0 {
            let mut stanzas = Vec::with_capacity(ready.len());
            let mut end = None;
            for outgoing in ready.drain(..) {
                match outgoing {
                    ConnectionOutput::Stanza(stanza) if end.is_none() => stanzas.push(stanza),
                    ConnectionOutput::Stanza(_) => {}
                    ConnectionOutput::End(cause) => end = end.or(Some(cause)),
                }
            }
            // Stanzas that were on their way are lost in a cut.
            if end != Some(StreamEnd::Cut)
                && !stanzas.is_empty()
                && self.send(&stanzas).await.is_err()
            {
                return CloseReason::ClientLeft;
            }
            if let Some(end) = end {
                return CloseReason::Ended(end);
            }
        }
        CloseReason::ClientLeft
    }

    async fn send(&mut self, stanzas: &[Node]) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        for stanza in stanzas {
            tracing::trace!(stanza = %crate::wire::format_stanza(stanza), "to the client");
            let sealed = self
                .cipher
                .encrypt_with_counter(self.sent, &marshal(stanza)?)?;
            self.sent += 1;
            append_frame_into(&sealed, None, &mut frames)?;
        }
        self.target.send(frames).await
    }
}
