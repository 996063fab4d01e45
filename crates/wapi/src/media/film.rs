//! Films: what one of their pictures looks like when it is small.

use std::ffi::OsString;

use super::describe::Described;
use super::ffmpeg::Purpose;
use super::{File, types};

/// One of the first pictures, of which the first is often black, small enough to stand in a message.
const SMALL: &str = "-map 0:v:0 -an -vf scale=100:100:force_original_aspect_ratio=decrease,thumbnail=24 \
                     -frames:v 1 -c:v mjpeg -q:v 6 -f image2pipe pipe:1";
/// A thumbnail of more bytes than this is none.
const LARGEST: usize = 32 * 1024;

impl File {
    /// What can be said of it by looking into it; where there is no ffmpeg, a film has no thumbnail.
    pub async fn described(&self) -> Described {
        let found = self.measured().await;
        match self.mime_type.starts_with("video/") {
            true => Described { thumbnail: self.small().await, ..found },
            false => found,
        }
    }

    async fn small(&self) -> Option<Vec<u8>> {
        let demuxer = types::demuxer(&self.mime_type).filter(|_| self.workshop.ffmpeg().is_there())?;
        let mut small = Vec::new();
        let outputs = SMALL.split_whitespace().map(OsString::from).collect();
        let take = |bytes: &[u8]| {
            let room = (LARGEST + 1).saturating_sub(small.len()).min(bytes.len());
            small.extend_from_slice(&bytes[..room]);
        };
        let made = self
            .workshop
            .ffmpeg()
            .run(self.workshop.whose(), Purpose::Thumbnail, demuxer, self.path(), outputs, take)
            .await;
        if let Err(error) = made {
            tracing::debug!(%error, "a film has no thumbnail");
            return None;
        }
        Some(small).filter(|small| (1..=LARGEST).contains(&small.len()))
    }
}
