//! Videos: conversion to MP4 where phones need it, and thumbnails.

use std::ffi::OsString;

use super::ffmpeg::{ConversionError, ConversionPurpose, file_argument};
use crate::media::probe::{MediaProperties, mp4};
use crate::media::{FileContent, MediaFile, types};

/// Picks one of the first frames, as the very first is often black, and scales it to fit into a
/// message.
const THUMBNAIL_ARGUMENTS: &str = "-map 0:v:0 -an -vf scale=100:100:force_original_aspect_ratio=decrease,thumbnail=24 \
                     -frames:v 1 -c:v mjpeg -q:v 6 -f image2pipe pipe:1";
/// Playable streams are only remuxed. Tags may name people and places, so they are removed.
const REMUX_ARGUMENTS: &str =
    "-map 0:v:0 -map 0:a:0? -map_metadata -1 -c copy -movflags +faststart -f mp4";
/// Other videos are re-encoded. The size limit is slightly above the maximum, in order to detect
/// videos that are too large.
const ENCODE_ARGUMENTS: &str = "-map 0:v:0 -map 0:a:0? -map_metadata -1 -vf scale=trunc(iw/2)*2:trunc(ih/2)*2,setsar=1 -pix_fmt yuv420p \
                     -c:v libx264 -preset veryfast -crf 23 -c:a aac -b:a 128k -ac 2 -movflags +faststart -fs 17M -f mp4";
const PLAYABLE_CODECS: [&[u8; 4]; 3] = [b"avc1", b"avc3", b"mp4a"];
/// WhatsApp's own limit, in MiB.
pub(in crate::media) const MAX_VIDEO_MIB: u64 = 16;
/// A thumbnail with more bytes than this is discarded.
const MAX_THUMBNAIL_BYTES: usize = 32 * 1024;

impl MediaFile {
    /// Converts a MOV to MP4; types that phones play stay unchanged.
    pub async fn into_mp4(self) -> Result<Self, ConversionError> {
        if !types::needs_mp4(&self.mime_type) {
            return Ok(self);
        }
        let path = self.path().to_owned();
        let read = move || {
            std::fs::File::open(path)
                .and_then(|file| mp4::read_codecs(&mut std::io::BufReader::new(file)))
        };
        let codecs = self
            .pool
            .run_decoder(read)
            .await
            .and_then(Result::ok)
            .unwrap_or_default();
        let is_played =
            !codecs.is_empty() && codecs.iter().all(|codec| PLAYABLE_CODECS.contains(&codec));
        let made = self.reserve_derived();
        let outputs = if is_played {
            REMUX_ARGUMENTS
        } else {
            ENCODE_ARGUMENTS
        };
        let outputs = outputs
            .split_whitespace()
            .map(OsString::from)
            .chain([file_argument(made.path())])
            .collect();
        self.pool
            .ffmpeg()
            .convert_file(
                self.pool.session_name(),
                ConversionPurpose::Video,
                "mov",
                self.path(),
                outputs,
                |_| {},
            )
            .await?;
        let size = tokio::fs::metadata(made.path()).await?.len();
        if size > MAX_VIDEO_MIB * 1024 * 1024 {
            return Err(ConversionError::TooLarge(
                ConversionPurpose::Video,
                MAX_VIDEO_MIB,
            ));
        }
        Ok(Self {
            content: FileContent::Derived(made),
            mime_type: types::MP4.to_owned(),
            ..self
        })
    }

    /// Returns the file's properties. A video has no thumbnail if ffmpeg is not installed.
    pub async fn all_properties(&self) -> MediaProperties {
        let found = self.basic_properties().await;
        match self.mime_type.starts_with("video/") {
            true => MediaProperties {
                thumbnail: self.video_thumbnail().await,
                ..found
            },
            false => found,
        }
    }

    async fn video_thumbnail(&self) -> Option<Vec<u8>> {
        let demuxer =
            types::audio_demuxer(&self.mime_type).filter(|_| self.pool.ffmpeg().is_installed())?;
        let mut small = Vec::new();
        let outputs = THUMBNAIL_ARGUMENTS
            .split_whitespace()
            .map(OsString::from)
            .collect();
        let take = |bytes: &[u8]| {
            let room = (MAX_THUMBNAIL_BYTES + 1)
                .saturating_sub(small.len())
                .min(bytes.len());
            small.extend_from_slice(&bytes[..room]);
        };
        let made = self
            .pool
            .ffmpeg()
            .convert_file(
                self.pool.session_name(),
                ConversionPurpose::Thumbnail,
                demuxer,
                self.path(),
                outputs,
                take,
            )
            .await;
        if let Err(error) = made {
            tracing::debug!(%error, "failed to make the thumbnail of a video");
            return None;
        }
        Some(small).filter(|small| (1..=MAX_THUMBNAIL_BYTES).contains(&small.len()))
    }
}
