//! A webhook that speaks just enough HTTP to treat its connections badly.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::PATIENCE;

/// How a receiver treats one post.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Answers, and waits for the next on the same connection.
    Answers,
    /// Answers, and closes the connection without having announced it.
    AnswersAndCloses,
    /// Reads it, and closes the connection.
    Closes,
}

/// A post as it was read.
#[derive(Debug)]
pub struct PlainPost {
    /// The number of its connection, from 0.
    pub connection: usize,
    pub head: String,
}

impl PlainPost {
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(line, _)| line.eq_ignore_ascii_case(name));
        found.next().expect("the header is there").1
    }
}

/// A receiver that speaks just enough HTTP, and tells of a post when it has treated it.
pub struct PlainReceiver {
    pub address: SocketAddr,
    posts: mpsc::UnboundedReceiver<PlainPost>,
}

impl PlainReceiver {
    /// Treats the posts by turns in these manners, and all further ones in the last.
    pub async fn start(manners: &'static [Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, posts) = mpsc::unbounded_channel();
        let treated = Arc::new(Mutex::new(manners.iter().copied()));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (told, treated) = (told.clone(), Arc::clone(&treated));
                let next_manner = move || {
                    let next = treated.lock().unwrap().next();
                    next.unwrap_or(*manners.last().unwrap())
                };
                tokio::spawn(treat(stream, connection, next_manner, told));
            }
        });
        Self { address, posts }
    }

    pub async fn next(&mut self) -> PlainPost {
        let next = tokio::time::timeout(PATIENCE, self.posts.recv()).await;
        next.expect("no further post")
            .expect("the receiver is there")
    }

    /// Whether every post was read by the test.
    pub fn is_quiet(&self) -> bool {
        self.posts.is_empty()
    }
}

async fn treat(
    mut stream: TcpStream,
    connection: usize,
    next_manner: impl Fn() -> Manner,
    told: mpsc::UnboundedSender<PlainPost>,
) {
    while let Some(head) = read_post(&mut stream).await {
        let manner = next_manner();
        if matches!(manner, Manner::Answers | Manner::AnswersAndCloses) {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
        let post = PlainPost { connection, head };
        if matches!(manner, Manner::Answers) {
            let _ = told.send(post);
        } else {
            drop(stream);
            let _ = told.send(post);
            return;
        }
    }
}

/// Reads one post; `None` when there is none.
async fn read_post(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut lengths = lines.filter(|(name, _)| *name == "content-length");
            let length: usize = lengths.next().unwrap().1.parse().unwrap();
            if body.len() >= length {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
