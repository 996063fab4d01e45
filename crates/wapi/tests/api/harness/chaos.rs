//! A line that breaks on command, to stand between the gateway and somebody it talks to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// What the line does with connections, those that are there and new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Carries everything.
    Whole,
    /// Nobody listens at its address, and what was connected is reset.
    Refused,
    /// Takes connections and resets each.
    Reset,
    /// Takes connections and bytes, and carries nothing until this changes.
    Stalled,
    /// Resets each connection once it has carried so many bytes, both ways together.
    CutAfter(usize),
}

/// A proxy on loopback; it ends with the test.
pub struct ChaosProxy {
    /// Where to connect instead of to its target.
    pub address: SocketAddr,
    line: Arc<watch::Sender<Line>>,
    taken: Arc<AtomicUsize>,
    turns: Arc<Turns>,
}

/// How often the target has answered.
#[derive(Default)]
struct Turns {
    count: AtomicUsize,
    is_clients: AtomicBool,
}

impl Turns {
    fn client_speaks(&self) {
        self.is_clients.store(true, Ordering::SeqCst);
    }

    fn target_speaks(&self) {
        if self.is_clients.swap(false, Ordering::SeqCst) {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl ChaosProxy {
    /// A whole line to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let (line, taken, turns) = (
            Arc::new(watch::Sender::new(Line::Whole)),
            Arc::default(),
            Arc::default(),
        );
        tokio::spawn(serve(
            listener,
            target,
            Arc::clone(&line),
            Arc::clone(&taken),
            Arc::clone(&turns),
        ));
        Self {
            address,
            line,
            taken,
            turns,
        }
    }

    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// How many connections it has taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// How many round trips it has seen so far: whoever connected said something, and then heard something.
    pub fn round_trips(&self) -> usize {
        self.turns.count.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut listener: TcpListener,
    target: SocketAddr,
    line: Arc<watch::Sender<Line>>,
    taken: Arc<AtomicUsize>,
    turns: Arc<Turns>,
) {
    let address = listener.local_addr().expect("a bound listener");
    let mut changes = line.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => Some(accepted),
            _ = changes.wait_for(|line| *line == Line::Refused) => None,
        };
        match accepted {
            Some(Ok((client, _))) => {
                taken.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, target, line.subscribe(), Arc::clone(&turns)));
            }
            Some(Err(_)) => {}
            None => {
                drop(listener);
                if changes
                    .wait_for(|line| *line != Line::Refused)
                    .await
                    .is_err()
                {
                    return;
                }
                // Nobody else takes it meanwhile: ports that are free are given out in turn.
                listener = TcpListener::bind(address)
                    .await
                    .expect("its address is still free");
            }
        }
    }
}

/// Carries one connection until it ends or is broken.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    mut line: watch::Receiver<Line>,
    turns: Arc<Turns>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let used = Used::default();
    let was_broken = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let (there, back) = (line.clone(), line.clone());
        let both = async {
            tokio::join!(
                pour(from_client, to_server, there, &used, || turns
                    .client_speaks()),
                pour(from_server, to_client, back, &used, || turns
                    .target_speaks())
            );
        };
        tokio::select! {
            () = both => false,
            () = used.up.notified() => true,
            _ = line.wait_for(|line| is_broken(*line, used.bytes.load(Ordering::SeqCst))) => true,
        }
    };
    if was_broken {
        // Closing with nothing to linger for is a reset.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

fn is_broken(line: Line, carried: usize) -> bool {
    match line {
        Line::Whole | Line::Stalled => false,
        Line::Refused | Line::Reset => true,
        Line::CutAfter(limit) => carried >= limit,
    }
}

/// What a connection has carried.
#[derive(Default)]
struct Used {
    bytes: AtomicUsize,
    /// Rings when it was as much as it may be.
    up: Notify,
}

async fn pour(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut line: watch::Receiver<Line>,
    used: &Used,
    speaks: impl Fn(),
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Ok(line) = line
            .wait_for(|line| *line != Line::Stalled)
            .await
            .map(|line| *line)
        else {
            break;
        };
        speaks();
        let before = used.bytes.fetch_add(read, Ordering::SeqCst);
        let room = match line {
            Line::CutAfter(limit) => limit.saturating_sub(before).min(read),
            _ => read,
        };
        if to.write_all(&buffer[..room]).await.is_err() {
            break;
        }
        if room < read {
            used.up.notify_one();
            return;
        }
    }
    let _ = to.shutdown().await;
}
