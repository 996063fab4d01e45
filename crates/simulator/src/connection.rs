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

use crate::device::Connection;
use crate::noise::{self, Established, FirstAnswer};
use crate::server::Server;
use crate::stanza::{self, Outgoing, Session, StreamEnd, login};

/// How long a client may take for the Noise handshake.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// How long a client may leave outgoing frames unread.
const WRITING: Duration = Duration::from_secs(20);
/// How long the final stanzas of a stream may take to go out.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long a client may take to hang up after the final stanzas, before the server does.
const HANGING_UP: Duration = Duration::from_millis(700);
/// A client that does not request batches of offline stanzas gets the next one after this long.
const UNASKED_BATCH: Duration = Duration::from_millis(300);
/// The largest number of stanzas in one WebSocket message.
const FRAMES_A_MESSAGE: usize = 64;
/// Announces a routing hint ahead of the header: `ED`, 0, 1, and its length in 3 bytes.
const EDGE_ROUTING: &[u8] = b"ED\x00\x01";

/// Serves one WebSocket from its first byte to its last.
pub(crate) async fn run(server: Arc<Server>, socket: WebSocket) {
    let id = server.next_connection();
    let (sink, stream) = socket.split();
    let mut source = Source {
        stream,
        frames: FrameDecoder::new(),
        header_seen: false,
    };
    let mut target = Target { sink };
    let established = tokio::select! {
        () = server.stop.cancelled() => return,
        shaken = timeout(HANDSHAKE, handshake(&server, &mut source, &mut target)) => match shaken {
            Ok(Ok(established)) => established,
            Ok(Err(error)) => return tracing::debug!(connection = id, error = format!("{error:#}"), "handshake failed"),
            Err(_) => return tracing::debug!(connection = id, "handshake took too long"),
        },
    };
    tracing::debug!(connection = id, pattern = ?established.pattern, "handshake done");
    let (outbox, outgoing) = mpsc::unbounded_channel();
    let connection = Connection::new(id, outbox);
    let Established {
        read,
        write,
        client_static,
        payload,
        ..
    } = established;
    let session = login::enter(&server, connection, client_static, &payload);
    let mut reader = Reader {
        source,
        cipher: read,
        received: 0,
    };
    let mut writer = Writer {
        target,
        cipher: write,
        sent: 0,
    };
    // Reading and writing do not wait for each other: a client may leave stanzas unread while it
    // sends its own.
    let over = tokio::select! {
        () = server.stop.cancelled() => Over::Ended(StreamEnd::Done),
        over = reader.run(&server, &session) => over,
        over = writer.run(outgoing) => over,
    };
    session.leave(&server);
    say_goodbye(&server, over, reader.source, writer).await;
}

/// Why a stream is over.
enum Over {
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
async fn say_goodbye(server: &Server, over: Over, mut source: Source, mut writer: Writer) {
    let mut patience = Some(HANGING_UP);
    if let Over::Ended(end) = over {
        if end == StreamEnd::Cut {
            return;
        }
        if end == StreamEnd::COME_BACK {
            patience = None;
        }
        let mut last = Vec::from_iter(end.stanza());
        last.push(NodeBuilder::new("xmlstreamend").build());
        if !matches!(timeout(LAST_WORD, writer.send(&last)).await, Ok(Ok(()))) {
            return;
        }
    }
    tokio::select! {
        () = source.hung_up() => {}
        () = within(patience) => {}
        // A simulator that stops does not wait for clients that were asked to hang up and do not.
        () = server.stop.cancelled(), if patience.is_none() => {}
    }
}

/// Sleeps for this long; without a limit it never returns.
async fn within(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

async fn handshake(
    server: &Server,
    source: &mut Source,
    target: &mut Target,
) -> anyhow::Result<Established> {
    let hello = source.frame().await?;
    match noise::answer_hello(&server.noise(), &hello)? {
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
            pending.finish(&source.frame().await?)
        }
    }
}

/// The reading half of the socket, and the frames cut out of its messages.
struct Source {
    stream: SplitStream<WebSocket>,
    frames: FrameDecoder,
    header_seen: bool,
}

impl Source {
    /// Reads the next whole frame. Frames may share a WebSocket message or be spread over several.
    async fn frame(&mut self) -> anyhow::Result<BytesMut> {
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
                    self.frames.feed(after_header(&bytes)?);
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
    async fn hung_up(&mut self) {
        while let Some(Ok(_)) = self.stream.next().await {}
    }
}

/// Strips the four bytes of the protocol header, and the optional routing hint before it.
fn after_header(bytes: &[u8]) -> anyhow::Result<&[u8]> {
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
struct Target {
    sink: SplitSink<WebSocket, Message>,
}

impl Target {
    /// Sends whole frames as one WebSocket message.
    async fn send(&mut self, frames: Vec<u8>) -> anyhow::Result<()> {
        timeout(WRITING, self.sink.send(Message::Binary(frames.into())))
            .await
            .context("the client does not read")??;
        Ok(())
    }
}

/// Decrypts the client's frames, each with the next counter, and hands them to the session.
struct Reader {
    source: Source,
    cipher: NoiseCipher,
    received: u32,
}

impl Reader {
    async fn run(&mut self, server: &Arc<Server>, session: &Session) -> Over {
        let mut last_batch = Instant::now();
        loop {
            tokio::select! {
                frame = self.source.frame() => match frame.and_then(|frame| self.open(frame)) {
                    Ok(node) => session.handle(server, &node),
                    Err(error) => {
                        tracing::debug!(error = format!("{error:#}"), "a stream ended");
                        return Over::ClientLeft;
                    }
                },
                () = sleep_until(last_batch + UNASKED_BATCH), if session.connection.is_draining() => {
                    session.send_batch(server);
                    last_batch = Instant::now();
                }
            }
        }
    }

    fn open(&mut self, mut frame: BytesMut) -> anyhow::Result<Node> {
        self.cipher
            .decrypt_in_place_with_counter(self.received, &mut frame)?;
        self.received += 1;
        let node = OwnedNodeRef::new(wacore_binary::util::unpack_bytes(frame)?)?.to_owned_node();
        tracing::trace!(stanza = %stanza::text(&node), "from the client");
        Ok(node)
    }
}

/// Encrypts stanzas, each with the next counter, and sends all that are ready in one WebSocket
/// message.
struct Writer {
    target: Target,
    cipher: NoiseCipher,
    sent: u32,
}

impl Writer {
    async fn run(&mut self, mut outgoing: mpsc::UnboundedReceiver<Outgoing>) -> Over {
        let mut ready = Vec::with_capacity(FRAMES_A_MESSAGE);
        while outgoing.recv_many(&mut ready, FRAMES_A_MESSAGE).await > 0 {
            let mut stanzas = Vec::with_capacity(ready.len());
            let mut end = None;
            for outgoing in ready.drain(..) {
                match outgoing {
                    Outgoing::Stanza(stanza) if end.is_none() => stanzas.push(stanza),
                    Outgoing::Stanza(_) => {}
                    Outgoing::End(cause) => end = end.or(Some(cause)),
                }
            }
            // Stanzas that were on their way are lost in a cut.
            if end != Some(StreamEnd::Cut)
                && !stanzas.is_empty()
                && self.send(&stanzas).await.is_err()
            {
                return Over::ClientLeft;
            }
            if let Some(end) = end {
                return Over::Ended(end);
            }
        }
        Over::ClientLeft
    }

    async fn send(&mut self, stanzas: &[Node]) -> anyhow::Result<()> {
        let mut frames = Vec::new();
        for stanza in stanzas {
            tracing::trace!(stanza = %stanza::text(stanza), "to the client");
            let sealed = self
                .cipher
                .encrypt_with_counter(self.sent, &marshal(stanza)?)?;
            self.sent += 1;
            append_frame_into(&sealed, None, &mut frames)?;
        }
        self.target.send(frames).await
    }
}
