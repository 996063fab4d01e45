//! A limit on the buffered, unconsumed bytes of a multipart form.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// Maximum number of form bytes beside the contents of its parts: before and after it, and in each
/// part's header.
pub const MAX_OVERHEAD: usize = 64 * 1024;

/// How often in a row the reader may poll at the limit: between two contents it passes through some
/// steps.
const MAX_IDLE_POLLS: u32 = 16;

/// More than [`MAX_OVERHEAD`] bytes lie beside the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has more than {} KiB outside the contents of its parts", MAX_OVERHEAD / 1024)]
pub struct FormOverheadError;

/// A form body that is read no faster than it is consumed.
pub struct BudgetedBody {
    pieces: BodyDataStream,
    held: HeldBytes,
    /// The buffered bytes at the last poll that reached the limit, and the number of such polls
    /// since.
    enough: (usize, u32),
}

/// The number of bytes that are read and not yet consumed.
#[derive(Debug, Clone, Default)]
pub struct HeldBytes(Arc<AtomicUsize>);

impl HeldBytes {
    /// Records consumed bytes of a content.
    pub fn mark_consumed(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl BudgetedBody {
    pub fn new(body: Body) -> (Self, HeldBytes) {
        let held = HeldBytes::default();
        (
            Self {
                pieces: body.into_data_stream(),
                held: held.clone(),
                enough: (0, 0),
            },
            held,
        )
    }
}

impl Stream for BudgetedBody {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let held = self.held.get();
        if held >= MAX_OVERHEAD {
            // Polling again and again without consuming anything means searching in vain for an
            // end.
            let polls = if self.enough.0 == held {
                self.enough.1 + 1
            } else {
                0
            };
            self.enough = (held, polls);
            if polls > MAX_IDLE_POLLS {
                return Poll::Ready(Some(Err(FormOverheadError.into())));
            }
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = self.pieces.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(piece))) = &piece {
            self.held.0.fetch_add(piece.len(), Ordering::Relaxed);
            // The same amount may be buffered again and again if all pieces have the same size.
            self.enough = (0, 0);
        }
        piece.map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use multer::Multipart;

    use crate::http::v1::media::form_budget::*;

    /// Reads a form in pieces of this size; returns the size of its contents, and how many bytes
    /// were read from the body.
    async fn read(form: Vec<u8>, piece: usize) -> (Result<usize, multer::Error>, usize) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let pieces: Vec<_> = form.chunks(piece).map(Bytes::copy_from_slice).collect();
        let pieces = futures_util::stream::iter(pieces).map(move |piece| {
            counter.fetch_add(piece.len(), Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(piece)
        });
        let (pieces, held) = BudgetedBody::new(Body::from_stream(pieces));
        let mut form = Multipart::new(pieces, "b");
        let content = async {
            let mut content = 0;
            while let Some(mut part) = form.next_field().await? {
                while let Some(piece) = part.chunk().await? {
                    held.mark_consumed(piece.len());
                    content += piece.len();
                }
            }
            Ok(content)
        };
        (content.await, read.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn what_no_content_follows_is_given_up_early_wherever_it_stands() {
        let long = vec![b'x'; 8 * 1024 * 1024];
        let head: &[u8] = b"--b\r\ncontent-disposition: form-data; name=\"file\"";
        let forms = [
            long.clone(),
            [b"--b\r\nx-long: ", &long[..]].concat(),
            [head, b"; filename=\"", &long[..]].concat(),
            [head, b"\r\n", &b"x: y\r\n".repeat(1024 * 1024)[..]].concat(),
            [b"--b", &b" ".repeat(1024 * 1024)[..], b"\r\n"].concat(),
            [head, b"\r\n\r\n", b"\r\n"].concat().repeat(10_000),
        ];
        for (number, form) in forms.into_iter().enumerate() {
            let (content, read) = read(form, 4_096).await;
            assert!(content.is_err(), "form {number} was taken");
            assert!(
                read <= 2 * MAX_OVERHEAD,
                "{read} bytes of form {number} were read"
            );
        }
    }

    #[tokio::test]
    async fn contents_may_be_of_any_size_and_come_in_any_pieces() {
        let content = vec![b'\r'; 2_000_000];
        let form = [
            &b"--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n"[..],
            &content,
            b"\r\n--b--\r\n",
        ]
        .concat();
        for piece in [7, 4_096, MAX_OVERHEAD, 1 << 20] {
            let (read, _) = read(form.clone(), piece).await;
            assert_eq!(read.unwrap(), content.len(), "in pieces of {piece}");
        }
    }
}
