//! Videos: conversion to MP4 where phones need it, and thumbnails.

use std::ffi::OsString;

use super::describe::{Described, mp4};
use super::ffmpeg::{NotConverted, Purpose, as_file};
use super::{Content, File, types};

/// Picks one of the first frames, as the very first is often black, and scales it to fit into a
/// message.
const SMALL: &str = "-map 0:v:0 -an -vf scale=100:100:force_original_aspect_ratio=decrease,thumbnail=24 \
                     -frames:v 1 -c:v mjpeg -q:v 6 -f image2pipe pipe:1";
/// Playable streams are only remuxed. Tags may name people and places, so they are removed.
const PACKED: &str = "-map 0:v:0 -map 0:a:0? -map_metadata -1 -c copy -movflags +faststart -f mp4";
/// Other videos are re-encoded. The size limit is slightly above the maximum, in order to detect
/// videos that are too large.
const CODED: &str = "-map 0:v:0 -map 0:a:0? -map_metadata -1 -vf scale=trunc(iw/2)*2:trunc(ih/2)*2,setsar=1 -pix_fmt yuv420p \
                     -c:v libx264 -preset veryfast -crf 23 -c:a aac -b:a 128k -ac 2 -movflags +faststart -fs 17M -f mp4";
const PLAYED: [&[u8; 4]; 3] = [b"avc1", b"avc3", b"mp4a"];
/// WhatsApp's own limit, in MiB.
pub(super) const LARGEST_FILM: u64 = 16;
/// A thumbnail with more bytes than this is discarded.
const LARGEST: usize = 32 * 1024;

impl File {
    /// Converts a MOV to MP4; types that phones play stay unchanged.
    pub async fn into_film(self) -> Result<Self, NotConverted> {
        if !types::must_become_mp4(&self.mime_type) {
            return Ok(self);
        }
        let path = self.path().to_owned();
        let read = move || {
            std::fs::File::open(path)
                .and_then(|file| mp4::codecs(&mut std::io::BufReader::new(file)))
        };
        let codecs = self
            .workshop
            .decode(read)
            .await
            .and_then(Result::ok)
            .unwrap_or_default();
        let is_played = !codecs.is_empty() && codecs.iter().all(|codec| PLAYED.contains(&codec));
        let made = self.beside();
        let outputs = if is_played { PACKED } else { CODED };
        let outputs = outputs
            .split_whitespace()
            .map(OsString::from)
            .chain([as_file(made.path())])
            .collect();
        self.workshop
            .ffmpeg()
            .run(
                self.workshop.whose(),
                Purpose::Film,
                "mov",
                self.path(),
                outputs,
                |_| {},
            )
            .await?;
        let size = tokio::fs::metadata(made.path()).await?.len();
        if size > LARGEST_FILM * 1024 * 1024 {
            return Err(NotConverted::TooLarge(Purpose::Film, LARGEST_FILM));
        }
        Ok(Self {
            content: Content::Made(made),
            size,
            mime_type: types::MP4.to_owned(),
            ..self
        })
    }

    /// Returns the file's properties. A video has no thumbnail if ffmpeg is not installed.
    pub async fn described(&self) -> Described {
        let found = self.measured().await;
        match self.mime_type.starts_with("video/") {
            true => Described {
                thumbnail: self.small().await,
                ..found
            },
            false => found,
        }
    }

    async fn small(&self) -> Option<Vec<u8>> {
        let demuxer =
            types::demuxer(&self.mime_type).filter(|_| self.workshop.ffmpeg().is_there())?;
        let mut small = Vec::new();
        let outputs = SMALL.split_whitespace().map(OsString::from).collect();
        let take = |bytes: &[u8]| {
            let room = (LARGEST + 1).saturating_sub(small.len()).min(bytes.len());
            small.extend_from_slice(&bytes[..room]);
        };
        let made = self
            .workshop
            .ffmpeg()
            .run(
                self.workshop.whose(),
                Purpose::Thumbnail,
                demuxer,
                self.path(),
                outputs,
                take,
            )
            .await;
        if let Err(error) = made {
            tracing::debug!(%error, "a film has no thumbnail");
            return None;
        }
        Some(small).filter(|small| (1..=LARGEST).contains(&small.len()))
    }
}
