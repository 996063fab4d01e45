//! A line that breaks on command, to stand between the gateway and somebody it talks to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
}

impl ChaosProxy {
    /// A whole line to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let (line, taken) = (Arc::new(watch::Sender::new(Line::Whole)), Arc::default());
        tokio::spawn(serve(listener, target, Arc::clone(&line), Arc::clone(&taken)));
        Self { address, line, taken }
    }

    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// How many connections it has taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

async fn serve(mut listener: TcpListener, target: SocketAddr, line: Arc<watch::Sender<Line>>, taken: Arc<AtomicUsize>) {
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
                tokio::spawn(carry(client, target, line.subscribe()));
            }
            Some(Err(_)) => {}
            None => {
                drop(listener);
                if changes.wait_for(|line| *line != Line::Refused).await.is_err() {
                    return;
                }
                // Nobody else takes it meanwhile: ports that are free are given out in turn.
                listener = TcpListener::bind(address).await.expect("its address is still free");
            }
        }
    }
}

/// Carries one connection until it ends or is broken.
async fn carry(mut client: TcpStream, target: SocketAddr, mut line: watch::Receiver<Line>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let used = Used::default();
    let was_broken = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let (there, back) = (line.clone(), line.clone());
        let both = async {
            tokio::join!(pour(from_client, to_server, there, &used), pour(from_server, to_client, back, &used));
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

async fn pour(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut line: watch::Receiver<Line>, used: &Used) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Ok(line) = line.wait_for(|line| *line != Line::Stalled).await.map(|line| *line) else { break };
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
